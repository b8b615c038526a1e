"""Studies on a real Ray cluster: run, extend, refuse, reuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from toy_runs import Here

from tadtune.spec.errors import StudyError
from tadtune.track.study_folder import StudyFolder

pytestmark = pytest.mark.slow


@pytest.fixture
def here(tmp_path: Path, ray_cluster: Any) -> Here:
    return Here(tmp_path)


def test_a_sweep_from_start_to_report(here: Here, toy_sweep: dict[str, Any]) -> None:
    raw = {**toy_sweep, "space": {**toy_sweep["space"], "detector.cut": "auto"}, "inference": {"trials": 10}}
    outcome = here.run(raw)
    assert (outcome.counts["complete"], outcome.ran, outcome.unsent) == (8, 8, "")
    here.sandbox(raw).check_nothing_lost_or_doubled(8)
    assert (outcome.folder.report / "report.html").stat().st_size > 1000
    best = max(r.result().objective for r in outcome.folder.records().values())  # type: ignore[union-attr, type-var]
    start = next(r for r in outcome.folder.records().values() if r.trial().config["detector.x"] == 0.8)  # type: ignore[union-attr]
    assert best > start.result().objective  # type: ignore[union-attr, operator]


def test_the_same_command_again_runs_nothing(here: Here, toy_sweep: dict[str, Any]) -> None:
    here.run(toy_sweep)
    assert here.run(toy_sweep).ran == 0
    here.sandbox(toy_sweep).check_nothing_lost_or_doubled(8)


def test_a_larger_budget_extends(here: Here, toy_sweep: dict[str, Any]) -> None:
    here.run({**toy_sweep, "budget": {"trials": 3}})
    outcome = here.run({**toy_sweep, "budget": {"trials": 6}})
    assert (outcome.ran, outcome.counts["complete"]) == (3, 6)
    here.sandbox(toy_sweep).check_nothing_lost_or_doubled(6)


def test_losers_of_a_sweep_give_their_checkpoints_up(here: Here, toy_sweep: dict[str, Any]) -> None:
    for trials in (4, 7):  # the budget holds over launches
        outcome = here.run({**toy_sweep, "budget": {"trials": trials, "checkpoints": 2}})
    results = {i: r.result() for i, r in outcome.folder.records().items()}
    ranked = sorted(results, key=lambda i: -results[i].objective)  # type: ignore[union-attr, operator]
    last = max(results, key=lambda i: results[i].finished_at)  # type: ignore[union-attr]
    kept = {i for i, record in outcome.folder.records().items() if record.checkpoint.is_file()}
    assert kept == {*ranked[:2], last}
    assert "checkpoints dropped (budget.checkpoints): the best and the last stay" in here.output.getvalue()


def test_an_incompatible_change_is_refused_and_nothing_is_touched(here: Here, toy_sweep: dict[str, Any]) -> None:
    small = {**toy_sweep, "budget": {"trials": 2}}
    folder = here.run(small).folder
    before = {p: p.read_bytes() for p in folder.path.rglob("*.json")}
    with pytest.raises(StudyError, match=r"config.detector.epochs: was 3, is now 4"):
        here.run({**small, "set": {"detector.epochs": 4}})
    assert {p: p.read_bytes() for p in folder.path.rglob("*.json")} == before


def test_an_ablation_with_aggregate_and_reference_runs(here: Here, toy_ablation: dict[str, Any]) -> None:
    assert here.run(toy_ablation).ran == 6
    runs = here.sandbox(toy_ablation).mlflow_runs()
    assert {r.info.run_name for r in runs["aggregate"]} == {"base (mean of seeds)", "good (mean of seeds)"}
    references = {r.data.tags["row"]: r.data.metrics for r in runs["reference"]}
    assert references["baseline"] == {"test/map_tiou_0.50": 0.138}
    good = next(r for r in runs["aggregate"] if r.data.tags["row"] == "good")
    values = [0.9 - 0.1 - 0.2 * 0.04 + 0.001 * seed - 0.01 for seed in (0, 1, 2)]
    assert good.data.metrics["test/map_tiou_0.50"] == pytest.approx(sum(values) / 3)
    assert good.data.metrics["test/map_tiou_0.50_difference"] == pytest.approx(0.25)
    assert good.data.metrics["test/map_tiou_0.50_paper_difference"] == pytest.approx(0.089)


def test_more_seeds_and_rows_extend_an_ablation(here: Here, toy_ablation: dict[str, Any]) -> None:
    here.run(toy_ablation)
    rows = {**toy_ablation["rows"], "third": {"set": {"detector.y": 2}}}
    outcome = here.run({**toy_ablation, "seeds": [0, 1, 2, 3], "rows": rows})
    assert outcome.ran == 3 * 4 - 6
    here.sandbox(toy_ablation).check_nothing_lost_or_doubled(12)


def test_a_trial_of_another_study_is_not_run_again(here: Here, toy_ablation: dict[str, Any]) -> None:
    here.run(toy_ablation)
    other = {**toy_ablation, "study": "toy/other"}
    other["rows"] = {"good": toy_ablation["rows"]["good"], "new": {"set": {"detector.x": 0.5}}}
    other["baseline"] = "new"
    outcome = here.run(other)
    assert outcome.counts["complete"] == 6
    records = outcome.folder.records()
    assert len(records) == 6
    first = StudyFolder(here.root / "runs", "toy__ablation").records()
    shared = records.keys() & first.keys()
    assert len(shared) == 3
    assert all(records[i].result() == first[i].result() for i in shared)


def test_failures_are_reported_and_run_again_by_the_same_command(here: Here, toy_ablation: dict[str, Any]) -> None:
    rows = {"base": {}, "broken": {"set": {"detector.fail": "raise"}}}
    raw = {**toy_ablation, "rows": rows, "seeds": [0]}
    outcome = here.run(raw)
    assert (outcome.counts["complete"], outcome.counts["failed"]) == (1, 1)
    assert "planted failure" in here.output.getvalue()
    failed = [r for r in outcome.folder.records().values() if r.result().status == "failed"]  # type: ignore[union-attr]
    assert len(failed) == 1
    runs = here.sandbox(raw).mlflow_runs()
    assert sorted(r.info.status for r in runs["trial"]) == ["FAILED", "FINISHED"]
    assert [r.data.tags["row"] for r in runs["aggregate"]] == ["base"]
    assert here.run(raw).counts["failed"] == 1


def test_faults_are_told_apart_each_with_its_own_budget(here: Here, toy_ablation: dict[str, Any]) -> None:
    kinds = {"error": "raise", "not_finite": "nan", "gpu_memory": "gpu_memory", "process": "die", "timeout": "hang"}
    rows = {"base": {}, **{kind: {"set": {"detector.fail": how}} for kind, how in kinds.items()}}
    raw = {**toy_ablation, "rows": rows, "seeds": [0], "resources": {"timeout": "6s"}}
    outcome = here.run(raw)
    assert (outcome.counts["complete"], outcome.counts["failed"]) == (1, 5)
    failed = {}
    for record in outcome.folder.records().values():
        result = record.result()
        assert result is not None
        if result.status == "failed":
            failed[result.kind] = (result, record)
            assert (result.objective, dict(result.metrics)) == (None, {})
    attempts = {kind: result.attempts for kind, (result, _) in failed.items()}
    assert attempts == {"error": 1, "not_finite": 1, "gpu_memory": 2, "process": 4, "timeout": 1}
    said = {"error": "planted failure", "not_finite": "class = nan", "gpu_memory": "CUDA out of memory"}
    said |= {"process": "process died: ", "timeout": "in train_epoch"}
    for kind, words in said.items():
        assert words in failed[kind][0].error
        assert [a.kind for a in failed[kind][1].attempts()] == [kind] * attempts[kind]
    assert failed["process"][0].epochs == 1  # it went on from its checkpoint, and died there again
    page = (outcome.folder.report / "report.md").read_text()
    assert "4 attempts did not end a trial and were repeated: 1 x out of GPU memory, 3 x process died" in page
    assert "out of time" in page
    runs = here.sandbox(raw).mlflow_runs()["trial"]
    assert {r.data.tags.get("tadtune.failure") for r in runs} == {*kinds, None}


def test_only_what_failed_is_repeated_from_its_checkpoint(here: Here, toy_ablation: dict[str, Any]) -> None:
    rows = {"base": {}, "slow": {"set": {"detector.sleep_s": 3.0}}}
    raw = {**toy_ablation, "rows": rows, "seeds": [0], "resources": {"timeout": "5s"}}
    outcome = here.run(raw)
    assert (outcome.counts["complete"], outcome.counts["failed"]) == (1, 1)
    more = {**raw, "resources": {}, "rows": {**rows, "new": {"set": {"detector.y": 3}}}}
    with pytest.raises(StudyError, match="no trial failed"):
        here.run({**raw, "study": "toy/another"}, only_failed=True)
    again = here.run(more, only_failed=True)
    assert (again.ran, again.counts["complete"], again.counts["failed"]) == (1, 2, 0)
    slow = next(r for r in again.folder.records().values() if r.attempts())
    assert [attempt.kind for attempt in slow.attempts()] == ["timeout"]
    first, second, *_ = slow.reports()
    assert first.time < slow.attempts()[0].ended_at < second.time
    assert 3 <= second.seconds - first.seconds < 5.5  # one epoch, not two
    assert here.run(more).counts["complete"] == 3


def test_pruned_trials_are_told_apart(here: Here, toy_sweep: dict[str, Any]) -> None:
    raw = {
        **toy_sweep,
        "set": {"detector.epochs": 5},
        "budget": {"trials": 14},
        "pruner": {"name": "median", "n_startup_trials": 3, "n_warmup_steps": 0},
        "resources": {"max_concurrent": 1},
    }
    outcome = here.run(raw)
    assert outcome.counts["pruned"] > 0
    assert outcome.counts["complete"] + outcome.counts["pruned"] == 14
    sandbox = here.sandbox(raw)
    sandbox.check_nothing_lost_or_doubled(14)
    assert sandbox.optuna_states()["PRUNED"] == outcome.counts["pruned"]
    for record in outcome.folder.records().values():
        result = record.result()
        assert result is not None
        if result.status == "pruned":
            assert not any(name.startswith("test") for name in result.metrics)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"set": {"dataset.missing": True}}, "data: .*make it with `tadtune data build toy`"),
        ({"resources": {"cpus": 500}}, "resources: one trial needs 500 CPU, the cluster has"),
        ({"resources": {"gpus": 4}}, "resources: one trial needs 4 GPU"),
        ({"resources": {"workers": 2, "cpus": 50}}, "resources: one trial needs 100 CPU"),
        ({"resources": {"max_concurrent": 900}}, "resources.max_concurrent: 900 trials at a time"),
        ({"sampler": {"name": "tpe", "startup": 3}}, "sampler 'tpe': Optuna's TPESampler refuses its options"),
    ],
)
def test_preflight_says_what_does_not_fit(
    here: Here, toy_sweep: dict[str, Any], changes: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(StudyError, match=complaint):
        here.run({**toy_sweep, **changes})
    assert not StudyFolder(here.root / "runs", "toy__sweep").records()


def test_data_that_changed_under_a_study_are_noticed(
    here: Here, toy_sweep: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = {**toy_sweep, "budget": {"trials": 1}}
    here.run(small)
    monkeypatch.setenv("TOY_DATA_DIGEST", "b")
    with pytest.raises(StudyError, match="was run on data toy-1-a, now they are toy-1-b"):
        here.run({**small, "budget": {"trials": 2}})


def test_one_ray_train_worker_gives_the_same_numbers(
    tmp_path: Path, ray_cluster: Any, toy_sweep: dict[str, Any]
) -> None:
    metrics = []
    for workers in (0, 1):
        here = Here(tmp_path / str(workers))  # a storage each, or the finished trial would simply be taken over
        raw = {**toy_sweep, "budget": {"trials": 1}, "resources": {"workers": workers}}
        outcome = here.run(raw)
        here.sandbox(raw).check_nothing_lost_or_doubled(1)
        ((trial_id, record),) = outcome.folder.records().items()
        result = record.result()
        assert result is not None
        reports = [(report.epoch, report.metrics) for report in record.reports()]
        metrics.append((trial_id, result.metrics, result.objective, reports))
    assert metrics[0] == metrics[1]
