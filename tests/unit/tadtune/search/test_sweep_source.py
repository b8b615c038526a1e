"""The sweep's source: states of Optuna's trials follow the records, whatever was interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from tadtune.plan.trial import Trial, make_trial
from tadtune.search.sweep import SweepSource
from tadtune.spec.errors import StudyError
from tadtune.spec.parse import parse_study
from tadtune.track.record import Result
from tadtune.track.study_folder import StudyFolder


class Sweep:
    """A study in a folder, run by hand."""

    def __init__(self, folder: Path, raw: dict[str, Any]) -> None:
        self.study = parse_study(raw)
        self.folder = StudyFolder(folder, "sweep")
        self.open()

    def open(self) -> None:
        self.source = SweepSource(self.study, self.folder)

    def start(self) -> Trial:
        trial = self.source.next()
        assert trial is not None
        self.folder.record(trial.id).start(trial, {})
        return trial

    def finish(self, trial: Trial, result: Result, *, tell: bool = True) -> None:
        self.folder.record(trial.id).finish(result)
        if tell:
            self.source.ended(trial.id, result)


@pytest.fixture
def sweep(tmp_path: Path, toy_sweep: dict[str, Any]) -> Sweep:
    return Sweep(tmp_path, toy_sweep)


def test_the_papers_setting_is_the_first_trial(sweep: Sweep) -> None:
    trial = sweep.start()
    assert (trial.config["detector.x"], trial.config["detector.y"]) == (0.8, 1)


def test_states_are_those_the_trials_really_ended_in(sweep: Sweep) -> None:
    for result in (Result("complete", objective=0.5), Result("failed", error="x")):
        sweep.finish(sweep.start(), result)
    trial = sweep.start()
    sweep.source.should_stop(trial.id, 1, 0.25)
    sweep.finish(trial, Result("pruned"))
    assert sweep.source.states() == {"COMPLETE": 1, "FAIL": 1, "PRUNED": 1}


def test_the_budget_counts_distinct_trials_over_launches(sweep: Sweep) -> None:
    for _ in range(5):
        sweep.finish(sweep.start(), Result("complete", objective=0.5))
    sweep.open()
    ran = 0
    while (trial := sweep.source.next()) is not None:
        sweep.folder.record(trial.id).start(trial, {})
        sweep.finish(trial, Result("complete", objective=0.1))
        ran += 1
    assert ran == 3
    assert len(sweep.folder.records()) == 8


def _with_rule(monkeypatch: pytest.MonkeyPatch, least_x: float) -> None:
    def ruled(study: Any, parts: Any, values: Any, seed: int) -> Trial:
        if values.get("detector.x", 0.8) < least_x:
            raise StudyError([f"detector: x: {values['detector.x']} is below {least_x}"])
        return make_trial(study, parts, values, seed)

    monkeypatch.setattr("tadtune.search.sweep.make_trial", ruled)


def test_suggestions_that_break_a_rule_between_fields_are_passed_over(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    _with_rule(monkeypatch, 0.6)
    found = []
    for number in range(8):
        if number == 4:
            sweep.open()
        trial = sweep.start()
        sweep.finish(trial, Result("complete", objective=0.5))
        found.append(trial.config["detector.x"])
    assert len(found) == 8
    assert min(found) >= 0.6
    states = sweep.source.states()
    assert states["COMPLETE"] == 8
    assert states["FAIL"] > 0
    assert sweep.source.next() is None
    assert len(sweep.folder.records()) == 8


def test_a_space_without_any_configuration_that_is_allowed_is_named(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep.start()
    _with_rule(monkeypatch, 2.0)
    with pytest.raises(StudyError, match=r"x: .* is below 2\.0\nspace: 100 suggestions in a row break this rule"):
        sweep.source.next()


def test_after_a_crash_nothing_is_running_and_the_interrupted_trial_comes_first(sweep: Sweep) -> None:
    done, told_late, interrupted = sweep.start(), sweep.start(), sweep.start()
    sweep.finish(done, Result("complete", objective=0.5))
    sweep.finish(told_late, Result("complete", objective=0.9), tell=False)  # the driver died before it could
    sweep.open()
    assert "RUNNING" not in sweep.source.states()
    assert sweep.source.states()["COMPLETE"] == 2
    assert sweep.start().id == interrupted.id


def test_crashing_again_and_again_never_loses_or_repeats_a_trial(sweep: Sweep) -> None:
    seen: dict[str, int] = {}
    for _ in range(30):
        trial = sweep.source.next()
        if trial is None:
            break
        sweep.folder.record(trial.id).start(trial, {})
        seen[trial.id] = seen.get(trial.id, 0) + 1
        if seen[trial.id] == 3:  # each trial needs three attempts
            sweep.finish(trial, Result("complete", objective=0.5), tell=False)
        sweep.open()
    assert len(seen) == 8
    assert set(seen.values()) == {3}
    assert sweep.source.states()["COMPLETE"] == 8
    assert "RUNNING" not in sweep.source.states()


def test_a_lost_sampler_storage_is_rebuilt_from_the_records(sweep: Sweep) -> None:
    for value in (0.1, 0.7, 0.4):
        sweep.finish(sweep.start(), Result("complete", objective=value))
    sweep.folder.journal.unlink()
    sweep.open()
    assert sweep.source.states()["COMPLETE"] == 3


def test_a_resumed_sampler_draws_new_points(sweep: Sweep) -> None:
    ids = []
    for _ in range(4):
        trial = sweep.start()
        ids.append(trial.id)
        sweep.finish(trial, Result("complete", objective=0.5))
        sweep.open()
    assert len(set(ids)) == 4
    assert sweep.source.states()["COMPLETE"] == 4


def test_a_small_space_ends_by_itself(tmp_path: Path, toy_sweep: dict[str, Any]) -> None:
    space = {"detector.mode": "auto", "detector.sizes": "auto"}
    sweep = Sweep(tmp_path, {**toy_sweep, "space": space, "sampler": "random"})
    configs = set()
    while (trial := sweep.source.next()) is not None:
        sweep.folder.record(trial.id).start(trial, {})
        configs.add((trial.config["detector.mode"], tuple(trial.config["detector.sizes"])))
        sweep.finish(trial, Result("complete", objective=0.5))
    assert configs == {("plain", (1,)), ("plain", (1, 2)), ("noisy", (1,)), ("noisy", (1, 2))}
    assert len(sweep.folder.records()) == 4


def test_conditions_hold_for_every_suggestion(tmp_path: Path, toy_sweep: dict[str, Any]) -> None:
    space = {"detector.mode": "auto", "detector.x": {"float": [0, 1], "when": {"detector.mode": "noisy"}}}
    sweep = Sweep(tmp_path, {**toy_sweep, "space": space, "budget": {"trials": 20}})
    for _ in range(12):
        trial = sweep.source.next()
        if trial is None:
            break
        sweep.folder.record(trial.id).start(trial, {})
        if trial.config["detector.mode"] == "plain":
            assert trial.config["detector.x"] == 0.8
        sweep.finish(trial, Result("complete", objective=0.5))


def test_median_pruning_stops_the_weak_and_remembers_over_launches(tmp_path: Path, toy_sweep: dict[str, Any]) -> None:
    pruner = {"name": "median", "n_startup_trials": 2, "n_warmup_steps": 0}
    sweep = Sweep(tmp_path, {**toy_sweep, "pruner": pruner})
    for value in (0.8, 0.9):
        trial = sweep.start()
        assert not sweep.source.should_stop(trial.id, 1, value)
        sweep.finish(trial, Result("complete", objective=value))
    sweep.open()
    weak, strong = sweep.start(), sweep.start()
    assert sweep.source.should_stop(weak.id, 1, 0.1)
    assert not sweep.source.should_stop(strong.id, 1, 0.95)


@pytest.mark.parametrize("name", ["tpe", "random", "gp", "cmaes", "qmc"])
def test_every_sampler_works(tmp_path: Path, toy_sweep: dict[str, Any], name: str) -> None:
    space = {"detector.x": "auto", "detector.y": "auto"}
    sweep = Sweep(tmp_path, {**toy_sweep, "space": space, "sampler": name, "budget": {"trials": 4}})
    for number in range(4):
        sweep.finish(sweep.start(), Result("complete", objective=0.1 * number))
    assert sweep.source.states()["COMPLETE"] == 4


@pytest.mark.parametrize("pruner", ["asha", "hyperband"])
def test_every_pruner_works(tmp_path: Path, toy_sweep: dict[str, Any], pruner: str) -> None:
    sweep = Sweep(tmp_path, {**toy_sweep, "pruner": {"name": pruner, "min_resource": 1}, "budget": {"trials": 6}})
    stopped = 0
    for number in range(6):
        trial = sweep.start()
        if any(sweep.source.should_stop(trial.id, epoch, 1.0 - number) for epoch in range(1, 10)):
            stopped += 1
            sweep.finish(trial, Result("pruned"))
        else:
            sweep.finish(trial, Result("complete", objective=1.0 - number))
    assert stopped > 0
    assert sweep.source.states().get("PRUNED", 0) == stopped


def test_a_failed_trial_that_was_repeated_without_the_sampler_is_told_to_it(sweep: Sweep) -> None:
    failed, done = sweep.start(), sweep.start()
    sweep.finish(failed, Result("failed", error="x"))
    sweep.finish(done, Result("complete", objective=0.5))
    sweep.folder.record(failed.id).forget_failure()
    sweep.folder.record(failed.id).finish(Result("complete", objective=0.75))  # `resume --only failed`
    for _ in range(2):
        sweep.open()
        assert sweep.source.states() == {"FAIL": 1, "COMPLETE": 2}
    assert sweep.start().id not in {failed.id, done.id}


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_sweep_of_thousands_of_trials_resumes(tmp_path: Path, toy_sweep: dict[str, Any], sampler: str) -> None:
    sweep = Sweep(tmp_path, {**toy_sweep, "sampler": sampler, "seed": 2**32 - 1})  # as large as after 4,295 trials
    first = sweep.start()
    sweep.finish(first, Result("complete", objective=0.5))
    sweep.open()
    assert sweep.start().id != first.id


def test_a_rebuilt_storage_holds_what_the_lost_one_held(tmp_path: Path, toy_sweep: dict[str, Any]) -> None:
    sweep = Sweep(tmp_path, {**toy_sweep, "budget": {"trials": 40}})
    for number in range(30):
        result = Result("complete", objective=number / 7) if number % 3 else Result("pruned")
        sweep.finish(sweep.start(), result)
    before = told(sweep)
    sweep.folder.journal.unlink()
    sweep.open()
    assert told(sweep) == before
    sweep.open()  # as read back from the file
    assert told(sweep) == before
    assert sweep.source.states() == {"COMPLETE": 20, "PRUNED": 10, "WAITING": 1}


def told(sweep: Sweep) -> list[Any]:
    """What Optuna knows of the trials that have ended, in an order of its own making."""
    storage = JournalStorage(JournalFileBackend(str(sweep.folder.journal)))
    (name,) = optuna.get_all_study_names(storage)
    trials = optuna.load_study(study_name=name, storage=storage).trials
    return sorted(
        (t.user_attrs["trial_id"], t.state.name, t.value, sorted(t.params.items()), sorted(t.distributions))
        for t in trials
        if t.state.is_finished()
    )
