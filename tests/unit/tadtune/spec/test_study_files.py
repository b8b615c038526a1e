"""Study files: valid ones, and one line for each thing wrong with others."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from tadtune.spec.errors import StudyError
from tadtune.spec.parse import load_study, parse_study
from tadtune.spec.studies import built_in_studies


def _complaints(raw: dict[str, Any]) -> list[str]:
    with pytest.raises(StudyError) as caught:
        parse_study(raw)
    return caught.value.lines


def _changed(raw: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(raw), **changes}


@pytest.mark.parametrize("name", sorted(built_in_studies()))
def test_every_built_in_study_loads(name: str) -> None:
    study = load_study(built_in_studies()[name])
    assert study.name == name
    assert study.claim


def test_a_sweep_splits_its_space_by_when_parameters_act(toy_sweep: dict[str, Any]) -> None:
    study = parse_study(_changed(toy_sweep, space="auto", inference={"trials": 7}))
    assert study.sweep is not None
    assert [p.path for p in study.sweep.space] == ["detector.mode", "detector.sizes", "detector.x", "detector.y"]
    assert [p.path for p in study.inference.space] == ["detector.cut"]
    assert study.inference.trials == 7
    assert {p.path: p.kind for p in study.sweep.space}["detector.y"] == "int"


def test_a_group_of_fields_expands(toy_sweep: dict[str, Any]) -> None:
    study = parse_study(_changed(toy_sweep, space={"detector": "auto"}))
    assert study.sweep is not None
    assert "detector.x" in [p.path for p in study.sweep.space]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"detectr": "toy"}, "detectr: unknown key. Did you mean 'detector'?"),
        ({"detector": "toi"}, "detector: 'toi' is not one of the choices. Did you mean 'toy'?"),
        ({"dataset": "toys"}, "dataset: 'toys' is not one of the choices. Did you mean 'toy'?"),
        ({"kind": "grid"}, "kind: 'grid' is not one of the choices."),
        ({"study": "a b"}, "study: 'a b' may hold letters"),
        ({"metric": {"name": "test/avg_map"}}, "metric.name: a study may not optimise or choose on 'test'"),
        ({"metric": {"mode": "up"}}, "metric.mode: 'up' is not one of the choices."),
        ({"set": {"detector.epoch": 3}}, "set: detector.epoch: no such field. Did you mean 'detector.epochs'?"),
        ({"set": {"epochs": 3}}, "set: epochs: no such field. Did you mean 'detector.epochs'?"),
        ({"set": {"detector.epochs": "x"}}, "set: detector.epochs: expected int, got 'x'"),
        ({"space": {"detector.z": "auto"}}, "space.detector.z: no such field."),
        ({"space": {"detector.epochs": "auto"}}, "space.detector.epochs: the field declares no range"),
        ({"space": {"detector.x": {"float": [1, 0]}}}, "space.detector.x.float: low 1.0 is not below high 0.0"),
        ({"space": {"detector.x": {"float": [0, 3]}}}, "space.detector.x: 3.0 is outside its bounds"),
        ({"space": {"detector.x": {"float": [0, 1], "log": True}}}, "space.detector.x.float: a logarithmic range"),
        ({"space": {"detector.x": {"flot": [0, 1]}}}, "space.detector.x: unknown key 'flot'. Did you mean 'float'?"),
        ({"space": {"detector.x": {"float": [0.0, 0.5]}}}, "space.detector.x: does not contain the starting value 0.8"),
        ({"space": {"detector.cut": "auto"}}, "space: only inference parameters vary"),
        ({"space": {}}, "space: a sweep needs at least one field"),
        ({"budget": {"trials": 0}}, "budget.trials: 0 is below 1"),
        ({"budget": {"time": "soon"}}, "budget.time: expected a duration such as 90s"),
        ({"sampler": "tpx"}, "sampler: 'tpx' is not one of the choices. Did you mean 'tpe'?"),
        ({"pruner": "ahsa"}, "pruner: 'ahsa' is not one of the choices. Did you mean 'asha'?"),
        ({"resources": {"workers": -1}}, "resources.workers: -1 is below 0"),
        ({"resources": {"gpus": 1.5}}, "resources.gpus: 1.5: a process takes a share of one GPU, or whole ones."),
        ({"resources": {"precision": "float16"}}, "resources.precision: 'float16' is not one of the choices"),
        (
            {"resources": {"workers": 2, "gpus": 0.5}},
            "resources.gpus: 0.5 per worker: data-parallel workers need whole",
        ),
        ({"table": "table_5"}, "table: names a table without naming its paper"),
        ({"paper": "kt_mgfn", "table": "table_55"}, "table: kt_mgfn has no table 'table_55'. Did you mean 'table_5'?"),
        ({"paper": "kt_mgf"}, "paper: 'kt_mgf' is not one of the choices. Did you mean 'kt_mgfn'?"),
        ({"tasks": ["toy_mak"]}, "tasks: no task 'toy_mak' is installed. Did you mean 'toy_mac'?"),
        ({"tasks": ["toy_mac"]}, "combination: task 'toy_mac' needs rois, which detector 'toy' does not offer"),
        ({"preset": "fra"}, "preset: detector 'toy' has no preset 'fra'. Did you mean 'far'?"),
        ({"preset": "far", "detector": "kt_mgfn"}, "preset: detector 'kt_mgfn' has no preset 'far'. It has none."),
        (
            {"set": {"detector.x": 0.5}, "space": {"detector.x": "auto"}},
            "set.detector.x: also varied in `space`",
        ),
    ],
)
def test_one_clear_line_for_each_mistake(toy_sweep: dict[str, Any], changes: dict[str, Any], complaint: str) -> None:
    lines = _complaints(_changed(toy_sweep, **changes))
    assert any(line.startswith(complaint) for line in lines), lines


def test_a_preset_is_what_a_study_starts_from(toy_sweep: dict[str, Any], toy_ablation: dict[str, Any]) -> None:
    study = parse_study(_changed(toy_sweep, preset="far", set={"detector.epochs": 2}))
    assert study.preset == {"detector.x": 0.6, "detector.epochs": 5}
    assert study.values == {"detector.x": 0.6, "detector.epochs": 2}, "what is set comes after it, x may still vary"
    outside = _changed(toy_sweep, preset="far", space={"detector.x": {"float": [0.0, 0.5]}})
    assert _complaints(outside)[0].startswith("space.detector.x: does not contain the starting value 0.6")
    rows = {"base": {"paper_row": "baseline"}, "good": toy_ablation["rows"]["good"]}
    ablation = parse_study(_changed(toy_ablation, preset="near", rows=rows)).ablation
    assert ablation is not None
    assert [row.values["detector.x"] for row in ablation.rows] == [0.35, 0.3]


def test_weak_supervision_may_not_read_boundaries(toy_sweep: dict[str, Any]) -> None:
    lines = _complaints(_changed(toy_sweep, detector="toy_full", dataset="toy_weak"))
    assert lines == ["combination: detector 'toy_full' needs segments, data set 'toy_weak' has video_labels."]
    lines = _complaints(_changed(toy_sweep, dataset="toy_videos"))
    assert lines == ["combination: detector 'toy' reads feats, data set 'toy_videos' holds frames."]
    lines = _complaints(_changed(toy_sweep, detector="toy_frames"))
    assert lines == ["combination: detector 'toy_frames' reads frames, data set 'toy' holds feats."]
    parse_study(_changed(toy_sweep, detector="toy_frames", dataset="toy_videos"))


def test_the_same_task_fits_a_detector_with_regions(toy_sweep: dict[str, Any]) -> None:
    study = parse_study(_changed(toy_sweep, detector="toy_full", tasks=["toy_mac"], space="auto"))
    assert study.sweep is not None
    assert "tasks.toy_mac.weight" in [p.path for p in study.sweep.space]


def test_a_weakly_supervised_detector_is_refused_for_its_labels_too(toy_sweep: dict[str, Any]) -> None:
    (line,) = _complaints(_changed(toy_sweep, tasks=["toy_mac"]))
    assert "task 'toy_mac' reads segments, detector 'toy' is trained with video_labels only" in line


def test_a_task_needs_those_it_builds_upon(toy_sweep: dict[str, Any]) -> None:
    alone = _changed(toy_sweep, detector="toy_full", tasks=["toy_refine"])
    assert _complaints(alone) == [
        "combination: task 'toy_refine' builds upon 'toy_mac'; add 'toy_mac' to the tasks, or leave 'toy_refine' out."
    ]
    both = parse_study(_changed(alone, tasks=["toy_refine", "toy_mac"]))
    assert both.parts.tasks == ("toy_mac", "toy_refine")


def test_a_row_that_takes_away_what_another_task_builds_upon(toy_ablation: dict[str, Any]) -> None:
    raw = _changed(toy_ablation, detector="toy_full", tasks=["toy_mac", "toy_refine"])
    raw["rows"]["good"]["tasks"] = ["toy_refine"]
    (line,) = _complaints(raw)
    assert line.startswith("rows.good: task 'toy_refine' builds upon 'toy_mac'")


def test_conditional_parameters(toy_sweep: dict[str, Any]) -> None:
    space = {"detector.mode": "auto", "detector.x": {"auto": True, "when": {"detector.mode": "noisy"}}}
    study = parse_study(_changed(toy_sweep, space=space))
    assert study.sweep is not None
    assert {p.path: p.when for p in study.sweep.space}["detector.x"] == (("detector.mode", ("noisy",)),)
    lines = _complaints(_changed(toy_sweep, space={"detector.x": {"auto": True, "when": {"detector.mood": 1}}}))
    assert lines == ["space.detector.x.when: 'detector.mood' is not another field. Did you mean 'detector.mode'?"]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"rows": {}}, "rows: "),
        ({"seeds": [0, 0]}, "seeds: [0, 0] names a seed twice"),
        ({"seeds": [-1]}, "seeds: expected a list of whole numbers"),
        ({"baseline": "bas"}, "baseline: no row 'bas'. Did you mean 'base'?"),
        ({"rows": {"base": {"paper_row": "ful"}}}, "rows.base.paper_row: kt_mgfn table_5 has no row 'ful'"),
        ({"rows": {"base": {"st": {}}}}, "rows.base.st: unknown key."),
        ({"rows": {"base": {"set": {"detector.xx": 1}}}}, "rows.base: detector.xx: no such field."),
        ({"rows": {"base": {"add_tasks": ["toy_mac"]}}}, "rows.base: task 'toy_mac' needs rois"),
        ({"inference": {"space": {"detector.x": "auto"}}}, "inference.space.detector.x: no such field."),
        ({"factors": {"x": {}}}, "rows: give either `rows` or `factors`"),
    ],
)
def test_mistakes_in_ablations(toy_ablation: dict[str, Any], changes: dict[str, Any], complaint: str) -> None:
    lines = _complaints(_changed(toy_ablation, **changes))
    assert any(line.startswith(complaint) for line in lines), lines


FACTORS = {
    "a": {"off": {"set": {"detector.x": 0.1}}, "on": {"set": {"detector.x": 0.9}}},
    "b": {"off": {"set": {"detector.y": 0}}, "on": {"set": {"detector.y": 3}}},
    "c": {"off": {"set": {"detector.mode": "plain"}}, "on": {"set": {"detector.mode": "noisy"}}},
}


@pytest.mark.parametrize(
    ("plan", "rows"),
    [
        ("full_grid", ["a+b+c", "a+b", "a+c", "a", "b+c", "b", "c", "none"]),
        ("leave_one_out", ["full", "-a", "-b", "-c"]),
        ("add_one_in", ["none", "+a", "+b", "+c"]),
        ("group_off", ["full", "-ab"]),
        ("pairwise_off", ["full", "-a-b", "-a-c", "-b-c"]),
    ],
)
def test_plans_compile_factors_into_rows(toy_ablation: dict[str, Any], plan: str, rows: list[str]) -> None:
    raw = {k: v for k, v in toy_ablation.items() if k not in ("rows", "baseline")}
    raw |= {"factors": FACTORS, "plan": plan, "groups": {"ab": ["a", "b"]}}
    ablation = parse_study(raw).ablation
    assert ablation is not None
    assert [row.key for row in ablation.rows] == rows
    assert ablation.baseline == rows[0]
    by_key = {row.key: row.values for row in ablation.rows}
    last = by_key[rows[-1]]
    expected = {
        "full_grid": (0.1, 0, "plain"),
        "leave_one_out": (0.9, 3, "plain"),
        "add_one_in": (0.1, 0, "noisy"),
        "group_off": (0.1, 0, "noisy"),
        "pairwise_off": (0.9, 0, "plain"),
    }[plan]
    assert (last["detector.x"], last["detector.y"], last["detector.mode"]) == expected


def test_mistakes_in_factors(toy_ablation: dict[str, Any]) -> None:
    raw = {k: v for k, v in toy_ablation.items() if k not in ("rows", "baseline")}
    assert any("groups" in line for line in _complaints({**raw, "factors": FACTORS, "plan": "group_off"}))
    raw |= {"factors": FACTORS, "plan": "leave_one_out", "paper_rows": {"-d": "full"}}
    assert _complaints(raw)[0].startswith("paper_rows.-d: the plan has no such row.")


def test_files_that_are_not_studies(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    with pytest.raises(StudyError, match="no such study file"):
        load_study(path)
    path.write_text("a: [1\n")
    with pytest.raises(StudyError, match="not readable as YAML"):
        load_study(path)
    path.write_text("!!python/object/apply:os.system ['true']\n")
    with pytest.raises(StudyError, match="not readable as YAML"):
        load_study(path)
    path.write_text(yaml.safe_dump(["a"]))
    with pytest.raises(StudyError, match="expected a mapping"):
        load_study(path)
