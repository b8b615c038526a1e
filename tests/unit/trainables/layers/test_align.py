"""RoI align in one dimension: worked values, a loop, gradients."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from trainables.layers.align import AlignMode, align_1d

RAMP = (torch.arange(10, dtype=torch.float64) + 10)[None, None]


def one(segment: tuple[float, float], length: int, **options: object) -> list[float]:
    rois = torch.tensor([[0.0, *segment]], dtype=torch.float64)
    return align_1d(RAMP, rois, length, **options)[0, 0].tolist()  # type: ignore[arg-type, no-any-return]


@pytest.mark.parametrize(
    ("segment", "length", "mode", "expected"),
    [
        ((2, 6), 4, "gtad", [12.5, 13.5, 14.5, 15.5]),
        ((-2, 2), 4, "gtad", [0, 10, 10.5, 11.5]),
        ((8, 12), 4, "gtad", [18.5, 19, 0, 0]),
        ((4, 4.2), 2, "gtad", [14.25, 14.75]),
        ((0, 10), 2, "gtad", [12.5, 17.4]),
        ((2, 6), 4, "half_pixel", [12, 13, 14, 15]),
        ((4, 4.2), 2, "half_pixel", [13.55, 13.65]),
    ],
)
def test_golden(segment: tuple[float, float], length: int, mode: AlignMode, expected: list[float]) -> None:
    assert one(segment, length, mode=mode) == pytest.approx(expected, abs=1e-9)


def loop(values: list[float], start: float, end: float, length: int, mode: str, ratio: int) -> list[float]:
    """One channel, one segment, one sample after another."""
    extent = end - start if mode == "half_pixel" else max(end - start, 1.0)
    if mode == "half_pixel":
        start -= 0.5
    number = ratio or max(1, math.ceil(extent / length))
    width, last = extent / length, len(values) - 1
    result = []
    for p in range(length):
        total = 0.0
        for q in range(number):
            t = start + p * width + (q + 0.5) * width / number
            if t < -1 or t > len(values):
                continue
            t = max(t, 0.0)
            low = math.floor(t)
            total += values[last] if low >= last else values[low] * (1 - (t - low)) + values[low + 1] * (t - low)
        result.append(total / number)
    return result


@given(
    values=st.lists(st.floats(-5, 5), min_size=1, max_size=7),
    segments=st.lists(st.tuples(st.floats(-4, 10), st.floats(0, 9)), min_size=1, max_size=3),
    length=st.integers(1, 5),
    mode=st.sampled_from(["half_pixel", "gtad"]),
    ratio=st.integers(0, 3),
)
@settings(max_examples=400)
def test_equal_to_the_loop(
    values: list[float], segments: list[tuple[float, float]], length: int, mode: AlignMode, ratio: int
) -> None:
    feats = torch.tensor(values, dtype=torch.float64)[None, None]
    rois = torch.tensor([[0.0, s, s + w] for s, w in segments], dtype=torch.float64)
    found = align_1d(feats, rois, length, mode=mode, sampling_ratio=ratio)[:, 0]
    for row, (_, start, end) in zip(found, rois.tolist(), strict=True):
        assert row.tolist() == pytest.approx(loop(values, start, end, length, mode, ratio), abs=1e-9)


def test_inputs_and_channels_keep_apart_and_gradient_reaches_the_features() -> None:
    feats = torch.randn(2, 3, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    rois = torch.tensor([[1.0, 1.0, 4.5], [0.0, 0.0, 6.0]], dtype=torch.float64)

    def work(x: Tensor) -> Tensor:
        return align_1d(x, rois, 3)

    found = work(feats)
    assert found.shape == (2, 3, 3)
    alone = align_1d(feats[1:, 1:2], torch.tensor([[0.0, 1.0, 4.5]], dtype=torch.float64), 3)
    assert torch.allclose(found[0, 1], alone[0, 0])
    assert torch.autograd.gradcheck(work, (feats,))


def test_no_regions_and_bad_ones() -> None:
    assert align_1d(RAMP, torch.zeros(0, 3, dtype=torch.float64), 4).shape == (0, 1, 4)
    assert one((6, 2), 2, mode="gtad") == one((6, 7), 2, mode="gtad"), "at least 1 long"
    with pytest.raises(ValueError, match=r"row 0 is \[6.0, 2.0\]; it must not end before it starts"):
        one((6, 2), 2)
    with pytest.raises(ValueError, match="row 0 is of input 1, there are 1"):
        align_1d(RAMP, torch.tensor([[1.0, 0.0, 2.0]]), 2)
    with pytest.raises(ValueError, match="length 0 must be 1 or more"):
        one((0, 2), 0)
