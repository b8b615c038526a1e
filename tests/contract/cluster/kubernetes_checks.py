"""What is wrong with a Kubernetes manifest: unknown or wrong keys, and what the pods would be allowed to do."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import yaml
from cluster_files import job_stop_seconds, leaves

#: Where a kind of object holds its pods.
PODS = {
    "Deployment": ["spec.template"],
    "StatefulSet": ["spec.template"],
    "RayCluster": ["spec"],
    "RayJob": ["spec.rayClusterSpec", "spec.submitterPodTemplate"],
}


def strict_schema(crd: Path) -> dict[str, Any]:
    """Schema of a custom resource's version v1 in which a key that is not named is refused.

    Args:
        crd: a CustomResourceDefinition, gzipped YAML.
    """
    definition = yaml.load(gzip.decompress(crd.read_bytes()), Loader=yaml.CSafeLoader)
    version = next(version for version in definition["spec"]["versions"] if version["name"] == "v1")
    return dict(_strict(version["schema"]["openAPIV3Schema"]))


def _strict(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: _strict(value) for key, value in schema.items()}
    # a property may itself be called `properties`: only a schema has a type beside them
    if {"properties", "type"} <= schema.keys() and not schema.get("x-kubernetes-preserve-unknown-fields"):
        result["additionalProperties"] = False
    if schema.get("x-kubernetes-int-or-string"):
        result["type"] = ["integer", "string"]
    return result


def ray_problems(manifest: dict[str, Any], schema: dict[str, Any]) -> list[str]:
    """What the custom resource's schema and KubeRay's own validation refuse."""
    asked = {**manifest, "metadata": {}}
    found = [
        f"{'.'.join(map(str, error.absolute_path))}: {error.message}"
        for error in jsonschema.Draft7Validator(schema).iter_errors(asked)
    ]
    found += builtin_problems({"apiVersion": "v1", "kind": "ConfigMap", "metadata": manifest["metadata"]})
    return found + list(_kuberay_rules(manifest))


def _kuberay_rules(manifest: dict[str, Any]) -> Iterator[str]:
    # Rules that its schema leaves to the operator. Source: ray-project/kuberay:ray-operator/controllers/ray/utils
    # /validation.go (deletion rules, autoscaling, interactive jobs).
    if manifest["kind"] != "RayJob":
        return
    spec = manifest["spec"]
    rules = spec.get("deletionStrategy", {}).get("deletionRules", [])
    if rules and (spec.get("shutdownAfterJobFinishes") or spec.get("ttlSecondsAfterFinished")):
        yield "spec.deletionStrategy: deletionRules exclude shutdownAfterJobFinishes and ttlSecondsAfterFinished"
    if spec["rayClusterSpec"].get("enableInTreeAutoscaling") and any(r["policy"] == "DeleteWorkers" for r in rules):
        yield "spec.deletionStrategy: DeleteWorkers excludes enableInTreeAutoscaling"
    if spec.get("backoffLimit", 0) > 0 and spec.get("submissionMode") == "InteractiveMode":
        yield "spec.backoffLimit: an interactive job is not retried"


def builtin_problems(manifest: dict[str, Any]) -> list[str]:
    """What the API server refuses of a built-in kind, by the types of Kubernetes' own Python client."""
    from kubernetes import client

    group, _, version = manifest["apiVersion"].rpartition("/")
    name = f"{version.capitalize()}{manifest['kind']}"
    if not hasattr(client, name) or group not in {"", "apps", "networking.k8s.io"}:
        return [f"{manifest['apiVersion']} {manifest['kind']}: no such kind"]
    return list(_against_model(manifest, name, manifest["kind"]))


def _against_model(value: Any, kind: str, path: str) -> Iterator[str]:
    from kubernetes import client

    scalars = {"str": str, "int": int, "bool": bool, "float": (int, float), "object": object}
    if inner := re.fullmatch(r"List\[(.+)\]", kind):
        if not isinstance(value, list):
            yield f"{path}: {value!r} is not a list"
            return
        for index, item in enumerate(value):
            yield from _against_model(item, inner[1], f"{path}.{index}")
    elif inner := re.fullmatch(r"Dict\[str, (.+)\]", kind):
        if not isinstance(value, dict):
            yield f"{path}: {value!r} is not a mapping"
            return
        for key, item in value.items():
            yield from _against_model(item, inner[1], f"{path}.{key}")
    elif kind in scalars:
        if not isinstance(value, scalars[kind]) or (kind == "int" and isinstance(value, bool)):
            yield f"{path}: {value!r} is not of type {kind}"
    elif not isinstance(value, dict):
        yield f"{path}: {value!r} is not a mapping"
    else:
        model = getattr(client, kind)
        attributes = {key: attribute for attribute, key in model.attribute_map.items()}
        for key, item in value.items():
            if key not in attributes:
                yield f"{path}.{key}: unknown key"
            else:
                yield from _against_model(item, model.openapi_types[attributes[key]], f"{path}.{key}")
        try:
            model(**{attributes[key]: item for key, item in value.items() if key in attributes})
        except ValueError as error:  # a required key is missing
            yield f"{path}: {error}"


