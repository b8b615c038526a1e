"""A RayJob that is retried: its own entry point, killed half-way, resumes when it is run again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from toy_runs import Sandbox, lay_database, wait_until, worker_pids

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
TRIALS = 6


def filled(study: str) -> dict[str, Any]:
    """The RayJob's specification with a deployer's values."""
    values = {"TADTUNE_IMAGE": "registry.example.org/tadtune:0.1.0", "TADTUNE_STUDY": study}
    command = [ROOT / "cluster" / "fill", ROOT / "cluster" / "kuberay" / "rayjob.yaml"]
    done = subprocess.run(command, env={**os.environ, **values}, capture_output=True, text=True, check=True)
    spec: dict[str, Any] = yaml.safe_load(done.stdout)["spec"]
    return spec


def shared_mount(spec: dict[str, Any]) -> str:
    """Where the head's container has the volume that outlives the cluster."""
    pod = spec["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
    (volume,) = [v["name"] for v in pod["volumes"] if "persistentVolumeClaim" in v]
    (mount,) = [m["mountPath"] for m in pod["containers"][0]["volumeMounts"] if m["name"] == volume]
    return str(mount)


def submit(spec: dict[str, Any], sandbox: Sandbox) -> subprocess.Popen[str]:
    """The entry point as Ray runs it, through a shell, on a cluster of its own, with the sandbox as the volume."""
    mount = shared_mount(spec)
    entry_point = spec["entrypoint"]
    assert f"--storage {mount}/" in entry_point, "a retry would not find the records"
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    path = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    return subprocess.Popen(
        ["bash", "-c", f"exec {entry_point.replace(mount, str(sandbox.root))}"],
        env={**environment, "PATH": path, "TOY_LOG": str(sandbox.log), "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_the_retry_of_a_rayjob_resumes(tmp_path: Path, toy_sweep: dict[str, Any]) -> None:
    raw = {**toy_sweep, "set": {"detector.sleep_s": 0.3}, "budget": {"trials": TRIALS}}
    sandbox = Sandbox(tmp_path, raw)
    spec = filled("/shared/study.yaml")
    assert spec["backoffLimit"] >= 1
    lay_database(sandbox.storage)
    first = submit(spec, sandbox)
    wait_until(lambda: len(list(sandbox.folder.glob("trials/*/result.json"))) >= 2, 180)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    wait_until(lambda: not worker_pids(sandbox), 60)  # the cluster of the first attempt has gone
    finished = sandbox.results()
    assert 2 <= len(finished) < TRIALS

    retry = submit(spec, sandbox)
    output, _ = retry.communicate(timeout=240)
    assert retry.returncode == 0, output
    sandbox.check_nothing_lost_or_doubled(TRIALS)
    assert finished.items() <= sandbox.results().items()
    assert not any(key[0] == "test" for key in sandbox.repeated())  # no trial was scored twice
