"""Axes, numbers and streams: (T, C) float32 or one clear complaint."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.data.feature_files.layout import join_streams, to_features

VALUES = np.arange(12, dtype=np.float64).reshape(4, 3)


@pytest.mark.parametrize("kind", ["<f2", "<f4", ">f4", "<f8"])
def test_float_types_become_float32(kind: str) -> None:
    found = to_features(VALUES.astype(kind), where="v", layout="tc")
    assert found.dtype == np.float32
    assert found.dtype.isnative
    assert found.flags.c_contiguous
    assert np.array_equal(found, VALUES)


@given(length=st.integers(1, 9), channels=st.integers(1, 9), declared=st.booleans(), turned=st.booleans())
def test_the_time_axis_is_declared_or_told_by_the_channels(
    length: int, channels: int, declared: bool, turned: bool
) -> None:
    values = np.arange(length * channels, dtype=np.float32).reshape(length, channels)
    stored = values.T if turned else values
    layout: Any = ("ct" if turned else "tc") if declared else None
    if length == channels and not declared:
        with pytest.raises(ValueError, match=rf"both axes of \({length}, {length}\).*give the layout"):
            to_features(stored, where="v", channels=channels)
    else:
        assert np.array_equal(to_features(stored, where="v", layout=layout, channels=channels), values)


@pytest.mark.parametrize("layout", ["tc", "ct", None])
def test_one_vector_is_one_snippet(layout: Any) -> None:
    assert to_features(np.arange(3.0), where="v", layout=layout, channels=3).tolist() == [[0, 1, 2]]


@pytest.mark.parametrize(
    ("values", "settings", "complaint"),
    [
        (VALUES, {}, r"f\.npy: shape \(4, 3\) does not tell \(T, C\) from \(C, T\); give the layout or the channels"),
        (VALUES, {"channels": 5}, r"f\.npy: no axis of \(4, 3\) has the 5 channels expected"),
        (VALUES, {"channels": 4, "layout": "tc"}, r"f\.npy: shape \(4, 3\) has 3 channels in the layout 'tc', 4 exp"),
        (VALUES, {"channels": 3, "layout": "ct"}, r"f\.npy: shape \(4, 3\) has 4 channels in the layout 'ct', 3 exp"),
        (VALUES, {"layout": "tcx"}, "layout: 'tcx' is none of tc, ct"),
        (VALUES[0], {"channels": 5}, r"f\.npy: no axis of \(3,\)|shape \(3,\) has 3 channels"),
        (VALUES[None], {"layout": "tc"}, r"f\.npy: shape \(1, 4, 3\), expected \(T, C\)"),
        (VALUES[:0], {"layout": "tc"}, r"f\.npy: shape \(0, 3\)"),
        (np.float64(3.0), {"layout": "tc"}, r"f\.npy: shape \(\)"),
        (VALUES.astype(int), {"layout": "tc"}, r"f\.npy: holds int64, features are float16, float32 or float64"),
        (VALUES.astype(object), {"layout": "tc"}, r"f\.npy: holds object"),
        (VALUES.astype(complex), {"layout": "tc"}, r"f\.npy: holds complex128"),
    ],
)
def test_what_does_not_fit_is_named(values: Any, settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        to_features(np.asarray(values), where="f.npy", **settings)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e39])
@pytest.mark.parametrize("layout", ["tc", "ct"])
def test_the_snippet_that_is_not_finite_is_named(bad: float, layout: Any) -> None:
    values = VALUES.copy()
    values[2, 1] = values[3, 0] = bad
    stored = values if layout == "tc" else values.T
    with pytest.raises(ValueError, match=r"f\.npy: snippet 2 of 4 \(counted from 0\).*; 2 snippets do"):
        to_features(stored, where="f.npy", layout=layout)


@given(lengths=st.lists(st.integers(1, 6), min_size=1, max_size=3), tolerance=st.integers(0, 5))
def test_streams_lie_side_by_side_in_their_order(lengths: list[int], tolerance: int) -> None:
    parts = [np.full((n, 2), i, np.float32) + np.arange(n, dtype=np.float32)[:, None] for i, n in enumerate(lengths)]
    names = [f"s{i}" for i in range(len(parts))]
    if max(lengths) - min(lengths) > tolerance:
        with pytest.raises(ValueError, match=rf"v: streams have different .*s0 {lengths[0]}.*at most {tolerance}"):
            join_streams(parts, names, where="v", tolerance=tolerance)
        return
    joined = join_streams(parts, names, where="v", tolerance=tolerance)
    assert joined.shape == (min(lengths), 2 * len(parts))
    for row in range(min(lengths)):
        assert joined[row].tolist() == [i + row for i in range(len(parts)) for _ in range(2)]
