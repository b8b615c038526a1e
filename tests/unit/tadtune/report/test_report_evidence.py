from __future__ import annotations

import json

import pytest
from simulated import HOUSEHOLD_CLASSES

from tadtune.report.data import ClassScores, Evidence, Timeline
from tadtune.report.evidence import collect_evidence
from tadtune.report.evidence_figures import MAX_CLASSES, MAX_LANES, class_figure, class_table, timeline_figures
from tadtune.report.figures import MAX_LINE, wrapped
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


def test_runs_of_frames_are_shown_as_what_they_are(tmp_path):
    record = _record(tmp_path, "0", videos=["x"])
    run = {"label": "a", "segment": [1.0, 2.5], "score": 0.75}
    (record.artifacts / "frame_runs_test.json").write_text(json.dumps({"results": {"x": [run]}}), encoding="utf-8")
    (timeline,) = collect_evidence("frame_map", {"row": [record]}).timelines
    assert timeline.predicted == {"row (runs of frames more likely than not)": {"a": ((1.0, 2.5, 0.75),)}}


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
    assert figure.title == "Average AP by class"
    assert "The 30 of 200 classes that differ most." in figure.caption


def test_a_table_has_the_classes_that_the_figure_lacks():
    names = [f"class {i:02d}" for i in range(MAX_CLASSES + 1)]
    low, high = (dict.fromkeys(names, share) for share in (0.5, 0.62))
    two = (ClassScores("base", low), ClassScores("best", {**high, "alone": 1.0}))
    headings, rows = class_table(Evidence("avg_map", two, ()))
    assert headings == ("class", "base", "best", "difference")
    assert rows == [(name, "50.0", "62.0", "+12.00") for name in names]
    headings, rows = class_table(Evidence("avg_map", two[:1], ()))
    assert (headings, rows[-1]) == (("class", "base"), (names[-1], "50.0"))
    few = ClassScores("base", dict(list(low.items())[:MAX_CLASSES]))
    assert class_table(Evidence("avg_map", (few,), ())) is None
    assert class_table(Evidence("avg_map", (), ())) is None


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("Diving", "Diving"),
        ("Holding a cup/glass/bottle", "Holding a cup/glass/<br>bottle"),
        ("Taking a towel/s from somewhere", "Taking a towel/s<br>from somewhere"),
        ("Someone is going from standing to sitting", "Someone is going<br>…standing to sitting"),
        ("a" * 30, f"{'a' * 20}<br>{'a' * 10}"),
        ("<b>bold</b> & something else", "&lt;b&gt;bold&lt;/b&gt; &amp;<br>something else"),
    ],
)
def test_long_labels_have_two_lines_and_keep_their_ends(name, label):
    assert wrapped(name) == label


def test_labels_of_many_classes_differ():
    labels = [wrapped(name) for name in HOUSEHOLD_CLASSES]
    assert len(set(labels)) == len(set(HOUSEHOLD_CLASSES)) == 157
    assert all(len(line) <= MAX_LINE for label in labels for line in label.split("<br>"))


def _lanes(figure):
    return figure.spec["layout"]["yaxis"]["ticktext"]


def test_a_timeline_has_true_classes_as_they_begin_and_counts_what_has_no_lane():
    true = {f"true {i:02d}": ((20.0 - i, 21.0), (25.0, 26.0)) for i in range(MAX_LANES - 2)}
    found = {f"false {i:02d}": ((1.0, 2.0, 0.5 + i / 100),) * (i + 1) for i in range(5)}
    figure, *_ = timeline_figures(Evidence("avg_map", (), (Timeline("v", 30.0, true, {"row": found}),)))
    assert _lanes(figure) == [*sorted(true, reverse=True), "false 04", "false 03"]
    assert figure.caption == "10 of 13 classes; 0 true segments and 6 predictions of the others are not drawn."
    assert "16 true segments above 9 predicted ones" in figure.label
    assert [len(trace["x"]) for trace in figure.spec["data"]] == [16, 9]


def test_a_timeline_with_room_for_all_says_nothing_of_what_is_not_drawn():
    figure, *_ = timeline_figures(Evidence("m", (), (Timeline("v", 9.0, {"a": ((1.0, 2.0),)}, {"row": {}}),)))
    assert (figure.caption, _lanes(figure)) == ("", ["a"])
