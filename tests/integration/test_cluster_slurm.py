"""``cluster/slurm/tadtune.sbatch`` with a Slurm that starts its steps on this machine: two nodes of Ray, one study."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from toy_runs import Sandbox, free_port, wait_until

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
JOB = 1_000_000 + os.getpid()

pytestmark = pytest.mark.slow

#: Slurm's commands as the script uses them: two nodes, both this machine; `srun` hands a signal on to what it started.
FAKE = {
    "scontrol": """
        case "$1" in
          show) echo {host}; echo {host} ;;
          requeue) echo "$2" > {folder}/requeued ;;
          *) exit 1 ;;
        esac
    """,
    "srun": """
        while [ "${{1#--}}" != "$1" ]; do shift; done
        echo "$*" >> {folder}/steps
        trap 'kill -TERM $child' TERM
        "$@" &
        child=$!
        wait $child; code=$?
        wait $child 2>/dev/null
        exit $code
    """,
}


@pytest.fixture
def slurm(tmp_path: Path) -> dict[str, str]:
    """Environment of a batch job on two nodes."""
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, script in FAKE.items():
        file = commands / name
        file.write_text("#!/bin/bash\n" + script.format(host=socket.gethostname(), folder=tmp_path))
        file.chmod(0o755)
    token = tmp_path / "token"
    token.write_text("4f1d" * 16)
    token.chmod(0o600)
    kept = {key: value for key, value in os.environ.items() if key not in {"RAY_AUTH_MODE", "RAY_ADDRESS"}}
    return {
        **kept,
        "PATH": f"{commands}:{BIN}:{os.environ['PATH']}",
        "SLURM_JOB_ID": str(JOB),
        "SLURM_JOB_NODELIST": "node[1-2]",
        "SLURM_CPUS_PER_TASK": "2",
        "TADTUNE_SHARED": str(tmp_path),
        "TADTUNE_TOKEN_FILE": str(token),
        "TADTUNE_RAY_PORT": str(first_of_two_ports()),
        "TADTUNE_READY_S": "240",
    }


def first_of_two_ports() -> int:
    """A free port whose next one is free as well."""
    while True:
        port = free_port()
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port + 1)):
            return port


def start(environment: dict[str, str], sandbox: Sandbox) -> subprocess.Popen[str]:
    with (sandbox.root / "slurm.out").open("a") as output:
        return subprocess.Popen(
            ["bash", ROOT / "cluster" / "slurm" / "tadtune.sbatch"],
            env={**environment, "TADTUNE_STUDY": str(sandbox.file), "TOY_LOG": str(sandbox.log)},
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )


def left_running() -> list[str]:
    """Processes that have this job's session folder in their command lines."""
    return [line for process in psutil.process_iter() if f"tadtune-{JOB}" in (line := _line(process))]


def _line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return ""


def test_stopped_at_the_time_limit_and_resumed(
    slurm: dict[str, str], tmp_path: Path, toy_sweep: dict[str, Any]
) -> None:
    sandbox = Sandbox(tmp_path, {**toy_sweep, "set": {"detector.sleep_s": 0.3}, "budget": {"trials": 10}})
    (tmp_path / "slurm.out").touch()

    job = start(slurm, sandbox)
    wait_until(lambda: job.poll() is not None or sum(e["event"] == "test" for e in sandbox.events()) >= 2, 300)
    job.send_signal(signal.SIGUSR1)  # what Slurm sends two minutes before the time limit
    assert job.wait(120) == 130, (tmp_path / "slurm.out").read_text()
    assert (tmp_path / "requeued").read_text().strip() == str(JOB)
    assert 2 <= len(sandbox.results()) < 10
    wait_until(lambda: not left_running(), 120)

    job = start(slurm, sandbox)
    assert job.wait(400) == 0, (tmp_path / "slurm.out").read_text()
    sandbox.check_nothing_lost_or_doubled(10)
    assert not any(key[0] == "test" for key in sandbox.repeated())
    wait_until(lambda: not left_running(), 120)
    assert not Path(f"/tmp/tadtune-{JOB}").exists()

    steps = (tmp_path / "steps").read_text().splitlines()
    heads = [step for step in steps if step.startswith("ray start --head")]
    workers = [step for step in steps if step.startswith("ray start --block --address")]
    assert (len(heads), len(workers)) == (2, 2)
    assert all("--dashboard-host=127.0.0.1" in head for head in heads)
    # the token is in no command line
    assert not any(re.search("4f1d", step) for step in steps)


def test_a_head_that_cannot_start_is_said(slurm: dict[str, str], tmp_path: Path, toy_sweep: dict[str, Any]) -> None:
    sandbox = Sandbox(tmp_path, toy_sweep)
    (tmp_path / "bin" / "ray").write_text("#!/bin/sh\nexit 3\n")
    (tmp_path / "bin" / "ray").chmod(0o755)
    began = time.monotonic()
    job = start(slurm, sandbox)
    assert job.wait(60) == 1
    assert time.monotonic() - began < 60
    assert "did not come up" in (tmp_path / "slurm.out").read_text()
    assert not sandbox.storage.exists()
