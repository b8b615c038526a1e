"""``cluster/on_prem.yaml`` really launched: a study submitted through ssh to two machines; nothing is left after it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from machines import Machine, Machines, why_not
from toy_runs import Sandbox, wait_until

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
TOKEN = "4f1d" * 16
DASHBOARD = "http://127.0.0.1:8265"
HEADLESS_S = "RAY_gcs_rpc_server_reconnect_timeout_s"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),  # half a minute by itself; the machine may be busy
    pytest.mark.skipif(why_not() is not None, reason=f"cluster of namespaces: {why_not()}"),
]


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    path = f"{BIN}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    imports = os.pathsep.join([str(ROOT / "platform"), str(ROOT), os.environ["PYTHONPATH"]])
    # a busy machine takes long to start a node's agent
    environment = {"PYTHONPATH": imports, "RAY_agent_register_timeout_ms": "120000"}
    # a root of its own: file names below it must stay short enough for sockets
    with Machines(tmp_path / "m", ["laptop", "head", "worker"], path, environment) as made:
        yield made


def launcher(laptop: Machine, cluster: Path, verb: str, *words: str, check: bool = True) -> str:
    """``ray up``, ``ray down`` ... as a person calls them on the laptop."""
    environment = {"PATH": f"{BIN}:{os.environ['PATH']}", "RAY_AUTH_MODE": "token"}
    result = laptop.run(str(BIN / "ray"), verb, str(cluster), *words, check=check, **environment)
    return result.stdout + result.stderr


def status_code(machine: Machine, url: str, *options: str) -> str:
    """HTTP status of a request, "000" = nobody answers."""
    words = ["curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--max-time", "5"]
    return machine.run(*words, *options, url, check=False).stdout


def ray_processes(machine: Machine) -> list[str]:
    return [
        line for line in machine.processes() if "raylet" in line or "gcs_server" in line or line.startswith("ray::")
    ]


def nodes_alive(head: Machine) -> int:
    words = ["curl", "--silent", "--max-time", "20", "--header", f"Authorization: Bearer {TOKEN}"]
    listing = head.run(*words, f"{DASHBOARD}/api/v0/nodes", check=False).stdout
    return listing.count('"state": "ALIVE"')


def test_up_a_study_and_down(machines: Machines, tmp_path: Path, toy_sweep: dict[str, Any]) -> None:
    laptop, head, worker = machines.machines
    shared = tmp_path / "shared"
    shared.mkdir()
    sandbox = Sandbox(shared, {**toy_sweep, "set": {"detector.sleep_s": 0.3}, "budget": {"trials": 8}})
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    values = {
        "TADTUNE_HEAD_IP": head.ip,
        "TADTUNE_WORKER_IPS": f"[{worker.ip}]",
        "TADTUNE_SSH_USER": "root",
        "TADTUNE_SSH_KEY": str(machines.key),
        "TADTUNE_TOKEN_FILE": str(token),
        "TADTUNE_SHARED": str(shared),
    }
    cluster = tmp_path / "cluster.yaml"
    filled = subprocess.run(
        [ROOT / "cluster" / "fill", ROOT / "cluster" / "on_prem.yaml"],
        env={**os.environ, **values},
        capture_output=True,
        text=True,
        check=True,
    )
    # a worker that has lost its head waits for it half a minute, and Ray's agents a minute more
    assert filled.stdout.count(f"{HEADLESS_S}=30") == 1
    cluster.write_text(filled.stdout.replace(f"{HEADLESS_S}=30", f"{HEADLESS_S}=5"))

    # with an empty token the launch ends with a word, and nothing runs
    token.write_text("")
    assert "no token in ~/.ray/auth_token" in launcher(laptop, cluster, "up", "-y", "--no-config-cache", check=False)
    assert ray_processes(head) == []
    token.write_text(TOKEN)

    launcher(laptop, cluster, "up", "-y", "--no-config-cache")
    wait_until(lambda: nodes_alive(head) == 2, 300)

    # the dashboard is there, on loopback, for those who know the token
    bearer = ["--header", f"Authorization: Bearer {TOKEN}"]
    jobs = f"{DASHBOARD}/api/jobs/"
    assert status_code(laptop, jobs.replace("127.0.0.1", head.ip), *bearer) == "000"
    assert status_code(head, jobs) == "401"
    assert status_code(head, jobs, "--header", "Authorization: Bearer wrong") == "403"
    assert status_code(head, jobs, *bearer) == "200"

    tunnel = ssh(machines, "-N", "-L", "8265:127.0.0.1:8265", f"root@{head.ip}")
    try:
        wait_until(lambda: status_code(laptop, jobs, *bearer) == "200", 60)
        submit = [str(BIN / "ray"), "job", "submit", "--address", DASHBOARD, "--working-dir", str(shared)]
        submit += ["--runtime-env", str(ROOT / "cluster" / "job.yaml"), "--", "tadtune", "run", "study.yaml"]
        submit += ["--storage", str(sandbox.storage), "--data", str(shared / "data")]
        refused = laptop.run(*submit, check=False, RAY_AUTH_MODE="disabled")
        assert refused.returncode != 0
        assert "401" in refused.stdout + refused.stderr or "nauth" in refused.stdout + refused.stderr
        job = subprocess.Popen(
            laptop.command(*submit),
            env={**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token), "HOME": str(laptop.home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        both = [any("InProcessTrial" in line for line in machine.processes()) for machine in (head, worker)]
        while job.poll() is None and not all(both):
            time.sleep(0.2)
            for index, machine in enumerate((head, worker)):
                both[index] |= any("InProcessTrial" in line for line in machine.processes())
        output, _ = job.communicate(timeout=240)
        assert job.returncode == 0, output
        assert all(both), "trials ran on one machine only"
    finally:
        tunnel.kill()
        tunnel.wait()
    sandbox.check_nothing_lost_or_doubled(8)

    launcher(laptop, cluster, "down", "-y")
    assert ray_processes(head) == []
    wait_until(lambda: not ray_processes(worker), 180)  # it notices that its head has gone


def ssh(machines: Machines, *words: str) -> subprocess.Popen[str]:
    """ssh from the laptop, as docs/security.md says."""
    options = ["-i", str(machines.key), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
    return subprocess.Popen(machines.machines[0].command("ssh", *options, *words), text=True)
