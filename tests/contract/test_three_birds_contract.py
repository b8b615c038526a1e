"""Three Birds as the paper has it: which rows studies answer, what may be searched, who may have the tasks."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
import yaml

from tadtune.spec import components
from tadtune.spec.combination import build_configs, misfit
from tadtune.spec.fields import field_infos
from tadtune.spec.parse import load_study
from tadtune.spec.studies import built_in_studies
from tadtune.spec.study import Row, Study
from tadtune.spec.tables import paper_tables

TASKS = ("lce", "mac", "refine")
TABLES = yaml.safe_load((files("tadtune.spec") / "paper_tables" / "three_birds.yaml").read_text(encoding="utf-8"))


def own_rows() -> dict[str, dict[str, Any]]:
    """Rows that the paper's authors measured, by key: what they were made with."""
    rows = [row for table in TABLES["tables"] for row in table["rows"]]
    return {row["key"]: row["config"] for row in rows if row["row_type"] != "literature"}


@pytest.fixture(scope="module")
def bound() -> dict[str, list[tuple[Study, Row]]]:
    """Paper row -> rows of built-in studies that answer it."""

    def pairs() -> Iterator[tuple[Study, Row]]:
        for name, path in built_in_studies().items():
            if name.startswith("three_birds/"):
                study = load_study(path)
                yield from ((study, row) for row in (study.ablation.rows if study.ablation is not None else ()))

    found: dict[str, list[tuple[Study, Row]]] = {}
    for study, row in pairs():
        if row.paper_row is not None:
            found.setdefault(row.paper_row, []).append((study, row))
    return found


def test_every_row_of_the_papers_own_has_a_study_that_measures_all_it_prints(
    bound: dict[str, list[tuple[Study, Row]]],
) -> None:
    assert len(own_rows()) == 4 + 4 + 4 + 4 + 4 + 4 + 4
    printed = {
        key: set(row.values) for table in paper_tables("three_birds").values() for key, row in table.rows.items()
    }
    for key in own_rows():
        assert key in bound, key
        measured: set[str] = set()
        for study, row in bound[key]:
            measured |= set(build_configs(row.parts, row.values).protocol.metric_names())
            assert study.table is not None
        assert printed[key] <= measured, key


def test_rows_are_made_with_what_the_papers_were(bound: dict[str, list[tuple[Study, Row]]]) -> None:
    assert set(bound) <= set(own_rows())
    for key, rows in bound.items():
        paper = own_rows()[key]
        for study, row in rows:
            where = f"{study.name}: {row.key}"
            assert row.parts.detector == paper["detector"], where
            assert set(row.parts.tasks) == {*paper["tasks"], *(["refine"] if paper["refine"] else [])}, where
            tasks = build_configs(row.parts, row.values).tasks
            stopped = {task.stop_gradient for name, task in tasks.items() if name != "refine"}
            assert stopped <= {paper["stop_gradient"]}, where


@pytest.mark.parametrize("detector", ["r_c3d", "pbrnet"])
@pytest.mark.parametrize("suffix", ["", "_frames"])
def test_the_tasks_fit_both_hosts_on_both_inputs(detector: str, suffix: str) -> None:
    dataset = "stitched_videos" if suffix else "stitched"
    for tasks in (("mac",), ("lce",), ("mac", "refine"), TASKS):
        assert misfit(detector + suffix, tasks, dataset) is None
    assert "builds upon 'mac'" in str(misfit(detector + suffix, ("refine",), dataset))


@pytest.mark.parametrize("task", TASKS)
def test_no_detector_trained_with_less_than_segments_has_the_tasks(task: str) -> None:
    weak = [name for name in components.names("detector") if _class("detector", name).supervision == "video_labels"]
    weak = [name for name in weak if not name.startswith("toy")]
    assert {"clean_net", "kt_mgfn"} <= set(weak)
    for name in weak:
        assert f"task '{task}' reads segments" in str(misfit(name, (task,), "stitched"))


def _class(kind: str, name: str) -> Any:
    return components.load(kind, name)


