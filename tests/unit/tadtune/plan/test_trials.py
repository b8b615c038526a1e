"""Identity of trials, plans of ablations, definitions of studies."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tadtune.plan.ablation import plan_ablation
from tadtune.plan.definition import merge_definitions, study_definition
from tadtune.plan.trial import Trial, inference_space, make_trial, trial_from_plain
from tadtune.spec.errors import StudyError
from tadtune.spec.parse import parse_study


def _trial(raw: dict[str, Any], seed: int = 0, **values: Any) -> Trial:
    study = parse_study(raw)
    return make_trial(study, study.parts, {**study.values, **values}, seed)


def test_the_same_settings_have_the_same_id_however_they_are_given(toy_sweep: dict[str, Any]) -> None:
    base = _trial(toy_sweep)
    assert base.id == _trial(toy_sweep, **{"detector.x": 0.8}).id
    assert base.id == _trial({**toy_sweep, "budget": {"trials": 99}, "claim": "other words"}).id
    assert len(base.id) == 16


def test_whatever_changes_a_result_changes_the_id(toy_sweep: dict[str, Any]) -> None:
    ids = {
        _trial(toy_sweep).id,
        _trial(toy_sweep, seed=1).id,
        _trial(toy_sweep, **{"detector.x": 0.81}).id,
        _trial({**toy_sweep, "resources": {"workers": 2}}).id,
        _trial({**toy_sweep, "resources": {"precision": "bfloat16"}}).id,
        _trial({**toy_sweep, "inference": {"space": {"detector.cut": "auto"}}}).id,
        _trial({**toy_sweep, "dataset": "toy_weak"}).id,
    }
    assert len(ids) == 7


def test_one_worker_and_in_process_are_the_same_trial(toy_sweep: dict[str, Any]) -> None:
    assert _trial(toy_sweep).id == _trial({**toy_sweep, "resources": {"workers": 1}}).id


def test_the_usual_precision_is_in_no_identity_so_that_older_records_keep_theirs(toy_sweep: dict[str, Any]) -> None:
    named = {**toy_sweep, "resources": {"precision": "float32"}}
    assert _trial(toy_sweep).plain() == _trial(named).plain()
    assert "precision" not in study_definition(parse_study(named)).keys() | _trial(named).plain().keys()


def test_a_trial_survives_json(toy_sweep: dict[str, Any]) -> None:
    raw = {**toy_sweep, "inference": {"space": {"detector.cut": {"float": [0.1, 0.5]}}, "trials": 4}}
    raw["resources"] = {"precision": "bfloat16"}
    raw["inference"]["space"]["detector.cut"]["when"] = {"detector.mode": ["plain", "noisy"]}
    trial = _trial(raw)
    again = trial_from_plain(json.loads(json.dumps(trial.plain())))
    assert (again.id, again.precision) == (trial.id, "bfloat16")
    assert again.configs() == trial.configs()
    (parameter,) = inference_space(again.inference)
    assert (parameter.low, parameter.high, parameter.when) == (0.1, 0.5, (("detector.mode", ("plain", "noisy")),))


def test_every_row_runs_with_the_same_seeds_whole_seeds_first(toy_ablation: dict[str, Any]) -> None:
    planned = plan_ablation(parse_study(toy_ablation))
    assert [(p.row, p.trial.seed) for p in planned] == [
        ("base", 0), ("good", 0), ("base", 1), ("good", 1), ("base", 2), ("good", 2),
    ]  # fmt: skip
    assert len({p.trial.id for p in planned}) == 6


def _definition(raw: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(study_definition(parse_study(raw))))


def test_a_larger_study_extends_what_is_there(toy_ablation: dict[str, Any], toy_sweep: dict[str, Any]) -> None:
    larger = {**toy_ablation, "seeds": [0, 1, 2, 3], "rows": {**toy_ablation["rows"], "third": {}}}
    merged = merge_definitions(_definition(toy_ablation), _definition(larger))
    assert set(merged["rows"]) == {"base", "good", "third"}
    assert set(merge_definitions(merged, _definition(toy_ablation))["rows"]) == {"base", "good", "third"}
    more = {**toy_sweep, "budget": {"trials": 50}, "pruner": "asha", "sampler": "random"}
    assert merge_definitions(_definition(toy_sweep), _definition(more)) == _definition(toy_sweep)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"set": {"detector.epochs": 9}}, "config.detector.epochs: was 3, is now 9."),
        ({"metric": {"mode": "min"}}, "metric: was 'max avg_map', is now 'min avg_map'."),
        (
            {"space": {"detector.x": {"float": [0.5, 1.0]}, "detector.y": "auto"}},
            "space.detector.x: was {'float': [0.0, 1.0], 'log': False}, is now {'float': [0.5, 1.0], 'log': False}.",
        ),
        ({"space": {"detector.x": "auto"}}, "space.detector.y: removed (was {'int': [0, 4], 'log': False})."),
        ({"seed": 5}, "seed: was 0, is now 5."),
        ({"dataset": "toy_weak"}, "parts.dataset: was 'toy', is now 'toy_weak'."),
        ({"resources": {"workers": 2}}, "world_size: was 1, is now 2."),
        ({"resources": {"precision": "bfloat16"}}, "precision: added ('bfloat16')."),
    ],
)
def test_an_incompatible_change_is_refused_by_name(
    toy_sweep: dict[str, Any], changes: dict[str, Any], line: str
) -> None:
    with pytest.raises(StudyError) as caught:
        merge_definitions(_definition(toy_sweep), _definition({**toy_sweep, **changes}))
    assert line in caught.value.lines
    assert "rename the study" in caught.value.lines[-1]


def test_a_row_that_means_something_else_is_refused(toy_ablation: dict[str, Any]) -> None:
    other = {**toy_ablation, "rows": {**toy_ablation["rows"], "good": {"set": {"detector.x": 0.31}}}}
    with pytest.raises(StudyError) as caught:
        merge_definitions(_definition(toy_ablation), _definition(other))
    assert caught.value.lines[0] == "rows.good.config.detector.x: was 0.3, is now 0.31."
