"""Killing the driver, a trial's process or the MLflow server: the same command again ends the study, once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from toy_runs import MlflowServer, Sandbox, wait_until, worker_pids

pytestmark = pytest.mark.slow


@pytest.fixture
def slow_sweep(toy_sweep: dict[str, Any]) -> dict[str, Any]:
    raw = {**toy_sweep, "set": {"detector.sleep_s": 0.3}, "budget": {"trials": 8}}
    return {**raw, "space": {**toy_sweep["space"], "detector.cut": "auto"}, "inference": {"trials": 5}}


def _done(sandbox: Sandbox) -> int:
    return sum(event["event"] == "test" for event in sandbox.events())


def test_kill_9_of_the_driver_half_way(tmp_path: Path, slow_sweep: dict[str, Any]) -> None:
    sandbox = Sandbox(tmp_path, slow_sweep)
    for at_least in (2, 5):
        driver = sandbox.start()
        wait_until(lambda n=at_least: _done(sandbox) >= n)  # type: ignore[misc]
        driver.send_signal(signal.SIGKILL)
        driver.communicate()
        wait_until(lambda: not worker_pids(sandbox), 30)  # no orphan process
    code, output = sandbox.run()
    assert code == 0, output
    sandbox.check_nothing_lost_or_doubled(8)
    assert not any(key[0] == "test" for key in sandbox.repeated())
    # a trial may repeat the epoch it was in when it was killed, nothing more
    assert all(count == 2 for count in sandbox.repeated().values())
    assert len(sandbox.mlflow_runs()["launch"]) == 3


def test_kill_9_of_a_trials_process(tmp_path: Path, slow_sweep: dict[str, Any]) -> None:
    sandbox = Sandbox(tmp_path, slow_sweep)
    driver = sandbox.start()
    wait_until(lambda: _done(sandbox) >= 1 and bool(worker_pids(sandbox)))
    os.kill(worker_pids(sandbox)[0], signal.SIGKILL)
    output, _ = driver.communicate(timeout=120)
    assert driver.returncode == 0, output
    sandbox.check_nothing_lost_or_doubled(8)
    assert not any(key[0] == "test" for key in sandbox.repeated())
    assert len(sandbox.mlflow_runs()["launch"]) == 1


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop(tmp_path: Path, slow_sweep: dict[str, Any], how: signal.Signals) -> None:
    sandbox = Sandbox(tmp_path, slow_sweep)
    driver = sandbox.start()
    wait_until(lambda: _done(sandbox) >= 1)
    driver.send_signal(how)
    output, _ = driver.communicate(timeout=30)
    assert len(sandbox.results()) < 8, "it ended of itself"
    assert driver.returncode == 128 + how or driver.returncode == 130
    assert f"{how.name}: stopped; `tadtune run" in output
    assert "Traceback" not in output
    assert set(sandbox.results().values()) == {"complete"}  # what was interrupted is no failure
    code, output = sandbox.run()
    assert code == 0, output
    sandbox.check_nothing_lost_or_doubled(8)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MlflowServer]:
    """An MLflow server that can be killed and started again."""
    server = MlflowServer(tmp_path / "server")
    yield server
    server.kill()


def test_kill_9_of_the_mlflow_server(tmp_path: Path, slow_sweep: dict[str, Any], server: MlflowServer) -> None:
    server.start()
    sandbox = Sandbox(tmp_path, slow_sweep, tracking_uri=server.uri)
    driver = sandbox.start()
    wait_until(lambda: _done(sandbox) >= 2)
    server.kill()
    output, _ = driver.communicate(timeout=180)
    assert driver.returncode == 0, output
    assert "did not take everything" in output
    assert len(sandbox.results()) == 8  # the trials did not wait for it
    server.start()
    code, output = sandbox.run()
    assert code == 0, output
    sandbox.check_nothing_lost_or_doubled(8)
    assert not sandbox.repeated()


def test_a_server_that_is_not_there_is_said_before_anything_starts(tmp_path: Path, slow_sweep: dict[str, Any]) -> None:
    sandbox = Sandbox(tmp_path, slow_sweep, tracking_uri="http://127.0.0.1:9")
    code, output = sandbox.run()
    assert code == 2
    assert "tracking: http://127.0.0.1:9 does not answer" in output
    assert not sandbox.folder.exists()
