"""Charades' 25 points scored from detections, beside a loop over single points."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_references import plain_ap

from trainables.detections import Detections, GroundTruth
from trainables.entrypoints.eval_inputs import read_inputs
from trainables.evaluation.charades.detections import Charades25
from trainables.evaluation.charades.point_scores import averaged, best_at_points
from trainables.evaluation.detection.protocols import ActivityNet
from trainables.evaluation.frames.scores import TimedTruth, truth_for
from trainables.evaluation.precision.average_precision import class_ap
from trainables.evaluation.precision.item_precision import item_ap
from trainables.evaluation.precision.matches import Matches
from trainables.evaluation.scorecard import score_predictions

Row = tuple[str, int, float, float]
Scored = tuple[str, int, float, float, float]


def _found(rows: list[Scored], ids: tuple[str, ...]) -> Detections:
    return Detections(
        ids,
        np.asarray([ids.index(row[0]) for row in rows], np.int64),
        np.asarray([row[2:4] for row in rows], np.float64).reshape(-1, 2),
        np.asarray([row[1] for row in rows], np.int64),
        np.asarray([row[4] for row in rows], np.float64),
    )


def _truth(rows: list[Row], durations: dict[str, float], num_classes: int) -> TimedTruth:
    ids = tuple(durations)
    segments = GroundTruth(
        ids,
        tuple(f"c{k}" for k in range(num_classes)),
        np.asarray([ids.index(row[0]) for row in rows], np.int64),
        np.asarray([row[2:4] for row in rows], np.float64).reshape(-1, 2),
        np.asarray([row[1] for row in rows], np.int64),
    )
    return TimedTruth(segments, np.asarray(list(durations.values())))


#: One video of 150 s.
TRUTH = _truth([("v", 0, 10, 26), ("v", 1, 60, 75)], {"v": 150.0}, 2)
FOUND = _found(
    [
        ("v", 0, 9, 20.5, 0.875),
        ("v", 0, 30, 38, 0.625),
        ("v", 0, 18, 19, 0.9375),
        ("v", 1, 66, 121, 0.75),
        ("v", 1, 54, 61, 0.25),
    ],
    ("v",),
)


def test_golden_scores_of_points() -> None:
    """One video of 150 s: a point every 6 s, a fine point every second."""
    rows = (FOUND.video, FOUND.segments_s, FOUND.labels, FOUND.scores)
    best = best_at_points(np.arange(25)[None] * 6.0, *rows, 2)[0]
    assert {j: s for j, s in enumerate(best[:, 0].tolist()) if s} == {2: 0.875, 3: 0.9375, 5: 0.625, 6: 0.625}
    assert {j: s for j, s in enumerate(best[:, 1].tolist()) if s} == {9: 0.25, 10: 0.25} | dict.fromkeys(
        range(11, 21), 0.75
    )
    fine = best_at_points(np.arange(150)[None] * 1.0, *rows, 2)
    smooth = averaged(fine, 15)[0, :, 0]
    assert smooth[4] == pytest.approx(16.25 / 30, abs=1e-12)
    assert smooth[0] == pytest.approx(5.25 / 15, abs=1e-12)


@pytest.mark.parametrize(
    ("half", "classes", "smoothed"), [(10, (1.0, 0.206650), 0.603325), (15, (0.805556, 0.206650), 0.506103)]
)
def test_golden_mean_average_precision(half: int, classes: tuple[float, float], smoothed: float) -> None:
    protocol = Charades25(smooth_half=half)
    matches = protocol.match(FOUND, TRUTH)
    scores = protocol.score(matches)
    assert scores == pytest.approx({"frame_map": 0.779762, "frame_map_smoothed": smoothed}, abs=1e-6)
    per_class = protocol.per_class_ap(matches)
    assert [v["frame_map"] for v in per_class.values()] == pytest.approx([17 / 21, 0.75])
    assert [v["frame_map_smoothed"] for v in per_class.values()] == pytest.approx(classes, abs=1e-6)
    assert protocol.counts(matches) == {"videos": 1, "classes": 2, "instances": 6, "predictions": 50}


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Scored], list[Row], dict[str, float]]:
    """Scores are sixteenths, so that sums are exact; times are often those of points."""
    durations = {name: float(draw(st.sampled_from([25, 50, 75]))) for name in "bca"[: draw(st.integers(1, 3))]}
    video = st.sampled_from(sorted(durations))
    time = st.integers(0, 60).map(lambda half: half / 2)
    segment = st.tuples(time, st.integers(1, 30).map(lambda half: half / 2)).map(lambda t: (t[0], t[0] + t[1]))
    label = st.integers(0, 1)
    annotated = draw(st.lists(st.tuples(video, label, segment), max_size=6))
    rows = [(v, k, *s) for v, k, s in annotated] + [(next(iter(durations)), k, 0.0, 3.0) for k in (0, 1)]
    score = st.integers(0, 16).map(lambda n: n / 16)
    found = draw(st.lists(st.tuples(video, label, segment, score), max_size=12))
    return [(v, k, *s, p) for v, k, s, p in found], rows, durations


def _items(
    case: tuple[list[Scored], list[Row], dict[str, float]], weights: dict[str, int], label: int, half: int | None
) -> list[tuple[float, bool, float]]:
    found, rows, durations = case
    items = []
    for video in sorted(durations):
        duration = durations[video]

        def best(time: float, video: str = video) -> float:
            covering = [p for v, k, s, e, p in found if v == video and k == label and s <= time <= e]
            return max(covering, default=0.0)

        fine = [best(i / 150 * duration) for i in range(150)]
        for j in range(25):
            time = j / 25 * duration
            around = [] if half is None else fine[max(0, 6 * j - half) : 6 * j + half]
            score = best(time) if half is None else sum(around) / len(around)
            positive = any(v == video and k == label and s <= time <= e for v, k, s, e in rows)
            items.append((score, positive, float(weights[video])))
    return items


@settings(max_examples=60)
@given(case=cases(), half=st.sampled_from([1, 10, 15]), data=st.data())
def test_is_a_loop_over_points(case: tuple[Any, Any, Any], half: int, data: st.DataObject) -> None:
    found, rows, durations = case
    protocol = Charades25(smooth_half=half)
    truth = _truth(rows, durations, 2)
    matches = protocol.match(_found(found, tuple(durations)), truth)
    weights = {video: data.draw(st.integers(1, 3)) for video in durations}
    values = protocol.score(matches, [weights[video] for video in durations])
    for name, reach in (("frame_map", None), ("frame_map_smoothed", half)):
        expected = np.mean([plain_ap(_items(case, weights, label, reach)) for label in (0, 1)])
        assert values[name] == pytest.approx(expected, abs=1e-9)


@settings(max_examples=60)
@given(seed=st.integers(0, 10_000), num_videos=st.integers(1, 6), num_items=st.integers(1, 40), whole=st.booleans())
def test_sparse_counts_give_the_ap_of_running_sums(seed: int, num_videos: int, num_items: int, whole: bool) -> None:
    rng = np.random.default_rng(seed)
    video = np.concatenate([rng.integers(0, num_videos, num_items) for _ in range(3)])
    outcome = np.concatenate([rng.random(num_items) < share for share in (0.0, 0.3, 1.0)]).astype(np.int8)[:, None]
    label = np.repeat(np.arange(3), num_items)
    num_gt = np.zeros((num_videos, 3), np.int64)
    np.add.at(num_gt, (video, label), outcome[:, 0])
    score = np.tile(-np.arange(num_items, dtype=np.float64), 3)
    ids = tuple(f"v{v}" for v in range(num_videos))
    matches = Matches("p 1", (0.0,), ("a", "b", "c"), ids, label, video, score, outcome, num_gt)
    weights = rng.integers(0, 3, (70, num_videos)).astype(float) if whole else rng.random((70, num_videos))
    for own, rule in zip(item_ap(matches, weights, ("plain", "normalised")), ("plain", "normalised"), strict=True):
        expected = class_ap(matches, weights, rule)[:, :, 0]
        assert np.isnan(own[:, 0]).all()
        assert own == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_matches_are_stored_and_resampled(tmp_path: Path) -> None:
    truth = _truth([("a", 0, 0, 9), ("b", 1, 4, 20), ("c", 0, 5, 8)], {"a": 25.0, "b": 30.0, "c": 40.0}, 2)
    found = _found(
        [("a", 0, 1, 8, 0.5), ("b", 1, 0, 9, 0.9), ("b", 0, 0, 5, 0.7), ("c", 0, 6, 9, 0.3)], ("a", "b", "c")
    )
    protocol = Charades25()
    matches = protocol.match(found, truth)
    matches.save(tmp_path / "matches.arrow")
    weights = np.array([[1.0, 1.0, 1.0], [2.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    values = protocol.resample(protocol.load_matches(tmp_path / "matches.arrow"), weights)
    assert np.array_equal(values, protocol.resample(matches, weights), equal_nan=True)
    assert 0 < values[0, 0] < 1
    assert values[2].tolist() == pytest.approx(list(protocol.score(matches, [1, 0, 1]).values()))
    assert np.isnan(values[3]).all()


def test_nothing_is_left_out_without_being_counted() -> None:
    ids = ("v", "elsewhere")
    rows: list[Scored] = [("v", 0, 9, 20, 0.5), ("elsewhere", 0, 1, 2, 0.5), ("v", 1, 5, 5, 0.5), ("v", 3, 1, 2, 0.5)]
    protocol = Charades25(on_unknown_video="drop", on_unknown_label="drop")
    three = dataclasses.replace(TRUTH.segments, class_names=("c0", "c1", "c2"))
    matches = protocol.match(_found(rows, ids), dataclasses.replace(TRUTH, segments=three))
    assert matches.warnings.pop("tied_scores") > 40  # type: ignore[attr-defined]
    assert matches.warnings == {
        "unknown_label_detections_dropped": 1,
        "unknown_video_detections_dropped": 1,
        "empty_detections_dropped": 1,
        "classes_without_ground_truth": 1,
    }
    assert set(protocol.per_class_ap(matches)) == {"c0", "c1"}


def _with(**values: Any) -> Detections:
    return dataclasses.replace(FOUND, **values)


@pytest.mark.parametrize(
    ("found", "complaint"),
    [
        (_with(scores=np.array([0.1, -0.2, 0.3, 0.1, 0.1])), "row 1 has a score below 0"),
        (_with(scores=np.array([0.1, np.nan, 0.3, 0.1, 0.1])), "row 1 has a score that is not finite"),
        (_with(labels=np.array([0, 1, 2, 0, 0])), "row 2 has a label outside the 2 classes"),
        (_with(segments_s=FOUND.segments_s[:, ::-1]), "row 0 is"),
        (_with(video_ids=("w",)), "none of the 1 videos is in the ground truth"),
        (_with(video_ids=("v", "w"), video=np.array([0, 0, 0, 0, 1])), "video 'w' is not in the ground truth"),
    ],
)
def test_detections_that_cannot_be_scored_are_refused(found: Detections, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Charades25().match(found, TRUTH)


def test_durations_are_needed_and_settings_checked() -> None:
    protocol = Charades25()
    assert truth_for(ActivityNet(), TRUTH.segments, {}) is TRUTH.segments
    held = truth_for(protocol, TRUTH.segments, {"v": 150.0, "w": 3.0})
    assert isinstance(held, TimedTruth)
    assert held.durations_s.tolist() == [150.0]
    with pytest.raises(ValueError, match=r"store: does not say how long video 'v' is \(1 such videos\)"):
        truth_for(protocol, TRUTH.segments, {"v": None}, what="store")
    with pytest.raises(ValueError, match="lasts 0.0 s"):
        protocol.match(FOUND, dataclasses.replace(TRUTH, durations_s=np.zeros(1)))
    for bad in (
        {"smooth_half": 0},
        {"smooth_half": 151},
        {"on_unknown_video": "count"},
        {"on_reversed_segment": "miss"},
    ):
        with pytest.raises(ValueError, match=next(iter(bad))):
            Charades25(**bad)  # type: ignore[arg-type]


def test_files_are_held_against_annotations_with_durations(tmp_path: Path) -> None:
    rows = zip(FOUND.labels.tolist(), FOUND.segments_s.tolist(), FOUND.scores.tolist(), strict=True)
    found = {"results": {"v": [{"segment": s, "label": f"c{k}", "score": p} for k, s, p in rows]}}
    annotations = [{"segment": [10.0, 26.0], "label": "c0"}, {"segment": [60.0, 75.0], "label": "c1"}]
    video = {"duration": 150.0, "subset": "validation", "annotations": annotations}
    (tmp_path / "found.json").write_text(json.dumps(found))
    (tmp_path / "truth.json").write_text(json.dumps({"database": {"v": video}}))
    protocol = Charades25()
    predictions, truth, durations = read_inputs(
        protocol, tmp_path / "found.json", tmp_path / "truth.json", truth_format="auto", subset=None
    )
    assert durations == {"v": 150.0}
    card = score_predictions(protocol, predictions, truth, num_resamples=3)
    assert card.metrics == pytest.approx({"frame_map": 0.779762, "frame_map_smoothed": 0.603325}, abs=1e-6)
    assert set(card.intervals) == {"frame_map", "frame_map_smoothed"}
