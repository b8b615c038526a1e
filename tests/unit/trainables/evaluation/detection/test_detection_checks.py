"""Bad detections and bad ground truth: refused by row, or left out and counted; never a quietly lower score."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from detection_references import Case

from trainables.evaluation.detection.protocols import ActivityNet, Thumos14Official

GOOD = Case(("v", "w"), [("v", 0, 10, 0), ("w", 5, 9, 0)], [("v", 0, 10, 0, 0.5), ("w", 5, 9, 0, 0.4)], [("w", 20, 30)])


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"segments_s": np.array([[0, 10], [9, 5]], float)}, r"detections: row 1 is \[9.0, 5.0\]"),
        ({"segments_s": np.array([[0, np.inf], [5, 9]])}, r"detections: row 0 is \[0.0, inf\]"),
        ({"scores": np.array([0.5, np.nan])}, "detections: row 1 has a score that is not finite"),
        ({"labels": np.array([0, 3])}, "detections: row 1 has a label outside the 1 classes"),
        ({"video": np.array([0, 2])}, "detections: row 1 has a video outside the 2 videos"),
        ({"video": np.array([-1, 0])}, "detections: row 0 has a video outside the 2 videos"),
        ({"video_ids": ("v", "x")}, "detections: video 'x' is not in the ground truth"),
        ({"video_ids": ("v", "v")}, "detections: video 'v' is listed more than once"),
        ({"scores": np.array([0.5])}, r"detections: scores has shape \(1,\), there are 2 segments"),
    ],
)
def test_bad_detections_are_refused_by_row(change: dict[str, Any], complaint: str) -> None:
    found, truth = GOOD.arrays()
    with pytest.raises(ValueError, match=complaint):
        ActivityNet().match(replace(found, **change), truth)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"segments_s": np.array([[0, 10], [5, 5]], float)}, "ground truth: row 1 has no length"),
        ({"segments_s": np.array([[0, 10], [6, 5]], float)}, r"ground truth: row 1 is \[6.0, 5.0\]"),
        ({"ambiguous_s": np.array([[30, 20]], float)}, r"ambiguous segments: row 0 is \[30.0, 20.0\]"),
        ({"ambiguous_video": np.array([2])}, "ambiguous segments: row 0 has a video outside"),
        ({"labels": np.array([1, 0])}, "ground truth: row 0 has a label outside the 1 classes"),
        ({"video": np.array([0, 5])}, "ground truth: row 1 has a video outside the 2 videos"),
        ({"video_ids": ("v", "v")}, "ground truth: video 'v' is listed more than once"),
        (
            {"segments_s": np.zeros((0, 2)), "video": np.zeros(0, int), "labels": np.zeros(0, int)},
            "ground truth: no segment in any of its 2 videos",
        ),
    ],
)
def test_bad_ground_truth_is_refused_by_row(change: dict[str, Any], complaint: str) -> None:
    found, truth = GOOD.arrays()
    with pytest.raises(ValueError, match=complaint):
        Thumos14Official().match(found, replace(truth, **change))


def test_what_is_left_out_or_odd_is_counted() -> None:
    found, truth = Case(
        ("v", "w"),
        [("v", 0, 10, 0)],
        [("v", 3, 3, 0, 0.9), ("v", 0, 10, 0, 0.5), ("v", 1, 10, 0, 0.5), ("v", 0, 10, 7, 0.5)],
    ).arrays()
    protocol = ActivityNet((0.5,), on_unknown_label="drop")
    matches = protocol.match(found, truth)
    assert matches.warnings == {
        "empty_detections_dropped": 1,
        "tied_scores": 1,
        "unknown_label_detections_dropped": 1,
        "videos_without_detections": 1,
    }
    assert protocol.score(matches)["avg_map"] == 1.0


def test_unknown_videos_are_counted_either_way() -> None:
    found, truth = GOOD.arrays()
    elsewhere = replace(found, video_ids=("v", "x"))
    dropped = ActivityNet(on_unknown_video="drop").match(elsewhere, truth)
    assert dropped.warnings == {"unknown_video_detections_dropped": 1, "videos_without_detections": 1}
    counted = ActivityNet(on_unknown_video="count").match(elsewhere, truth)
    assert counted.warnings == {"unknown_video_detections_counted": 1, "videos_without_detections": 1}
    assert counted.video_ids == ("v", "w", "x")


def test_clean_input_leaves_no_warning_and_its_arrays_as_they_were() -> None:
    found, truth = GOOD.arrays()
    assert ActivityNet().match(found, truth).warnings == {}
    again, _ = GOOD.arrays()
    assert np.array_equal(found.segments_s, again.segments_s)
    assert np.array_equal(found.scores, again.scores)


def test_nothing_found_scores_nothing() -> None:
    found, truth = Case(("v",), [("v", 0, 10, 0)], []).arrays()
    for protocol in (ActivityNet((0.5,)), Thumos14Official((0.5,))):
        assert protocol.score(protocol.match(found, truth)) == {"map_tiou_0.50": 0.0, "avg_map": 0.0}
