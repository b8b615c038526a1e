"""Runs of frames, against a loop over frames."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.detections import FrameScores
from trainables.evaluation.frames.runs import frame_runs


def test_golden() -> None:
    scores = np.array([[9.0, -9.0], [np.log(3), -9.0], [-1.0, 4.0], [2.0, -1.0]])
    found = FrameScores(("a", "none", "b"), np.array([0, 3, 3, 4]), scores, np.array([0.5, 1.5, 3.5, 0.2]))
    runs = frame_runs(found, {})
    assert runs.video_ids == ("a", "none", "b")
    assert runs.video.tolist() == [0, 0, 2]
    assert runs.labels.tolist() == [0, 1, 0]
    assert runs.segments_s.tolist() == [[0.0, 2.5], [2.5, 4.5], [0.0, 0.4]]
    assert runs.scores.tolist() == pytest.approx([(0.999877 + 0.75) / 2, 0.982014, 0.880797], abs=1e-6)
    even = frame_runs(FrameScores(("a",), np.array([0, 2]), np.array([[-1.0], [1.0]])), {"a": 3.0})
    assert even.segments_s.tolist() == [[1.5, 3.0]]


@given(rows=st.lists(st.lists(st.sampled_from([-2.0, 0.0, 1.0]), min_size=2, max_size=2), min_size=1, max_size=9))
def test_every_frame_above_is_in_one_run(rows: list[list[float]]) -> None:
    scores, number = np.asarray(rows), len(rows)
    runs = frame_runs(FrameScores(("a",), np.array([0, number]), scores), {"a": float(number)})
    covered = np.zeros((number, 2), int)
    for (start, end), label in zip(runs.segments_s, runs.labels, strict=True):
        first, last = round(start), round(end)
        assert (start, end) == pytest.approx((first, last))
        covered[first:last, label] += 1
        assert first == 0 or scores[first - 1, label] <= 0
        assert last == number or scores[last, label] <= 0
    assert (covered == (scores > 0)).all()
