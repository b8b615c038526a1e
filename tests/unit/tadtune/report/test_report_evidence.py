from __future__ import annotations

import json

import pytest

from tadtune.report.data import ClassScores, Evidence
from tadtune.report.evidence import collect_evidence
from tadtune.report.evidence_figures import MAX_CLASSES, class_figure
from tadtune.track.record import TrialRecord


def _record(folder, name, *, classes=None, videos=(), detections=None):
    record = TrialRecord(folder / name)
    record.artifacts.mkdir(parents=True)
    truth = {v: {"duration_s": 30.0, "annotations": [{"segment": [1, 2], "label": "a"}] if v else []} for v in videos}
    content = {
        "per_class_test.json": classes,
        "truth_test.json": {"videos": truth} if videos else None,
        "detections_test.json": None if detections is None else {"results": detections},
    }
    for file, value in content.items():
        if value is not None:
            (record.artifacts / file).write_text(json.dumps(value), encoding="utf-8")
    return record


def test_class_scores_are_means_over_seeds_of_common_classes(tmp_path):
    first = _record(tmp_path, "0", classes={"a": {"avg_map": 0.2}, "b": {"avg_map": 0.4}})
    second = _record(tmp_path, "1", classes={"a": {"avg_map": 0.4}})
    found = collect_evidence("avg_map", {"row": [first, second]})
    assert found.classes == (ClassScores("row", {"a": pytest.approx(0.3)}),)


def test_videos_are_taken_at_even_steps(tmp_path):
    videos = [f"v{i:02d}" for i in range(12)]
    record = _record(tmp_path, "0", videos=videos, detections={})
    found = collect_evidence("avg_map", {"row": [record]})
    assert [t.video_id for t in found.timelines] == ["v01", "v04", "v07", "v10"]
    assert found.timelines[0].predicted == {"row": {}}


def test_configurations_on_other_videos_are_not_overlaid(tmp_path):
    first = _record(tmp_path, "0", videos=["x", "y"], detections={})
    second = _record(tmp_path, "1", videos=["z"], detections={})
    found = collect_evidence("avg_map", {"row": [first], "other": [second]})
    assert [t.video_id for t in found.timelines] == ["x", "y"]
    assert all(list(t.predicted) == ["row"] for t in found.timelines)


def test_no_artifacts_no_evidence(tmp_path):
    found = collect_evidence("avg_map", {"row": [_record(tmp_path, "0")]})
    assert (found.classes, found.timelines) == ((), ())
    assert class_figure(found) is None


def test_many_classes_are_cut_to_those_that_differ_most():
    names = [f"class {i:03d}" for i in range(200)]
    low, high = ({name: share * i / 200 for i, name in enumerate(names)} for share in (0.5, 0.9))
    figure = class_figure(Evidence("avg_map", (ClassScores("base", low), ClassScores("best", high)), ()))
    shown = figure.spec["layout"]["yaxis"]["ticktext"]
    assert shown == list(reversed(names))[:MAX_CLASSES]
    assert "The 30 of 200 classes that differ most." in figure.caption
