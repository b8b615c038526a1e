"""The files of ``ray up``: what Ray and the clouds would refuse, and what would be open, is found here."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from cluster_files import CLUSTER, documents, put
from ray_up_checks import problems


def load(name: str) -> dict[str, Any]:
    (config,) = documents(f"{name}.yaml")
    return config


@pytest.mark.parametrize("name", ["aws", "gcp", "on_prem"])
def test_fit_to_launch(name: str) -> None:
    assert problems(load(name)) == []


@pytest.mark.parametrize("name", ["aws", "gcp"])
def test_spot_and_on_demand_workers_from_none_and_back(name: str) -> None:
    types = load(name)["available_node_types"]
    head, on_demand, spot = types["head"], types["gpu_on_demand"], types["gpu_spot"]
    assert head["resources"] == {"CPU": 0}
    for group in (on_demand, spot):
        assert group["min_workers"] == 0
        assert group["max_workers"] > 0
        assert group["resources"]["GPU"] > 0
    assert spot["priority"] > on_demand.get("priority", 0)
    key = {"aws": "InstanceMarketOptions", "gcp": "scheduling"}[name]
    assert "spot" in yaml.safe_dump(spot["node_config"][key]).lower()
    assert "spot" not in yaml.safe_dump(on_demand["node_config"]).lower()


HEAD, WORKER = "head_start_ray_commands.1", "worker_start_ray_commands.1"
GPU = "available_node_types.gpu_spot"
FAULTS: list[tuple[str, str, Any, str]] = [
    ("on_prem", "idle_timeout_minute", 5, "idle_timeout_minute"),
    ("on_prem", "auth.ssh_usr", "me", "ssh_usr"),
    ("on_prem", "file_mounts", {}, "no token"),
    ("on_prem", "head_start_ray_commands", None, "no `ray start`"),
    ("on_prem", HEAD, "ray start --head --dashboard-host=127.0.0.1", "RAY_AUTH_MODE=token"),
    ("on_prem", HEAD, "RAY_AUTH_MODE=disabled ray start --head --dashboard-host=127.0.0.1", "RAY_AUTH_MODE=token"),
    ("on_prem", HEAD, "RAY_AUTH_MODE=token ray start --head --dashboard-host=0.0.0.0", "not bound to 127.0.0.1"),
    ("on_prem", HEAD, "RAY_AUTH_MODE=token ray start --head", "not bound to 127.0.0.1"),
    ("on_prem", WORKER, "RAY_AUTH_MODE=token RAY_JOB_STOP_WAIT_TIME_S=3 ray start", "RAY_JOB_STOP_WAIT_TIME_S"),
    ("aws", "max_worker", 4, "max_worker"),
    ("aws", "max_workers", "16", "max_workers"),
    ("aws", f"{GPU}.min_worker", 0, "min_worker"),
    ("aws", f"{GPU}.min_workers", 1, "idle machines"),
    ("aws", "idle_timeout_minutes", None, "idle machines"),
    ("aws", f"{GPU}.node_config.InstanceTyp", "g6.xlarge", "InstanceTyp"),
    ("aws", f"{GPU}.node_config.InstanceMarketOptions.MarketType", "sport", "sport"),
    ("aws", f"{GPU}.node_config.InstanceMarketOptions.MarketTyp", "spot", "MarketTyp"),
    ("aws", f"{GPU}.node_config.BlockDeviceMappings.0.Ebs.VolumeSize", "200", "VolumeSize"),
    ("aws", f"{GPU}.node_config.SecurityGroupIds", None, "SecurityGroupIds"),
    ("aws", f"{GPU}.node_config.NetworkInterfaces", [{"AssociatePublicIpAddress": True}], "public"),
    ("aws", f"{GPU}.node_config.MetadataOptions.HttpTokens", "optional", "HttpTokens"),
    ("aws", "provider.use_internal_ips", None, "public addresses"),
    ("aws", "provider.security_group", {"GroupName": "open"}, "security_group"),
    ("aws", "docker.run_options.0", "-p 8265:8265", "publishes a port"),
    ("aws", "docker.run_options.3", "--cap-add ALL", "--cap-drop ALL is missing"),
    ("gcp", "docker.run_options.4", "--security-opt seccomp=unconfined", "no-new-privileges is missing"),
    ("gcp", "initialization_commands.1", "true", "may not read"),
    ("gcp", "cluster_name", "another", "may not read"),  # the launcher's folder is named after the cluster
    ("aws", "docker.imag", "x", "imag"),
    ("aws", "auth.ssh_proxy_command", None, "ssh_proxy_command"),
    ("gcp", f"{GPU}.node_config.machineTyp", "g2-standard-8", "machineTyp"),
    ("gcp", f"{GPU}.node_config.scheduling", [{"preemptible": True}], "scheduling"),
    ("gcp", f"{GPU}.node_config.scheduling.provisioningModel", "SPOTTY", "SPOTTY"),
    ("gcp", f"{GPU}.node_config.disks.0.boot", "yes", "boot"),
    ("gcp", f"{GPU}.node_config.networkInterfaces.0.accessConfigs", [{"type": "ONE_TO_ONE_NAT"}], "public address"),
    ("gcp", f"{GPU}.node_config.networkInterfaces", None, "public address"),
]


@pytest.mark.parametrize(("name", "path", "value", "said"), FAULTS)
def test_planted_fault_is_found(name: str, path: str, value: Any, said: str) -> None:
    config = load(name)
    put(config, path, value)
    found = problems(config)
    assert any(said in line for line in found), found


def test_a_local_cluster_without_workers_is_refused_by_ray() -> None:
    import click

    config = load("on_prem")
    config["provider"]["worker_ip"] = config["provider"].pop("worker_ips")
    with pytest.raises(click.ClickException):
        problems(config)


def test_every_file_of_ray_up_is_checked() -> None:
    assert sorted(file.stem for file in CLUSTER.glob("*.yaml")) == ["aws", "compose", "gcp", "job", "on_prem"]


def environments() -> dict[str, dict[str, Any]]:
    """Runtime environments of jobs."""
    (job,) = documents("kuberay/rayjob.yaml")
    texts = {"job": (CLUSTER / "job.yaml").read_text(), "rayjob": job["spec"]["runtimeEnvYAML"]}
    return {name: yaml.safe_load(text) for name, text in texts.items()}


def runtime_problems(environment: dict[str, Any]) -> list[str]:
    """What Ray refuses of a runtime environment, or passes over with a warning."""
    from ray.runtime_env import RuntimeEnv

    found = [f"{key}: unknown key" for key in environment if key not in RuntimeEnv.known_fields]
    try:
        RuntimeEnv(**environment)
    except (TypeError, ValueError) as error:
        found.append(str(error))
    return found


@pytest.mark.parametrize("name", ["job", "rayjob"])
def test_ray_takes_the_environment_of_a_job(name: str) -> None:
    environment = environments()[name]
    assert runtime_problems(environment) == []
    for key, value, said in (
        ("env_vars", {"A": 30}, "env_vars"),
        ("exclude", [".git"], "exclude: unknown"),
        ("excludes", ".git", "excludes"),
    ):
        found = runtime_problems({**environment, key: value})
        assert any(said in line for line in found), (key, found)
