"""The files under ``cluster/``, filled in as a deployer would."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
CLUSTER = ROOT / "cluster"

#: A value for every variable that a file may ask for; the test below holds that none is asked for beyond these.
VALUES = {
    "TADTUNE_HEAD_IP": "10.0.0.1",
    "TADTUNE_WORKER_IPS": "[10.0.0.2, 10.0.0.3]",
    "TADTUNE_SSH_USER": "me",
    "TADTUNE_SSH_KEY": "~/.ssh/cluster",
    "TADTUNE_TOKEN_FILE": "~/.ray/cluster_token",
    "TADTUNE_SHARED": "/shared",
    "TADTUNE_IMAGE": "registry.example.org/tadtune:0.1.0",
    "TADTUNE_STUDY": "kt_mgfn/demo_sweep",
    "TADTUNE_SHARED_CLASS": "nfs",
    "TADTUNE_SHARED_SIZE": "2Ti",
    "TADTUNE_DISK_CLASS": "standard",
    "TADTUNE_AWS_REGION": "eu-central-1",
    "TADTUNE_AWS_ZONE": "eu-central-1a",
    "TADTUNE_AWS_SUBNET": "subnet-0123",
    "TADTUNE_AWS_SECURITY_GROUP": "sg-0123",
    "TADTUNE_AWS_INSTANCE_PROFILE": "tadtune-head",
    "TADTUNE_AWS_WORKER_PROFILE": "tadtune-worker",
    "TADTUNE_AWS_KEY_NAME": "cluster",
    "TADTUNE_AWS_AMI": "ami-0123",
    "TADTUNE_AWS_NFS": "fs-0123.efs.eu-central-1.amazonaws.com",
    "TADTUNE_GCP_PROJECT": "my-project",
    "TADTUNE_GCP_REGION": "europe-west4",
    "TADTUNE_GCP_ZONE": "europe-west4-a",
    "TADTUNE_GCP_SUBNETWORK": "projects/my-project/regions/europe-west4/subnetworks/private",
    "TADTUNE_GCP_HEAD_ACCOUNT": "head@my-project.iam.gserviceaccount.com",
    "TADTUNE_GCP_WORKER_ACCOUNT": "worker@my-project.iam.gserviceaccount.com",
    "TADTUNE_GCP_IMAGE": "projects/my-project/global/images/gpu-docker",
    "TADTUNE_GCP_NFS": "10.0.0.2:/share",
}


def fill(file: Path, values: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run ``cluster/fill`` on a file with these variables and no others."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("TADTUNE_")}
    return subprocess.run(
        [CLUSTER / "fill", file], env={**environment, **values}, capture_output=True, text=True, check=False
    )


def variables(file: Path) -> set[str]:
    """Variables a file asks for outside its comments."""
    lines = [line for line in file.read_text().splitlines() if not line.lstrip().startswith("#")]
    return set(re.findall(r"\$\{(TADTUNE_[A-Z0-9_]+)\}", "\n".join(lines)))


def documents(name: str) -> list[dict[str, Any]]:
    """The filled YAML documents of a file under ``cluster/``."""
    result = fill(CLUSTER / name, VALUES)
    assert result.returncode == 0, result.stderr
    return [document for document in yaml.safe_load_all(result.stdout) if document]


def leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a tree that is not a container, with its dotted path."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from leaves(value, f"{path}.{key}" if path else str(key))
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from leaves(value, f"{path}.{index}")
    else:
        yield path, tree


def put(tree: Any, path: str, value: Any) -> None:
    """Set a value by dotted path; numbers index lists. ``None`` as value removes the key."""
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in parents:
        tree = tree[part]
    if value is None:
        del tree[last]
    else:
        tree[last] = value


def job_stop_seconds() -> int:
    """Seconds that ``cluster/job.yaml`` asks a cluster to give a job for its clean stop."""
    job = yaml.safe_load((CLUSTER / "job.yaml").read_text())
    return int(job["env_vars"]["RAY_JOB_STOP_WAIT_TIME_S"])
