"""The tracker on a real MLflow store: one request a report, nothing twice, nothing orphaned, whatever dies."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from tadtune.plan.trial import Trial, make_trial
from tadtune.spec.errors import StudyError
from tadtune.spec.parse import parse_study
from tadtune.track.mlflow_tracking.runs import MlflowStore, Summary, check_tracking, default_uri
from tadtune.track.mlflow_tracking.tracker import Labels, Tracker
from tadtune.track.record import Report, Result
from tadtune.track.study_folder import StudyFolder


class Study:
    """A study's folder with an MLflow file beside it."""

    def __init__(self, root: Path, raw: dict[str, Any]) -> None:
        self.folder = StudyFolder(root, "study")
        self.uri = default_uri(root)
        self.raw = parse_study(raw)

    def trial(self, seed: int) -> Trial:
        trial = make_trial(self.raw, self.raw.parts, self.raw.values, seed)
        self.folder.record(trial.id).start(trial, {})
        return trial

    def report(self, trial: Trial, epoch: int) -> None:
        self.folder.record(trial.id).append(Report(epoch, 1000.0 + epoch, {"select/avg_map": epoch / 10}, float(epoch)))

    def finish(self, trial: Trial, status: str = "complete") -> None:
        objective = 0.5 if status == "complete" else None
        metrics = {"test/avg_map": 0.4} if status == "complete" else {}
        result = Result(status, metrics, objective, 3, 3.0, 2000.0, {}, None)  # type: ignore[arg-type]
        self.folder.record(trial.id).finish(result)

    def tracker(self, uri: str | None = None) -> Tracker:
        def label(trial_id: str, trial: Trial) -> Labels:
            return Labels(f"seed {trial.seed}", {"seed": str(trial.seed)}, dict(trial.config))

        return Tracker(uri or self.uri, "toy/study", self.folder, label, {"detector": "toy"})

    def run(self, uri: str | None = None, summaries: tuple[Summary, ...] = (), timeout_s: float = 30.0) -> str:
        tracker = self.tracker(uri)
        tracker.start()
        return tracker.close(status="FINISHED", metrics={}, summaries=summaries, artifacts=[], timeout_s=timeout_s)

    def runs(self) -> dict[str, list[Run]]:
        client = MlflowClient(tracking_uri=self.uri)
        experiment = client.get_experiment_by_name("toy/study")
        found: dict[str, list[Run]] = {}
        for run in client.search_runs([experiment.experiment_id]):
            found.setdefault(run.data.tags["tadtune.kind"], []).append(run)
        return found


@pytest.fixture
def study(tmp_path: Path, toy_sweep: dict[str, Any]) -> Study:
    return Study(tmp_path, toy_sweep)


def test_a_trial_becomes_one_run_below_its_launch(study: Study) -> None:
    trial = study.trial(0)
    for epoch in (1, 2, 3):
        study.report(trial, epoch)
    study.finish(trial)
    assert study.run() == ""
    runs = study.runs()
    (launch,), (run,) = runs["launch"], runs["trial"]
    assert run.data.tags["mlflow.parentRunId"] == launch.info.run_id
    assert (run.info.run_name, run.info.status, launch.info.status) == ("seed 0", "FINISHED", "FINISHED")
    assert run.data.metrics["test/avg_map"] == 0.4
    assert run.data.metrics["objective"] == 0.5
    assert run.data.params["detector.x"] == "0.8"
    history = MlflowClient(tracking_uri=study.uri).get_metric_history(run.info.run_id, "select/avg_map")
    assert [(m.step, m.value, m.timestamp) for m in history] == [(e, e / 10, 1_000_000 + 1000 * e) for e in (1, 2, 3)]


