"""Scores of few samples a video are read at another rate, linearly between the middles of what they stand for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from trainables.detections import FloatArray, FrameScores, GroundTruth
from trainables.evaluation.charades.official import FrameMapCharades25
from trainables.evaluation.frames.frame_map import FrameMapDense
from trainables.evaluation.frames.resampling import at_fps
from trainables.evaluation.frames.scores import TimedTruth


def _truth(durations: dict[str, float], actions: list[tuple[int, float, float]]) -> TimedTruth:
    """Actions (class, start, end) are those of the first video."""
    table = np.asarray(actions, np.float64).reshape(-1, 3)
    names = tuple(f"c{k}" for k in range(2))
    segments = GroundTruth(
        tuple(durations), names, np.zeros(len(table), np.int64), table[:, 1:], table[:, 0].astype(np.int64)
    )
    return TimedTruth(segments, np.asarray(list(durations.values())))


def _scores(*videos: Any) -> FrameScores:
    parts = [np.asarray(v, np.float64) for v in videos]
    return FrameScores(tuple("abc"[: len(parts)]), np.cumsum([0, *map(len, parts)]), np.concatenate(parts))


def test_golden() -> None:
    found = at_fps(_scores([[0.0, 8.0], [1.0, 4.0]]), _truth({"a": 4.0}, []), 1.0)
    assert found.scores.tolist() == [[0.0, 8.0], [0.25, 7.0], [0.75, 5.0], [1.0, 4.0]]
    assert found.times_s is None
    same = _scores([[0.0, 8.0]])
    assert at_fps(same, _truth({"a": 4.0}, []), 0.0) is same


@given(
    number=st.integers(1, 9),
    wanted=st.integers(1, 40),
    duration=st.sampled_from([0.7, 4.0, 31.29]),
    timed=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_it_is_what_torch_calls_linear(number: int, wanted: int, duration: float, timed: bool, seed: int) -> None:
    """Also where the samples say themselves that they divide the video evenly."""
    scores = np.random.default_rng(seed).normal(size=(number, 2))
    found = _scores(scores, scores[:1])
    if timed:
        times = (np.arange(number) + 0.5) * duration / number
        found = replace(found, times_s=np.append(times, 0.2))
    got = at_fps(found, _truth({"a": duration, "b": 1.0}, []), wanted / duration)
    expected = F.interpolate(torch.from_numpy(scores).T[None], size=wanted, mode="linear", align_corners=False)[0].T
    assert got.first_frame[1] == wanted
    assert np.allclose(got.scores[:wanted], expected.numpy(), atol=1e-9)
    assert (got.scores[wanted:] == scores[0]).all()


def _slow(times: FloatArray, scores: FloatArray, at: float) -> FloatArray:
    """Linear between the neighbours of a time."""
    before = [i for i, t in enumerate(times) if t <= at]
    after = [i for i, t in enumerate(times) if t > at]
    if not before or not after:
        return scores[after[0] if after else before[-1]]
    low, high = before[-1], after[0]
    share = (at - times[low]) / (times[high] - times[low])
    return scores[low] * (1 - share) + scores[high] * share


def test_samples_that_do_not_fill_the_video() -> None:
    """Features begin late and end early, as those of snippets of several frames do."""
    times, scores = np.array([0.8, 1.3, 1.8]), np.array([[1.0, 0.0], [5.0, 1.0], [2.0, -1.0]])
    found = FrameScores(("a",), np.array([0, 3]), scores, times)
    got = at_fps(found, _truth({"a": 3.0}, []), 10.0).scores
    assert len(got) == 30
    assert np.allclose(got, [_slow(times, scores, (f + 0.5) / 10) for f in range(30)])


def test_protocols_label_the_frames_that_come_of_it() -> None:
    truth = _truth({"a": 4.0}, [(0, 1.0, 3.0), (1, 0.4, 0.6)])
    found = _scores([[0.0, 1.0], [1.0, 0.0]])
    dense = FrameMapDense(fps=4.0)
    matches = dense.match(found, truth)
    assert matches.num_gt.tolist() == [[7, 1]], "frames 5 to 11 of 16 (1 < f/4 < 3), and 2 alone"
    assert dense.counts(matches)["predictions"] == 32
    points = FrameMapCharades25(fps=25.0).match(found, truth)
    assert points.num_gt.tolist() == [[12, 1]], "1.12, 1.28 ... 2.88; 0.48"
    assert len(np.unique(points.score)) > 2, "points lie between the two samples"
    coarse = FrameMapCharades25().match(found, truth)
    assert len(np.unique(coarse.score)) == 2


def test_what_cannot_be_read_in_between_is_refused() -> None:
    found = _scores([[0.0, 1.0], [-np.inf, -np.inf]])
    truth = _truth({"a": 4.0}, [(0, 1.0, 3.0), (1, 0.4, 0.6)])
    with pytest.raises(ValueError, match="video 'a' has frames without scores.*set fps to 0"):
        FrameMapCharades25(fps=2.0).match(found, truth)
    for protocol in (FrameMapDense, FrameMapCharades25):
        with pytest.raises(ValueError, match="fps: -1.0 must be a positive number, or 0"):
            protocol(fps=-1.0)


def test_videos_that_are_not_annotated_are_left_to_the_protocol() -> None:
    found = _scores([[0.0, 1.0], [1.0, 0.0]], [[0.0, 0.0]])
    truth = _truth({"a": 4.0}, [(0, 1.0, 3.0), (1, 0.4, 0.6)])
    with pytest.raises(ValueError, match="video 'b' is not in the ground truth"):
        FrameMapDense(fps=4.0).match(found, truth)
    assert FrameMapDense(fps=4.0, on_unknown_video="drop").match(found, truth).num_gt.tolist() == [[7, 1]]
