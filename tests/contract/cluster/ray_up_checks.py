"""What is wrong with a configuration of ``ray up``: Ray's checks, the clouds' interfaces, our rules of safety."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

import jsonschema
from cluster_files import job_stop_seconds, leaves


def problems(config: dict[str, Any]) -> list[str]:
    """Everything found, one line each; empty = fit to launch."""
    found = [*ray_problems(config), *safety_problems(config)]
    kind = config.get("provider", {}).get("type")
    for name, node in config.get("available_node_types", {}).items():
        check = {"aws": ec2_problems, "gcp": gce_problems}[kind]
        found += [f"{name}.node_config: {line}" for line in check(node.get("node_config", {}))]
    return found


def ray_problems(config: dict[str, Any]) -> Iterator[str]:
    """What Ray's launcher itself refuses, without asking the cloud."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    try:
        validate_config(prepare_config(copy.deepcopy(config)))
    except jsonschema.ValidationError as error:
        yield f"{'.'.join(map(str, error.absolute_path))}: {error.message}"


@cache
def _run_instances() -> Any:
    import botocore.session

    return botocore.session.get_session().get_service_model("ec2").operation_model("RunInstances").input_shape


def ec2_problems(node_config: dict[str, Any]) -> Iterator[str]:
    """What EC2's RunInstances would refuse: unknown keys, wrong types and values outside its enumerations."""
    from botocore.validate import ParamValidator

    asked = copy.deepcopy(node_config)
    # Ray's own plural: it chooses one of them
    for subnet in asked.pop("SubnetIds", []):
        asked["SubnetId"] = subnet
    report = ParamValidator().validate({**asked, "MinCount": 1, "MaxCount": 1}, _run_instances())
    if report.has_errors():
        yield from report.generate_report().splitlines()
    yield from _outside_enums(asked, _run_instances(), "")


def _outside_enums(value: Any, shape: Any, path: str) -> Iterator[str]:
    # botocore's validator knows keys and types but leaves enumerations to the service
    if shape.type_name == "structure" and isinstance(value, dict):
        for key in value.keys() & shape.members.keys():
            yield from _outside_enums(value[key], shape.members[key], f"{path}.{key}")
    elif shape.type_name == "list" and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _outside_enums(item, shape.member, f"{path}.{index}")
    # sizes of machines appear faster than releases of botocore
    elif getattr(shape, "enum", None) and shape.name != "InstanceType" and value not in shape.enum:
        yield f"{path}: {value!r} is none of {shape.enum}"


@cache
def _gce_schemas() -> dict[str, Any]:
    document = files("googleapiclient").joinpath("discovery_cache/documents/compute.v1.json").read_text()
    schemas: dict[str, Any] = json.loads(document)["schemas"]
    return schemas


def gce_problems(node_config: dict[str, Any]) -> Iterator[str]:
    """What Compute Engine's ``instances.insert`` would refuse: unknown keys, wrong types, values outside enums."""
    yield from _against_discovery(node_config, _gce_schemas()["Instance"], "")


def _against_discovery(value: Any, schema: dict[str, Any], path: str) -> Iterator[str]:
    if "$ref" in schema:
        schema = _gce_schemas()[schema["$ref"]]
    kinds = {"object": dict, "array": list, "boolean": bool, "integer": int, "number": (int, float), "string": str}
    # 64-bit integers travel as strings, and the service takes plain ones as well
    wanted = (int, str) if schema.get("format") in {"int64", "uint64"} else kinds.get(schema["type"], object)
    if not isinstance(value, wanted):
        yield f"{path}: {value!r} is not of type {schema['type']}"
    elif isinstance(value, dict) and "properties" in schema:
        for key, item in value.items():
            if key in schema["properties"]:
                yield from _against_discovery(item, schema["properties"][key], f"{path}.{key}")
            else:
                yield f"{path}.{key}: unknown key"
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _against_discovery(item, schema["items"], f"{path}.{index}")
    elif value not in schema.get("enum", [value]):
        yield f"{path}: {value!r} is none of {schema['enum']}"