def test_one_request_for_each_report(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for name in ("create_run", "log_batch", "set_terminated", "log_artifact", "set_tag", "log_metric", "log_param"):
        original = getattr(MlflowClient, name)

        def counted(self: MlflowClient, *args: Any, _name: str = name, _original: Any = original, **kw: Any) -> Any:
            calls.append(_name)
            return _original(self, *args, **kw)

        monkeypatch.setattr(MlflowClient, name, counted)
    trial = study.trial(0)
    for epoch in range(1, 8):
        study.report(trial, epoch)
    study.finish(trial)
    study.run()
    assert calls.count("create_run") == 2  # the launch and the trial
    assert calls.count("log_batch") == 7 + 1
    assert not {"log_metric", "log_param", "set_tag"} & set(calls)


def test_the_next_launch_sends_only_what_is_new(study: Study) -> None:
    first, second = study.trial(0), study.trial(1)
    study.report(first, 1)
    study.finish(first)
    study.report(second, 1)
    study.run()
    study.report(second, 2)
    study.finish(second, "pruned")
    study.run()
    runs = study.runs()
    assert len(runs["trial"]) == 2
    assert len(runs["launch"]) == 2
    by_name = {r.info.run_name: r for r in runs["trial"]}
    assert by_name["seed 1"].info.status == "KILLED"
    client = MlflowClient(tracking_uri=study.uri)
    for name, steps in (("seed 0", [1]), ("seed 1", [1, 2])):
        history = client.get_metric_history(by_name[name].info.run_id, "select/avg_map")
        assert [m.step for m in history] == steps


def test_a_driver_that_died_before_noting_what_it_sent(study: Study) -> None:
    trial = study.trial(0)
    study.report(trial, 1)
    study.finish(trial)
    study.run()
    (study.folder.record(trial.id).folder / "mlflow.json").unlink()
    study.run()
    (run,) = study.runs()["trial"]
    history = MlflowClient(tracking_uri=study.uri).get_metric_history(run.info.run_id, "select/avg_map")
    assert len(history) == 1  # time stamps come from the record, so a replay adds nothing


def test_a_launch_whose_driver_died_is_closed_by_the_next(study: Study) -> None:
    store = MlflowStore(study.uri, "toy/study", study.folder.storage / "mlartifacts")
    store.start_launch("dead", {})
    study.trial(0)
    study.run()
    states = {r.info.run_name.split()[0]: r.info.status for r in study.runs()["launch"]}
    assert states == {"dead": "KILLED", "launch": "FINISHED"}


def test_a_failed_trial_has_its_reason_and_runs_again_in_the_same_run(study: Study) -> None:
    trial = study.trial(0)
    record = study.folder.record(trial.id)
    record.finish(Result("failed", finished_at=1.0, error="Traceback ... planted failure"))
    study.run()
    (run,) = study.runs()["trial"]
    assert (run.info.status, "planted failure" in run.data.tags["tadtune.error"]) == ("FAILED", True)
    record.forget_failure()
    study.report(trial, 1)
    study.finish(trial)
    study.run()
    (again,) = study.runs()["trial"]
    assert (again.info.run_id, again.info.status) == (run.info.run_id, "FINISHED")


def test_summaries_are_written_once_and_renewed_when_they_change(study: Study) -> None:
    def summary(value: float) -> Summary:
        return Summary("aggregate", "row a", {"test/avg_map": value}, {"row": "a"})

    study.trial(0)
    study.run(summaries=(summary(0.5),))
    study.run(summaries=(summary(0.5),))
    (run,) = study.runs()["aggregate"]
    client = MlflowClient(tracking_uri=study.uri)
    assert len(client.get_metric_history(run.info.run_id, "test/avg_map")) == 1
    study.run(summaries=(summary(0.6),))
    (run,) = study.runs()["aggregate"]
    assert run.data.metrics["test/avg_map"] == 0.6
    assert run.info.status == "FINISHED"


def test_a_server_that_is_away_costs_nothing_but_says_so(study: Study) -> None:
    trial = study.trial(0)
    study.report(trial, 1)
    study.finish(trial)
    began = time.monotonic()
    said = study.run(uri="http://127.0.0.1:9", timeout_s=2.0)
    assert "did not take everything" in said
    assert time.monotonic() - began < 10
    assert study.run() == ""
    assert len(study.runs()["trial"]) == 1


def test_preflight_of_the_tracking_address(tmp_path: Path) -> None:
    check_tracking(default_uri(tmp_path))
    with pytest.raises(StudyError, match="tracking: http://127.0.0.1:9 does not answer"):
        check_tracking("http://127.0.0.1:9")
    with pytest.raises(StudyError, match="is no http"):
        check_tracking("./mlruns")
