"""Killing the driver, a trial's process or the MLflow server: the same command again ends the study, once."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from toy_runs import MlflowServer, Sandbox, wait_until, worker_pids

pytestmark = pytest.mark.slow

NUM_TRIALS = 8

#: The command, but that it waits for a server that is away for two seconds at its end in place of half a minute.
IMPATIENT = """
from functools import partial
from tadtune.run import engine
engine.Settings = partial(engine.Settings, flush_s=2.0)
from tadtune.cli import main
main()
"""


@pytest.fixture
def slow_sweep(toy_sweep: dict[str, Any]) -> dict[str, Any]:
    raw = {**toy_sweep, "set": {"detector.sleep_s": 0.3}, "budget": {"trials": NUM_TRIALS}}
    return {**raw, "space": {**toy_sweep["space"], "detector.cut": "auto"}, "inference": {"trials": 5}}


def _reach(sandbox: Sandbox, driver: subprocess.Popen[str], results: int) -> None:
    """Wait until so many trials have ended, or the driver has, too early."""
    wait_until(lambda: len(sandbox.results()) >= results or driver.poll() is not None, 180)
    assert driver.poll() is None, driver.communicate()[0]


def _launches(sandbox: Sandbox) -> int:
    return len(sandbox.mlflow_runs().get("launch", []))


def _kill_one_in_a_trial(sandbox: Sandbox, since: int) -> bool:
    """Kill a process whose last event, of those after the first ``since``, is the end of a trial's first epoch.

    Two more epochs then keep it busy for half a second. One that is between trials would be no loss to any of them.
    """
    last = {event["pid"]: event for event in sandbox.events()[since:]}
    for pid, event in last.items():
        if (event["event"], event["epoch"]) == ("epoch", 1) and Path(f"/proc/{pid}").exists():
            os.kill(pid, signal.SIGKILL)
            return True
    return False


def test_the_driver_stopped_in_every_way_and_a_trials_process_killed(
    tmp_path: Path, slow_sweep: dict[str, Any]
) -> None:
    trials = 18
    sandbox = Sandbox(tmp_path, {**slow_sweep, "budget": {"trials": trials}})
    for number, how in enumerate((signal.SIGKILL, signal.SIGINT, signal.SIGTERM), start=1):
        driver = sandbox.start()
        _reach(sandbox, driver, len(sandbox.results()) + 2)
        wait_until(lambda n=number: _launches(sandbox) == n)  # type: ignore[misc]
        driver.send_signal(how)
        output, _ = driver.communicate(timeout=60)
        wait_until(lambda: not worker_pids(sandbox), 60)  # no orphan process
        results = sandbox.results()
        assert 2 <= len(results) < trials, "it ended of itself"
        assert set(results.values()) == {"complete"}  # what was interrupted is no failure
        if how == signal.SIGKILL:
            continue
        assert driver.returncode == 128 + how or driver.returncode == 130
        assert f"{how.name}: stopped; `tadtune run" in output
        assert "Traceback" not in output

    events = len(sandbox.events())
    driver = sandbox.start()
    _reach(sandbox, driver, len(sandbox.results()) + 2)  # what was interrupted goes first
    wait_until(lambda: _kill_one_in_a_trial(sandbox, events), every_s=0.02)
    output, _ = driver.communicate(timeout=240)
    assert driver.returncode == 0, output  # the driver has started the trial again
    kinds = [attempt.kind for record in sandbox.records() for attempt in record.attempts()]
    assert kinds == ["process"]
    sandbox.check_nothing_lost_or_doubled(trials)
    assert not any(key[0] == "test" for key in sandbox.repeated())
    # a trial may repeat the epoch it was in when it was stopped, nothing more
    assert all(count == 2 for count in sandbox.repeated().values())
    assert _launches(sandbox) == 4


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MlflowServer]:
    """An MLflow server that can be killed and started again."""
    server = MlflowServer(tmp_path / "server")
    yield server
    server.kill()


def test_kill_9_of_the_mlflow_server(tmp_path: Path, slow_sweep: dict[str, Any], server: MlflowServer) -> None:
    server.start()
    sandbox = Sandbox(tmp_path, slow_sweep, tracking_uri=server.uri)
    driver = sandbox.start("-c", IMPATIENT)
    _reach(sandbox, driver, 2)
    server.kill()
    output, _ = driver.communicate(timeout=240)
    assert driver.returncode == 0, output
    assert "did not take everything" in output
    assert len(sandbox.results()) == NUM_TRIALS  # the trials did not wait for it
    server.start()
    code, output = sandbox.run()
    assert code == 0, output
    sandbox.check_nothing_lost_or_doubled(NUM_TRIALS)
    assert not sandbox.repeated()


def test_a_server_that_is_not_there_is_said_before_anything_starts(tmp_path: Path, slow_sweep: dict[str, Any]) -> None:
    sandbox = Sandbox(tmp_path, slow_sweep, tracking_uri="http://127.0.0.1:9")
    code, output = sandbox.run()
    assert code == 2
    assert "tracking: http://127.0.0.1:9 does not answer" in output
    assert not sandbox.folder.exists()
