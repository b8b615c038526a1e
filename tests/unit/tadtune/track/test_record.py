"""Records: whole or absent, appended once, adopted, locked."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tadtune.plan.trial import make_trial
from tadtune.spec.errors import StudyError
from tadtune.spec.parse import parse_study
from tadtune.track.files import read_lines, write_json
from tadtune.track.record import Report, Result, TrialRecord
from tadtune.track.study_folder import StudyFolder


def test_a_report_is_kept_once_even_when_training_repeats_it(tmp_path: Path) -> None:
    record = TrialRecord(tmp_path)
    for epoch in (1, 2, 2, 1, 3):
        record.append(Report(epoch, time=float(epoch), metrics={"a": 1.0}, seconds=0.0))
    assert [r.epoch for r in record.reports()] == [1, 2, 3]


def test_a_torn_last_line_costs_only_itself(tmp_path: Path) -> None:
    record = TrialRecord(tmp_path)
    record.append(Report(1, 1.0, {"a": 1.0}, 0.0))
    with (tmp_path / "metrics.jsonl").open("a") as stream:
        stream.write('{"epoch": 2, "ti')
    assert [r.epoch for r in record.reports()] == [1]
    record.append(Report(2, 2.0, {"a": 2.0}, 0.0))
    assert [r.epoch for r in record.reports()] == [1, 2]
    assert len(read_lines(tmp_path / "metrics.jsonl")) == 2


def _write_forever(path: Path) -> None:
    n = 0
    while True:
        n += 1
        write_json(path, {"n": n, "filler": "x" * 20_000})


def test_a_killed_writer_leaves_the_old_or_the_new_file(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    for _ in range(5):
        writer = multiprocessing.Process(target=_write_forever, args=(path,))
        writer.start()
        deadline = time.monotonic() + 30
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.1)
        os.kill(writer.pid or 0, signal.SIGKILL)
        writer.join()
        assert len(json.loads(path.read_text())["filler"]) == 20_000


def test_only_failures_are_forgotten(tmp_path: Path) -> None:
    record = TrialRecord(tmp_path)
    record.finish(Result("failed", error="x"))
    record.forget_failure()
    assert record.result() is None
    record.finish(Result("complete", objective=0.5))
    record.forget_failure()
    assert record.result() == Result("complete", objective=0.5)


def test_a_complete_trial_of_another_study_is_taken_over(tmp_path: Path, toy_sweep: dict[str, Any]) -> None:
    study = parse_study(toy_sweep)
    trial = make_trial(study, study.parts, study.values, 0)
    first, second = StudyFolder(tmp_path, "first"), StudyFolder(tmp_path, "second")
    second.path.mkdir(parents=True)
    record = first.record(trial.id)
    record.start(trial, {"data": "d"})
    write_json(record.folder / "mlflow.json", {"run_id": "first study's"})
    assert not second.adopt(trial.id)
    record.finish(Result("pruned", objective=None))
    assert not second.adopt(trial.id)
    record.finish(Result("complete", objective=0.5))
    assert second.adopt(trial.id)
    assert second.record(trial.id).result() == Result("complete", objective=0.5)
    assert not (second.record(trial.id).folder / "mlflow.json").exists()
    assert list(second.records()) == [trial.id]


def test_a_study_has_one_driver_at_a_time(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path, "study")
    with folder.lock(), pytest.raises(StudyError, match=f"running already .process {os.getpid()}"), folder.lock():
        pass
    with folder.lock():
        pass