def pod_templates(manifest: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every pod template of a manifest, with its path."""
    for path in PODS.get(manifest["kind"], []):
        found: Any = manifest
        for key in path.split("."):
            found = found[key]
        if "headGroupSpec" in found:
            yield f"{path}.headGroupSpec", found["headGroupSpec"]["template"]
            for index, group in enumerate(found["workerGroupSpecs"]):
                yield f"{path}.workerGroupSpecs.{index}", group["template"]
        else:
            yield path, found


def safety_problems(manifest: dict[str, Any]) -> list[str]:
    """Ways out of the namespace, privileges, secrets in the open, and Ray without authentication."""
    found = [f"{path}: {line}" for path, pod in pod_templates(manifest) for line in _pod_problems(pod["spec"])]
    spec = manifest.get("spec", {})
    if manifest["kind"] == "Service" and spec.get("type", "ClusterIP") != "ClusterIP":
        found.append(f"spec.type: {spec['type']} opens a port outside the cluster")
    if manifest["kind"] == "Secret":
        found.append("kind: secrets are the deployer's and in no file")
    for path, value in leaves(manifest):
        if path.endswith("cidr") and str(value) in {"0.0.0.0/0", "::/0"}:
            found.append(f"{path}: lets in everybody")
    if manifest["kind"] in {"RayCluster", "RayJob"}:
        found += _ray_safety(spec if manifest["kind"] == "RayCluster" else spec["rayClusterSpec"])
    return found


def _pod_problems(spec: dict[str, Any]) -> Iterator[str]:
    context = spec.get("securityContext", {})
    if context.get("runAsNonRoot") is not True or context.get("runAsUser", 0) == 0:
        yield "securityContext: must not run as root"
    if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "securityContext.seccompProfile: must be RuntimeDefault"
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(key):
            yield f"{key}: the pod would be in the node's own namespace"
    for volume in spec.get("volumes", []):
        if "hostPath" in volume:
            yield f"volumes.{volume['name']}: a folder of the node"
    for container in spec["containers"]:
        yield from (f"{container['name']}: {line}" for line in _container_problems(container))


def _container_problems(container: dict[str, Any]) -> Iterator[str]:
    context = container.get("securityContext", {})
    if context.get("allowPrivilegeEscalation") is not False or context.get("capabilities", {}).get("drop") != ["ALL"]:
        yield "securityContext: must drop all capabilities and forbid escalation"
    if not re.search(r":[\w.-]*\d[\w.-]*$", container["image"]):
        yield f"image: {container['image']} has no version"
    if "memory" not in container.get("resources", {}).get("limits", {}):
        yield "resources: no limit of memory"
    for variable in container.get("env", []):
        if re.search(r"PASSWORD$|TOKEN$|SECRET", variable["name"]) and "value" in variable:
            yield f"env {variable['name']}: a secret in the open; refer to one by secretKeyRef"
        if re.search(r"://[^/@]*:[^/@]*@", str(variable.get("value", ""))):
            yield f"env {variable['name']}: a password in a URL"
    for port in container.get("ports", []):
        if "hostPort" in port:
            yield f"ports {port['hostPort']}: opened on the node"


def _ray_safety(spec: dict[str, Any]) -> Iterator[str]:
    auth = spec.get("authOptions", {})
    if auth.get("mode") != "token" or not auth.get("secretName"):
        yield "authOptions: must be mode token with a secret of the deployer's"
    if spec["headGroupSpec"].get("serviceType", "ClusterIP") != "ClusterIP":
        yield "headGroupSpec.serviceType: opens a port outside the cluster"
    if spec["headGroupSpec"].get("enableIngress"):
        yield "headGroupSpec.enableIngress: opens the dashboard outside the cluster"
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        environment = {item["name"]: item.get("value") for item in pod["containers"][0].get("env", [])}
        if environment.get("RAY_AUTH_MODE") != "token":
            yield f"{pod['containers'][0]['name']}: RAY_AUTH_MODE must be token"
        if int(environment.get("RAY_JOB_STOP_WAIT_TIME_S") or 0) < job_stop_seconds():
            yield f"RAY_JOB_STOP_WAIT_TIME_S must be at least {job_stop_seconds()} for a clean stop"
        if pod.get("terminationGracePeriodSeconds", 30) <= job_stop_seconds():
            yield f"terminationGracePeriodSeconds must exceed {job_stop_seconds()}, the clean stop of a job"
        if group["template"].get("metadata", {}).get("labels", {}).get("app.kubernetes.io/part-of") != "tadtune-ray":
            yield "labels: the network policies do not know these pods"
    for group in spec["workerGroupSpecs"]:
        if group["minReplicas"] != 0:
            yield f"{group['groupName']}.minReplicas: idle machines would never end"


def unshared(tree: Any) -> Any:
    """A copy in which what a YAML anchor shared is shared no more, so that a test can change one place."""
    if isinstance(tree, dict):
        return {key: unshared(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [unshared(value) for value in tree]
    return tree