def safety_problems(config: dict[str, Any]) -> Iterator[str]:
    """Nothing open to the network, authentication on, time for a clean stop."""
    if "~/.ray/auth_token" not in config.get("file_mounts", {}):
        yield "file_mounts: no token is brought to ~/.ray/auth_token"
    for key in ("head_start_ray_commands", "worker_start_ray_commands"):
        starts = [command for command in config.get(key, []) if "ray start" in command]
        if not starts:
            yield f"{key}: no `ray start`; Ray's default would bind the dashboard to every address"
        for command in starts:
            yield from (f"{key}: {line}" for line in _start_problems(command))
    for path, value in leaves(config):
        if isinstance(value, str) and re.search(r"0\.0\.0\.0|(?<![\w:])::(?![\w:])", value):
            yield f"{path}: {value!r} listens on, or lets in, every address"
    if config["provider"]["type"] != "local":
        yield from _cloud_problems(config)


def _start_problems(command: str) -> Iterator[str]:
    before, _, options = command.partition("ray start")
    if "RAY_AUTH_MODE=token" not in before:
        yield "RAY_AUTH_MODE=token is not set before `ray start`"
    waits = re.search(r"RAY_JOB_STOP_WAIT_TIME_S=(\d+)", before)
    if waits is None or int(waits[1]) < job_stop_seconds():
        yield f"RAY_JOB_STOP_WAIT_TIME_S must be at least {job_stop_seconds()} for a clean stop"
    if "--head" in options and "--dashboard-host=127.0.0.1" not in options:
        yield "the dashboard is not bound to 127.0.0.1"
    if "--ray-client-server-port" in options:
        yield "Ray's client server is opened"


def _cloud_problems(config: dict[str, Any]) -> Iterator[str]:
    from ray.autoscaler.sdk import get_docker_host_mount_location

    if config["provider"].get("use_internal_ips") is not True:
        yield "provider.use_internal_ips: instances would get public addresses"
    if "security_group" in config["provider"]:
        yield "provider.security_group: Ray adds ssh from everywhere to groups it makes; name a group of your own"
    for option in config.get("docker", {}).get("run_options", []):
        if re.match(r"(-p\b|--publish|--privileged)", option):
            yield f"docker.run_options: {option!r} publishes a port or gives the machine away"
    for option in ("--cap-drop ALL", "--security-opt no-new-privileges"):
        if option not in config.get("docker", {}).get("run_options", []):
            yield f"docker.run_options: {option} is missing"
    token = f"{get_docker_host_mount_location(config['cluster_name'])}/~/.ray/auth_token"
    if not any(f"chgrp 1000 {token}" in command for command in config.get("initialization_commands", [])):
        yield f"initialization_commands: the container's user may not read {token}"
    for name, node in config["available_node_types"].items():
        node_config = node["node_config"]
        if config["provider"]["type"] == "aws":
            if not node_config.get("SecurityGroupIds"):
                yield f"{name}: without SecurityGroupIds Ray makes a group with ssh open to everywhere"
            if any("NetworkInterfaces" in path for path, _ in leaves(node_config)):
                yield f"{name}: network interfaces of its own may have public addresses"
            if node_config.get("MetadataOptions", {}).get("HttpTokens") != "required":
                yield f"{name}: MetadataOptions.HttpTokens must be `required`"
        elif any(interface.get("accessConfigs") for interface in node_config.get("networkInterfaces", [{}])):
            yield f"{name}: accessConfigs give a public address"
        elif not node_config.get("networkInterfaces"):
            yield f"{name}: without networkInterfaces Ray adds one with a public address"
        if name != config["head_node_type"] and node.get("min_workers", 0) != 0:
            yield f"{name}.min_workers: idle machines would never end"
    if not 0 < config.get("idle_timeout_minutes", 0) <= 30:
        yield "idle_timeout_minutes: idle machines must end within half an hour"
