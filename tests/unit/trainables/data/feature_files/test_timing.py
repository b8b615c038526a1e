"""When a feature is: frames to seconds without drift."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.data.feature_files.timing import SnippetTiming, exact_rate

RATES = st.sampled_from([Fraction(25), Fraction(30), Fraction(30000, 1001), Fraction(24000, 1001), Fraction(1501, 50)])


def test_touching_windows_begin_with_the_video() -> None:
    assert SnippetTiming(16, 16).offset_snippets == 0.0
    assert SnippetTiming(16, 16).snippet_seconds(Fraction(30)) == 16 / 30


def test_overlapping_windows_golden() -> None:
    timing = SnippetTiming(16, 4)  # I3D features of THUMOS'14 as ActionFormer takes them
    assert timing.offset_snippets == 1.5
    assert timing.snippet_seconds(Fraction(30)) == 4 / 30
    # ActionFormer: feature 0 sits at the middle of its window, 8 frames in
    assert (timing.offset_snippets + 0.5) * timing.snippet_seconds(Fraction(30)) == pytest.approx(8 / 30, abs=1e-15)
    assert timing.end_s(10, Fraction(30)) == 52 / 30


def test_a_padded_extractor_sits_at_whole_strides() -> None:
    timing = SnippetTiming(16, 8, first_frame=-8)
    assert timing.offset_snippets == -0.5
    assert timing.end_s(1, Fraction(30)) == 8 / 30


@given(
    length=st.integers(1, 64),
    stride=st.integers(1, 64),
    first=st.integers(-32, 32),
    snippet=st.integers(0, 200_000),
    fps=RATES,
)
def test_the_middle_of_a_cell_is_the_middle_of_the_window(
    length: int, stride: int, first: int, snippet: int, fps: Fraction
) -> None:
    timing = SnippetTiming(length, stride, fps, first)
    exact = (first + snippet * stride + Fraction(length, 2)) / fps
    step = timing.snippet_seconds(fps)
    found = timing.offset_snippets * step + (snippet + 0.5) * step
    assert found == pytest.approx(float(exact), rel=1e-15 * 4, abs=1e-12)
    assert timing.end_s(snippet + 1, fps) == float((first + snippet * stride + length) / fps)


@given(num=st.integers(1, 1_000_000))
def test_rates_stay_exact(num: int) -> None:
    assert exact_rate("30000/1001") * num == Fraction(30000 * num, 1001)
    assert exact_rate(29.97) == Fraction(29.97), "a float is the number it is, not the decimal it prints as"
    assert exact_rate(Fraction(25)) == 25


@pytest.mark.parametrize("fps", ["x", "1/0", 0, -25.0, np.nan, np.inf])
def test_what_is_no_rate(fps: Any) -> None:
    with pytest.raises(ValueError, match="fps: "):
        exact_rate(fps)


@pytest.mark.parametrize("changes", [{"len_frames": 0}, {"stride_frames": -1}, {"fps": Fraction(0)}])
def test_windows_that_cannot_be(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(changes))}: .* must be positive"):
        SnippetTiming(**{"len_frames": 16, "stride_frames": 16, **changes})