#: field -> (default, range or choices, logarithmic, when it acts).
SEARCHED: dict[tuple[str, str], dict[str, tuple[Any, ...]]] = {
    ("task", "mac"): {
        "weight": (1.0, (0.05, 5), True, "training"),
        "windows": (5, (4, 64), True, "training"),
        "min_len": (1.0, (1, 8), True, "training"),  # cells: 8 to 64 frames
        "sampler": ("start_length", ("start_length", "centre_length", "gt_expand"), False, "training"),
        "label": ("sqrt", ("sqrt", "area"), False, "training"),
        "trunk": ("own", ("own", "shared"), False, "training"),
        "stop_gradient": (False, (False, True), False, "training"),
    },
    ("task", "lce"): {
        "weight": (0.7, (0.05, 5), True, "training"),
        "mean": ("own", ("own", "host"), False, "training"),
        "tail": ("smooth", ("smooth", "gaussian"), False, "training"),
        "std": (0.1, (0.05, 0.5), True, "training"),
        "normaliser": ("rois", ("rois", "positives"), False, "training"),
        "stop_gradient": (False, (False, True), False, "training"),
        "voting_sigma_t": (0.02, (0.005, 0.05), True, "inference"),
    },
    ("task", "refine"): {
        "weight": (1.0, (0.1, 3), True, "training"),
        "n_t": (5, (1, 9), False, "training"),
        "windows": ("to_clip", ("to_clip", "scaled"), False, "training"),
        "loss": ("both", ("both", "refined_only"), False, "training"),
        "detach": (True, (True, False), False, "training"),
    },
    ("detector", "r_c3d_frames"): {
        "loss.lambda_reg": (1.0, (0.1, 10), True, "training"),
        "optim.lr": (1e-4, (1e-5, 3e-3), True, "training"),
        "optim.lr_decay_epoch": (10, (3, 20), False, "training"),
        "optim.weight_decay": (5e-4, (1e-5, 1e-2), True, "training"),
        "pool_bins": ("1x4x4", ("1x4x4", "4x2x2"), False, "training"),
        "rpn.pos_tiou": (0.7, (0.5, 0.8), False, "training"),
        "rpn.neg_tiou": (0.3, (0.1, 0.4), False, "training"),
        "rpn.batch": (64, (32, 256), True, "training"),
        "rpn.nms_train": (0.7, (0.6, 0.95), False, "training"),
        "rpn.nms_test": (0.7, (0.5, 0.95), False, "training"),
        "rpn.post_nms_test": (300, (50, 1000), True, "training"),
        "roi.fg_tiou": (0.5, (0.4, 0.7), False, "training"),
        "roi.bg_lo": (0.0, (0, 0.2), False, "training"),
        "roi.fg_fraction": (0.25, (0.1, 0.5), False, "training"),
        "infer.score_thresh": (0.05, (1e-4, 0.1), True, "inference"),
        "infer.clip_nms": (0.3, (0.2, 0.7), False, "inference"),
        "infer.video_nms": (None, (0.1, 0.9), False, "inference"),
        "infer.soft_nms_sigma": (None, (0.1, 1), True, "inference"),
    },
    ("detector", "pbrnet_frames"): {
        "loss.lambda_reg": (1.0, (0.1, 10), True, "training"),
        "optim.lr": (1e-5, (1e-6, 1e-4), True, "training"),
        "optim.lr_decay_epoch": (20, (3, 20), False, "training"),
        "optim.weight_decay": (1e-3, (1e-5, 1e-2), True, "training"),
        "match.cpd_tiou": (0.4, (0.3, 0.7), False, "training"),
        "match.rpd_tiou": (0.5, (0.3, 0.7), False, "training"),
        "match.fgd_tiou": (0.6, (0.3, 0.7), False, "training"),
        "match.reject_bg_prob": (0.99, (0.9, 0.999), False, "training"),
        "infer.pbr_score": ("rpd_x_boundary", ("rpd_x_boundary", "rpd"), False, "inference"),
        "infer.pbr_nms": (0.5, (0.2, 0.7), False, "inference"),
        "infer.soft_nms_sigma": (None, (0.1, 1), True, "inference"),
    },
}


@pytest.mark.parametrize("part", SEARCHED, ids=lambda part: part[1])
def test_what_is_searched_and_where(part: tuple[str, str]) -> None:
    infos = field_infos(_class(*part))
    found = {
        path: (infos[path].default, infos[path].search or infos[path].choices, infos[path].log, infos[path].acts)
        for path in SEARCHED[part]
    }
    assert found == SEARCHED[part]


def test_anchors_are_searched_among_the_papers_and_the_releases() -> None:
    infos = field_infos(_class("detector", "r_c3d_frames"))
    assert {"thumos14_paper", "thumos14_release"} <= set(infos["anchors.preset"].choices or ())


def test_smoothing_of_charades_is_a_choice_of_protocol_and_never_tuned() -> None:
    info = field_infos(_class("protocol", "charades25"))["smooth_half"]
    assert info.default == 10
    assert not info.searchable
