"""Frame arithmetic against exact fractions, one time and one frame at a time."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.data.video.sampling import (
    as_rate,
    frames_at_rate,
    frames_at_starts,
    resample_frames,
    resampled_times,
    sliding_windows,
)

RATES = st.sampled_from(
    [
        Fraction(24000, 1001),
        Fraction(25),
        Fraction(30000, 1001),
        Fraction(30),
        Fraction(981, 50),
        Fraction(60),
        Fraction(1),
    ]
)


def test_rates_are_exact() -> None:
    assert as_rate(29.97002997002997) == Fraction(30000, 1001)
    assert as_rate(19.62) == Fraction(981, 50)
    assert as_rate(30) == 30
    for bad in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="positive"):
            as_rate(bad)


@given(RATES, st.integers(0, 10_000_000))
def test_a_frames_own_start_gives_that_frame_after_days_too(rate: Fraction, frame: int) -> None:
    start = float(frame / rate)
    assert frames_at_rate([start, start * (1 + 1e-15)], rate, 10_000_001).tolist() == [frame, frame]


@given(RATES, st.lists(st.fractions(0, 999, max_denominator=977), min_size=1))
def test_the_frame_on_screen_at_constant_rate(rate: Fraction, times: list[Fraction]) -> None:
    expected = [int(time * rate) for time in times]  # rounds down
    num_frames = max(expected) + 1
    assert frames_at_rate([float(time) for time in times], rate, num_frames).tolist() == expected
    if num_frames > 1:
        with pytest.raises(ValueError, match="outside the video"):
            frames_at_rate([float(time) for time in times], rate, num_frames - 1)


@given(st.lists(st.integers(1, 500), min_size=1, max_size=30), st.data())
def test_the_frame_on_screen_at_variable_rate(lengths: list[int], data: st.DataObject) -> None:
    ticks = np.cumsum([0, *lengths])
    time = data.draw(st.integers(0, int(ticks[-1]) * 10 - 6))  # in tenths of a tick, up to just before the end
    expected = max(i for i in range(len(lengths)) if 10 * ticks[i] <= time + 5)
    starts = ticks[:-1] / 1000
    found = frames_at_starts([time / 10_000], starts, float(ticks[-1] / 1000), 0.001)
    distance = min(abs(10 * int(tick) - time - 5) for tick in ticks)
    if distance:  # exactly half a tick early may go either way
        assert found.tolist() == [expected]


def test_variable_rate_refuses_times_outside() -> None:
    starts = np.asarray([0.0, 0.5, 0.6])
    for time in (-0.01, 1.0, float("nan")):
        with pytest.raises(ValueError, match="time 1 of the request"):
            frames_at_starts([0.1, time], starts, 1.0, 0.001)


@given(st.integers(1, 400), RATES, RATES)
def test_another_rate_shows_what_is_on_screen_then(num_frames: int, source: Fraction, target: Fraction) -> None:
    expected, number = [], 0
    while (time := Fraction(number) / target) < Fraction(num_frames) / source:
        expected.append(int(time * source))
        number += 1
    assert resample_frames(num_frames, source, target).tolist() == expected
    times = resampled_times(float(num_frames / source), target)
    assert times == pytest.approx([float(i / target) for i in range(len(expected))], abs=1e-12)
    assert frames_at_rate(times, source, num_frames).tolist() == expected


@given(st.integers(1, 300), st.integers(1, 40), st.integers(1, 40))
def test_windows_lie_on_a_regular_grid_and_cover_everything(num_frames: int, length: int, stride: int) -> None:
    starts = [0]
    while starts[-1] + length < num_frames and starts[-1] + stride < num_frames:
        starts.append(starts[-1] + stride)
    windows = sliding_windows(num_frames, length, stride)
    assert windows.frames.tolist() == [[min(s + i, num_frames - 1) for i in range(length)] for s in starts]
    assert windows.num_valid.tolist() == [sum(s + i < num_frames for i in range(length)) for s in starts]
    assert windows.num_valid.min() > 0
    if stride <= length:
        assert set(windows.frames.ravel().tolist()) == set(range(num_frames))


def test_counts_are_checked() -> None:
    for arguments in ((0, 1, 1), (1, 0, 1), (1, 1, 0)):
        with pytest.raises(ValueError, match="must be a whole number from 1"):
            sliding_windows(*arguments)
    with pytest.raises(ValueError, match="duration"):
        resampled_times(0.0, 25)
