"""The one code path of a trial, without Ray."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from toy_jobs import toy_job

from tadtune.plan.trial import make_trial
from tadtune.run.job import Job
from tadtune.run.loop import Place, run_trial
from tadtune.spec.parse import parse_study
from tadtune.track.record import TrialRecord


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "toy.log"
    monkeypatch.setenv("TOY_LOG", str(path))
    return path


def _job(folder: Path, raw: dict[str, Any], **values: Any) -> Job:
    study = parse_study(raw)
    return toy_job(make_trial(study, study.parts, {**study.values, **values}, seed=0), folder)


def _events(log: Path) -> list[tuple[str, int]]:
    return [(e["event"], e["epoch"]) for e in map(json.loads, log.read_text().splitlines())]


def test_reports_then_a_result(tmp_path: Path, toy_sweep: dict[str, Any], log: Path) -> None:
    job = _job(tmp_path, toy_sweep)
    steps = list(run_trial(job, Place()))
    assert [(s["epoch"], s["done"]) for s in steps] == [(1, False), (2, False), (3, False), (3, True)]
    result = TrialRecord(job.record_folder).result()
    assert result is not None
    assert result.status == "complete"
    assert result.objective == pytest.approx(result.metrics["select/avg_map"])
    assert _events(log) == [("epoch", 1), ("epoch", 2), ("epoch", 3), ("test", 3)]


def test_an_interrupted_trial_goes_on_from_its_checkpoint(tmp_path: Path, toy_sweep: dict[str, Any], log: Path) -> None:
    job = _job(tmp_path, toy_sweep)
    steps = run_trial(job, Place())
    next(steps), next(steps)
    del steps  # the process is gone
    assert [s["epoch"] for s in run_trial(job, Place())] == [3, 3]
    assert _events(log) == [("epoch", 1), ("epoch", 2), ("epoch", 3), ("test", 3)]
    undisturbed = _job(tmp_path / "other", toy_sweep)
    list(run_trial(undisturbed, Place()))
    results = [TrialRecord(j.record_folder).result() for j in (job, undisturbed)]
    assert results[0] is not None and results[1] is not None
    assert results[0].metrics == results[1].metrics


def test_a_finished_trial_is_not_run_again(tmp_path: Path, toy_sweep: dict[str, Any], log: Path) -> None:
    job = _job(tmp_path, toy_sweep)
    list(run_trial(job, Place()))
    before = log.read_text()
    (step,) = run_trial(job, Place())
    assert step["done"]
    assert log.read_text() == before


def test_inference_values_are_tuned_without_training(tmp_path: Path, toy_sweep: dict[str, Any], log: Path) -> None:
    raw = {**toy_sweep, "inference": {"space": {"detector.cut": "auto"}, "trials": 30}}
    job = _job(tmp_path, raw)
    list(run_trial(job, Place()))
    result = TrialRecord(job.record_folder).result()
    assert result is not None
    assert result.inference["detector.cut"] == pytest.approx(0.7, abs=0.1)
    assert result.objective == result.metrics["select_tuned/avg_map"] > result.metrics["select/avg_map"]
    assert result.metrics["test_tuned/avg_map"] > result.metrics["test/avg_map"]
    assert _events(log).count(("test", 3)) == 1


def test_inference_values_of_tasks_are_tuned_as_well(tmp_path: Path, toy_sweep: dict[str, Any], log: Path) -> None:
    space = {"tasks.toy_mac.tilt": {"float": [0.0, 0.9]}}
    raw = {**toy_sweep, "detector": "toy_full", "tasks": ["toy_mac"], "inference": {"space": space, "trials": 20}}
    job = _job(tmp_path, raw)
    list(run_trial(job, Place()))
    result = TrialRecord(job.record_folder).result()
    assert result is not None
    tilt = result.inference["tasks.toy_mac.tilt"]
    assert tilt > 0.75
    for split in ("select", "test"):
        gain = result.metrics[f"{split}_tuned/avg_map"] - result.metrics[f"{split}/avg_map"]
        assert gain == pytest.approx(0.1 * (tilt - 0.5))
    assert _events(log).count(("test", 3)) == 1


@pytest.mark.parametrize(("how", "said"), [("raise", "planted failure"), ("nan", "class = nan")])
def test_a_failure_is_recorded_and_never_a_score(
    tmp_path: Path, toy_sweep: dict[str, Any], how: str, said: str
) -> None:
    job = _job(tmp_path, toy_sweep, **{"detector.fail": how})
    (step,) = run_trial(job, Place())
    result = TrialRecord(job.record_folder).result()
    assert result is not None
    assert (result.status, result.objective, dict(result.metrics)) == ("failed", None, {})
    assert said in (result.error or "")
    assert (result.kind, result.attempts) == ("not_finite" if how == "nan" else "error", 1)
    assert "Traceback" in (result.error or "")
    assert "select/avg_map" not in step


def test_what_may_be_tried_again_is_noted_and_no_result(tmp_path: Path, toy_sweep: dict[str, Any]) -> None:
    job = _job(tmp_path, toy_sweep, **{"detector.fail": "gpu_memory"})
    record = TrialRecord(job.record_folder)
    for number in (1, 2):
        (step,) = run_trial(dataclasses.replace(job, attempt=number), Place())
        assert step["done"]
    assert record.result() is None
    assert [(a.number, a.kind) for a in record.attempts()] == [(1, "gpu_memory"), (2, "gpu_memory")]
    assert "CUDA out of memory" in record.attempts()[0].reason


@pytest.mark.parametrize("world_size", [1, 2])
def test_a_peer_that_is_gone_is_no_failure_of_this_process(
    tmp_path: Path, toy_sweep: dict[str, Any], world_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(self: Any) -> None:
        raise ConnectionError("a process of the trial's group is gone")

    monkeypatch.setattr("tadtune_toy.ToyTrial.train_epoch", gone)
    job = _job(tmp_path, toy_sweep)
    record = TrialRecord(job.record_folder)
    if world_size == 2:
        with pytest.raises(ConnectionError):
            list(run_trial(job, Place(world_size=2)))
        assert (record.result(), record.attempts()) == (None, [])
    else:
        list(run_trial(job, Place()))
        assert [a.kind for a in record.attempts()] == ["error"]


def test_an_error_of_any_process_of_a_group_is_the_trials(tmp_path: Path, toy_sweep: dict[str, Any]) -> None:
    job = _job(tmp_path, toy_sweep, **{"detector.fail": "raise"})
    with pytest.raises(RuntimeError, match="planted failure"):
        list(run_trial(job, Place(rank=1, world_size=2)))
    result = TrialRecord(job.record_folder).result()
    assert result is not None
    assert (result.status, result.kind) == ("failed", "error")


def test_one_of_several_workers_lets_the_group_know(tmp_path: Path, toy_sweep: dict[str, Any]) -> None:
    job = _job(tmp_path, toy_sweep, **{"detector.fail": "raise"})
    with pytest.raises(RuntimeError, match="planted failure"):
        list(run_trial(job, Place(rank=0, world_size=2)))
    assert TrialRecord(job.record_folder).result() is not None
