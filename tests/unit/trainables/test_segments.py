"""One-dimensional geometry against values by hand, and what must hold for any segments."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.segments import (
    clip_segments,
    grid_to_seconds,
    seconds_to_grid,
    seconds_to_snippets,
    snippets_to_seconds,
    tiou_matrix,
)

TIMES = st.floats(-1e6, 1e6, allow_nan=False)
SEGMENTS = st.lists(st.tuples(TIMES, TIMES).map(sorted), min_size=1, max_size=6)
STEPS = st.sampled_from([16 / 30, 8 / 25, 15 / 29.97, 0.1, 1 / 3, 512 / 29.97 / 100])


@pytest.mark.parametrize(
    ("a", "b", "tiou"),
    [
        ((0, 10), (1, 10), 0.9),
        ((0, 10), (6, 12), 1 / 3),
        ((1, 10), (6, 12), 4 / 11),
        ((0, 1), (1, 2), 0.0),
        ((0, 1), (5, 9), 0.0),
        ((2, 3), (0, 10), 0.1),
        ((4, 4), (4, 4), 0.0),
        ((4, 4), (0, 10), 0.0),
        ((0, 1e-310), (0, 1e-310), 0.0),  # below the smallest normal number: empty
    ],
)
def test_tiou_by_hand(a: tuple[float, float], b: tuple[float, float], tiou: float) -> None:
    assert tiou_matrix([a], [b])[0, 0] == pytest.approx(tiou, abs=1e-2 if a[1] == 1e-310 else 1e-12)
    assert tiou_matrix([b], [a])[0, 0] == tiou_matrix([a], [b])[0, 0]


@given(SEGMENTS, SEGMENTS)
def test_tiou_is_a_share_and_whole_for_the_same_segment(a: list[list[float]], b: list[list[float]]) -> None:
    found = tiou_matrix(a, b)
    assert found.shape == (len(a), len(b))
    assert found.dtype == np.float64
    assert ((found >= 0) & (found <= 1)).all()
    own = np.diag(tiou_matrix(a, a))
    lengths = np.diff(np.asarray(a), axis=1)[:, 0]
    assert (own[lengths > 1e-300] == 1.0).all()
    assert (own[lengths == 0] == 0.0).all()


def test_no_segments_at_all() -> None:
    none = np.zeros((0, 2))
    assert tiou_matrix(none, [(0, 1)]).shape == (0, 1)
    assert tiou_matrix([(0, 1)], none).shape == (1, 0)


@pytest.mark.parametrize(
    ("pred", "gt", "complaint"),
    [
        ([(0, 1), (3, 2)], [(0, 1)], r"pred: row 1 is \[3.0, 2.0\]"),
        ([(0, 1)], [(0, 1), (0, 2), (5, 4)], r"gt: row 2 is \[5.0, 4.0\]"),
        ([(0, np.nan)], [(0, 1)], "pred: row 0"),
        ([(0, np.inf)], [(0, 1)], "pred: row 0"),
        ([(0, 1, 2)], [(0, 1)], r"expected shape \(N, 2\), got \(1, 3\)"),
        ([0, 1], [(0, 1)], r"expected shape \(N, 2\), got \(2,\)"),
    ],
)
def test_bad_rows_are_named(pred: object, gt: object, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        tiou_matrix(pred, gt)  # type: ignore[arg-type]


@given(snippet=st.integers(0, 10_000_000), step=STEPS)
def test_whole_snippets_are_exact_on_the_way_back(snippet: int, step: float) -> None:
    seconds = snippets_to_seconds(snippet, step)
    assert float(seconds) == snippet * step
    for off in (seconds, np.nextafter(seconds, np.inf), np.nextafter(seconds, -np.inf)):
        assert float(seconds_to_snippets(off, step)) == snippet


def test_summed_steps_still_fall_on_snippets() -> None:
    step = 0.1
    summed = np.cumsum(np.full(1000, step))
    assert (summed != np.arange(1, 1001) * step).any(), "the sum does drift"
    assert seconds_to_snippets(summed, step).tolist() == list(range(1, 1001))


@given(position=st.floats(0, 1e5), step=STEPS)
def test_other_times_are_not_moved(position: float, step: float) -> None:
    back = float(seconds_to_snippets(position * step, step))
    assert back == pytest.approx(position, abs=1.1e-6)
    if abs(position - round(position)) > 1e-5:
        assert back != round(position)


@given(
    grid=st.lists(st.floats(-100, 1000), min_size=1, max_size=5),
    start_s=st.floats(-50, 5000),
    seconds_per_sample=st.floats(0.01, 20),
)
def test_grid_and_seconds_are_inverse(grid: list[float], start_s: float, seconds_per_sample: float) -> None:
    seconds = grid_to_seconds(grid, start_s=start_s, seconds_per_sample=seconds_per_sample)
    back = seconds_to_grid(seconds, start_s=start_s, seconds_per_sample=seconds_per_sample)
    assert back == pytest.approx(np.asarray(grid), abs=2e-6)


def test_grid_by_hand() -> None:
    # a window from 8 s, samples of half a second
    assert seconds_to_grid([8.0, 9.25], start_s=8.0, seconds_per_sample=0.5).tolist() == [0.0, 2.5]
    assert grid_to_seconds([0.0, 2.5], start_s=8.0, seconds_per_sample=0.5).tolist() == [8.0, 9.25]


@pytest.mark.parametrize("step", [0.0, -1.0, float("nan"), float("inf")])
def test_a_step_is_positive(step: float) -> None:
    with pytest.raises(ValueError, match="must be a positive number"):
        seconds_to_snippets(1.0, step)
    with pytest.raises(ValueError, match="must be a positive number"):
        grid_to_seconds(1.0, start_s=0.0, seconds_per_sample=step)


def test_clipping_says_what_is_left() -> None:
    segments = np.array([(-3, 2), (1, 4), (8, 15), (10, 12), (-5, 0), (4, 4), (-9, 99)], float)
    cut, kept = clip_segments(segments, 0.0, 10.0)
    assert cut.tolist() == [[0, 2], [1, 4], [8, 10], [10, 10], [0, 0], [4, 4], [0, 10]]
    assert kept.tolist() == [True, True, True, False, False, False, True]
    assert segments[0, 0] == -3, "the input is left alone"
