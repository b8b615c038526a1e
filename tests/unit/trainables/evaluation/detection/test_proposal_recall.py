"""AR@AN against a loop over single proposals, and under weights of the videos."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_references import area, average_recall

from trainables.detections import Detections, GroundTruth
from trainables.evaluation.detection.detection_map import ACTIVITYNET_GRID
from trainables.evaluation.detection.proposal_recall import ArAn

#: Video -> (instances, proposals with scores).
Videos = dict[str, tuple[list[tuple[float, float]], list[tuple[float, float, float]]]]


def _arrays(videos: Videos) -> tuple[Detections, GroundTruth]:
    ids = tuple(videos)
    gt = [(i, s, e) for i, (instances, _) in enumerate(videos.values()) for s, e in instances]
    found = [(i, *p) for i, (_, proposals) in enumerate(videos.values()) for p in proposals]
    g, f = np.asarray(gt, np.float64).reshape(-1, 3), np.asarray(found, np.float64).reshape(-1, 4)
    return (
        Detections(ids, f[:, 0].astype(np.int64), f[:, 1:3], np.zeros(len(f), np.int64), f[:, 3]),
        GroundTruth(ids, ("action",), g[:, 0].astype(np.int64), g[:, 1:], np.zeros(len(g), np.int64)),
    )


GOLDEN: Videos = {
    "a": ([(0, 10), (20, 30)], [(0, 10, 0.9), (50, 60, 0.8), (20, 26, 0.7)]),
    "b": ([(0, 10)], [(0, 8, 0.6)]),
}


def test_golden() -> None:
    protocol = ArAn(max_average_number=2)
    matches = protocol.match(*_arrays(GOLDEN))
    numbers, recalls = protocol.curve(matches, np.ones(2))
    for number, recall in ((0.02, 0), (0.5, 0), (1, 1 / 3), (1.5, 1 / 3), (2, 2 / 3)):
        assert recalls[np.isclose(numbers, number)] == pytest.approx([recall])
    assert protocol.score(matches) == pytest.approx({"ar_an_1": 1 / 3, "ar_an_auc": 0.223333}, abs=1e-6)


def test_the_names_are_points_of_the_curve() -> None:
    names = ("ar_an_1", "ar_an_5", "ar_an_10", "ar_an_50", "ar_an_100", "ar_an_auc")
    assert ArAn().metric_names() == names
    assert ArAn().tiou_thresholds == ACTIVITYNET_GRID
    thumos = ArAn(max_average_number=1000).metric_names()
    assert thumos == ("ar_an_10", "ar_an_50", "ar_an_100", "ar_an_200", "ar_an_500", "ar_an_1000", "ar_an_auc")
    assert ArAn(max_average_number=None).metric_names() == ("ar_an_all", "ar_an_auc")
    assert ArAn(max_average_number=3).metric_names() == ("ar_an_all", "ar_an_auc")


def test_numbers_are_those_of_the_points() -> None:
    protocol = ArAn()
    numbers, _ = protocol.curve(protocol.match(*_arrays(GOLDEN)), np.ones(2))
    for name, point in protocol._printed.items():
        assert numbers[point] == pytest.approx(name)


def test_videos_with_more_proposals_get_more() -> None:
    """At AN = 1 the video with three proposals uses one and the video with one none."""
    videos: Videos = {**GOLDEN, "b": ([(0, 10)], [(0, 10, 1.0)])}
    protocol = ArAn(max_average_number=2)
    assert protocol.score(protocol.match(*_arrays(videos)))["ar_an_1"] == pytest.approx(1 / 3)


def test_one_proposal_recalls_several_instances() -> None:
    protocol = ArAn(max_average_number=1)
    videos: Videos = {"a": ([(0, 10), (0, 9.9), (0, 10)], [(0, 10, 0.5)])}
    assert protocol.score(protocol.match(*_arrays(videos)))["ar_an_1"] == 1.0


@st.composite
def cases(draw: st.DrawFn) -> Videos:
    """Whole seconds, few scores: ties, duplicates, exact thresholds, videos without proposals, empty proposals."""
    place = st.integers(0, 12)
    instance = st.tuples(place, st.integers(1, 6)).map(lambda p: (float(p[0]), float(sum(p))))
    proposal = st.tuples(place, st.integers(0, 6), st.sampled_from([0.1, 0.5, 0.9])).map(
        lambda p: (float(p[0]), float(p[0] + p[1]), p[2])
    )
    return {
        video: (draw(st.lists(instance, min_size=1, max_size=3)), draw(st.lists(proposal, max_size=7)))
        for video in "abcd"[: draw(st.integers(1, 4))]
    }


def _expected(videos: Sequence[Any], protocol: ArAn) -> list[float]:
    numbers, recalls = average_recall(videos, protocol.max_average_number, protocol.tiou_thresholds)
    largest = protocol.max_average_number
    printed = [n for n in (1, 5, 10, 50, 100) if largest and n <= largest and 100 * n % largest == 0]
    points = [recalls[100 * n // largest - 1] for n in printed] if largest and printed else [recalls[-1]]
    return [*points, area(numbers, recalls)]


numbers_of_proposals = st.sampled_from([1, 2, 5, 7, 100, None])


@settings(max_examples=200)
@given(videos=cases(), largest=numbers_of_proposals)
def test_equal_to_the_loop(videos: Videos, largest: int | None) -> None:
    protocol = ArAn((0.3, 0.5, 0.75), largest)
    scores = protocol.score(protocol.match(*_arrays(videos)))
    assert list(scores.values()) == pytest.approx(_expected(list(videos.values()), protocol), abs=1e-9)


@settings(max_examples=120)
@given(videos=cases(), largest=numbers_of_proposals, data=st.data())
def test_weights_equal_repeated_videos(videos: Videos, largest: int | None, data: st.DataObject) -> None:
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(videos), max_size=len(videos)))
    protocol = ArAn((0.3, 0.5, 0.75), largest)
    matches = protocol.match(*_arrays(videos))
    repeated = [v for v, w in zip(videos.values(), weights, strict=True) for _ in range(w)]
    if not repeated:
        assert np.isnan(protocol.resample(matches, np.zeros((1, len(videos))))).all()
        with pytest.raises(ValueError, match="there is nothing to score"):
            protocol.score(matches, weights)
        return
    scores = protocol.score(matches, weights)
    assert list(scores.values()) == pytest.approx(_expected(repeated, protocol), abs=1e-9)


def test_a_bootstrap_resamples_the_videos() -> None:
    protocol = ArAn((0.5,), 2)
    matches = protocol.match(*_arrays(GOLDEN))
    draws = protocol.bootstrap(matches, num_resamples=50, seed=3)
    possible = {tuple(np.round(list(protocol.score(matches, w).values()), 12)) for w in ([2, 0], [1, 1], [0, 2])}
    assert {tuple(row) for row in np.round(draws, 12)} == possible


def test_other_videos_are_refused_or_counted() -> None:
    found, truth = _arrays({**GOLDEN, "bare": ([], [(0, 5, 0.9)]), "other": ([], [(0, 5, 0.9), (1, 2, 0.3)])})
    annotated = GroundTruth(("a", "b", "bare"), truth.class_names, truth.video, truth.segments_s, truth.labels)
    with pytest.raises(ValueError, match="video 'other' is not in the ground truth"):
        ArAn().match(found, annotated)
    matches = ArAn(on_unknown_video="drop", max_average_number=2).match(found, annotated)
    assert matches.warnings == {
        "proposals_on_other_videos_left_out": 3,
        "videos_without_instances_left_out": 1,
    }
    expected = ArAn(max_average_number=2).match(*_arrays(GOLDEN))
    assert ArAn(max_average_number=2).score(matches) == ArAn(max_average_number=2).score(expected)
    excluded = ArAn(exclude_videos=("other", "b"), max_average_number=2).match(found, annotated)
    assert excluded.video_ids == ("a",)
    assert excluded.warnings["excluded_video_detections"] == 3


def test_what_cannot_be_scored_is_refused() -> None:
    found, truth = _arrays(GOLDEN)
    found.scores[1] = np.nan
    with pytest.raises(ValueError, match="detections: row 1 has a score that is not finite"):
        ArAn().match(found, truth)
    with pytest.raises(ValueError, match="max_average_number: 0 must be 1 or more"):
        ArAn(max_average_number=0)
    with pytest.raises(ValueError, match=r"tiou_thresholds: \(1.5,\)"):
        ArAn((1.5,))
    made = ArAn((0.5,)).match(*_arrays(GOLDEN))
    with pytest.raises(ValueError, match=r"matched at \(0.5,\).*match the proposals again"):
        ArAn((0.6,)).score(made)
