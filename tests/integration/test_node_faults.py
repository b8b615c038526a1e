"""A raylet killed and a host cut off: every trial once, with the numbers of an undisturbed run, and no orphan.

The whole table of faults, on trials of two workers, is made by ``fault_table.py`` (`make faults`).
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import hosts
import pytest
from hosts import Cluster
from toy_jobs import toy_job
from toy_runs import Sandbox, wait_until

from tadtune.run.loop import Place, run_trial
from tadtune.track.record import TrialRecord

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(hosts.why_not()), reason=str(hosts.why_not())),
]

TRIAL = "ray::ResourceTrainable"


def _start(sandbox: Sandbox, cluster: Cluster) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "tadtune", "run", str(sandbox.file), "--storage", str(sandbox.storage)]
    words += ["--data", str(sandbox.root / "data"), "--address", cluster.address]
    return cluster.host(1).start(words, sandbox.root / "driver.log", **cluster.environment)


def _undisturbed(folder: Path, record: TrialRecord) -> TrialRecord:
    """The same trial, run here and now."""
    trial = record.trial()
    assert trial is not None
    job = toy_job(trial, folder)
    list(run_trial(job, Place()))
    return TrialRecord(job.record_folder)


def test_a_raylet_and_a_host_are_lost(tmp_path: Path, toy_sweep: dict[str, Any], monkeypatch: Any) -> None:
    monkeypatch.setattr("tadtune_toy.time.sleep", lambda seconds: None)
    raw = {**toy_sweep, "set": {"detector.sleep_s": 2.0}, "budget": {"trials": 6}}
    sandbox = Sandbox(tmp_path, raw)
    with Cluster(tmp_path / "hosts", [1, 1, 1], {"TOY_LOG": str(sandbox.log)}) as cluster:
        driver = _start(sandbox, cluster)
        for number, lose in ((2, cluster.kill_raylet), (3, cluster.cut)):
            wait_until(lambda n=number: bool(cluster.host(n).processes(TRIAL)), 240)  # type: ignore[misc]
            epochs = len(sandbox.events())
            wait_until(lambda n=epochs: len(sandbox.events()) >= n + 2, 240)  # type: ignore[misc]
            lose(number)
        driver.wait(400)
        log = (tmp_path / "driver.log").read_text()
        assert driver.returncode == 0, log
        wait_until(lambda: not cluster.host(1).processes(TRIAL), 60)  # no orphan
        assert not cluster.host(2).processes(TRIAL)
    sandbox.check_nothing_lost_or_doubled(6)
    records = [TrialRecord(folder) for folder in sorted((sandbox.folder / "trials").iterdir())]
    assert {a.kind for record in records for a in record.attempts()} == {"machine"}
    for record in records:
        alone, result = _undisturbed(tmp_path / "alone", record).result(), record.result()
        assert alone is not None and result is not None
        assert (result.metrics, result.objective) == (alone.metrics, alone.objective)
        assert [r.metrics for r in record.reports()] == [
            r.metrics for r in TrialRecord(tmp_path / "alone" / record.folder.name).reports()
        ]
