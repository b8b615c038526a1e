"""The OIC loss against values computed by hand and independent numerics."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.layers.anchors import decode_anchors
from trainables.layers.integral import integral
from trainables.losses.oic import inflate, oic_loss

BUMP = [0, 0, 0.1, 0.9, 1, 0.8, 0.2, 0, 0, 0]


def _oic(a: list[float], start: float, end: float, gamma: float, outer_min: float) -> float:
    ends = torch.tensor([[start], [end]], dtype=torch.float64)
    value = oic_loss(torch.tensor([a], dtype=torch.float64), ends[:1], ends[1:], gamma=gamma, outer_min=outer_min)
    return float(value)


@pytest.mark.parametrize(
    ("gamma", "outer_min", "outer", "loss"),
    [(0.25, 0, (2.25, 6.75), -0.75), (0.25, 1, (2.0, 7.0), -0.75), (0.5, 0, (1.5, 7.5), -0.8)],
)
def test_value_and_rim(gamma: float, outer_min: float, outer: tuple[float, float], loss: float) -> None:
    start, end = inflate(torch.tensor(3.0), torch.tensor(6.0), gamma, outer_min)
    assert (float(start), float(end)) == pytest.approx(outer)
    assert _oic(BUMP, 3, 6, gamma, outer_min) == pytest.approx(loss, abs=1e-6)


def test_whole_video_has_a_cold_rim() -> None:
    assert _oic([1, 1, 1, 1], 0, 4, 0.25, 1) == pytest.approx(-1.0)


def test_gradient_through_inner_and_outer_ends() -> None:
    a = torch.tensor([[0, 0, 0, 0.2, 0.6, 1, 1, 0.8, 0.4, 0.1, 0, 0]], dtype=torch.float64)
    start = torch.tensor([[4.5]], dtype=torch.float64, requires_grad=True)
    end = torch.tensor([[8.25]], dtype=torch.float64, requires_grad=True)
    loss = oic_loss(a, start, end, gamma=0.5, outer_min=0)
    loss.backward()
    assert float(loss) == pytest.approx(-0.613333, abs=1e-6)
    assert float(start.grad) == pytest.approx(0.156444, abs=1e-6)
    assert float(end.grad) == pytest.approx(-0.049778, abs=1e-6)


def test_gradient_against_finite_differences() -> None:
    generator = torch.Generator().manual_seed(1)
    a = torch.rand(3, 20, generator=generator, dtype=torch.float64, requires_grad=True)
    start = torch.tensor([[3.3, 5.7], [2.2, 9.1], [1.6, 4.4]], dtype=torch.float64, requires_grad=True)
    end = (start.detach() + torch.tensor([4.17, 7.31], dtype=torch.float64)).requires_grad_()

    def loss(seq: torch.Tensor, s: torch.Tensor, e: torch.Tensor) -> torch.Tensor:
        return oic_loss(seq, s, e, gamma=0.3, outer_min=1.0)

    assert torch.autograd.gradcheck(loss, (a, start, end), eps=1e-6, atol=1e-6)


def _discrete(a: list[float], start: float, end: float, gamma: float, outer_min: float) -> list[float]:
    """Loss and gradient by the two ends."""
    ends = torch.tensor([[start], [end]], dtype=torch.float64, requires_grad=True)
    sequence = torch.tensor([a], dtype=torch.float64)
    value = oic_loss(sequence, ends[:1], ends[1:], gamma=gamma, outer_min=outer_min, mode="discrete")
    value.sum().backward()
    assert ends.grad is not None
    return [float(value), *ends.grad[:, 0].tolist()]


def test_whole_cells_golden() -> None:
    # inside 3 to 5, outside 2 to 6
    assert _discrete(BUMP, 3, 6, 0.25, 1.0)[0] == pytest.approx(-0.75)
    assert _discrete(BUMP, 3.9, 6.9, 0.25, 1.0)[0] == pytest.approx(-0.75)
    assert _discrete([1, 1, 1, 1], 0, 4, 0.25, 1.0)[0] == pytest.approx(-1.0)
    # a tenth of a cell is the cell it lies in
    assert _discrete(BUMP, 4.3, 4.4, 0.25, 1.0)[0] == pytest.approx((0.9 + 0.8) / 2 - 1.0)


def test_whole_cells_without_a_rim_are_the_worst_and_stay_where_they_are() -> None:
    assert _discrete(BUMP, 3, 6, 0.0, 0.0) == [1.0, 0.0, 0.0]


def _slow_whole_cells(a: list[float], start: float, end: float, rim: float) -> tuple[float, float, float]:
    """The layer of AutoLoc, cell by cell; loss in [-1, 1], so its gradient is not halved."""

    def cell(t: int) -> float:
        return a[t] if 0 <= t < len(a) else 0.0

    right = max(end - 1, start)
    x1, x2, big_x1, big_x2 = (math.floor(x) for x in (start, right, start - rim, right + rim))
    inside = [cell(t) for t in range(x1, x2 + 1)]
    ring = [cell(t) for t in range(big_x1, big_x2 + 1) if not x1 <= t <= x2]
    if not ring:
        return 1.0, 0.0, 0.0
    lo, li = float(np.mean(ring)), float(np.mean(inside))
    dx1 = (cell(x1) - lo) / len(ring) - (-cell(x1) + li) / len(inside)
    dx2 = (-cell(x2) + lo) / len(ring) - (cell(x2) - li) / len(inside)
    d_outer1, d_outer2 = (-cell(big_x1) + lo) / len(ring), (cell(big_x2) - lo) / len(ring)
    return lo - li, dx1 + d_outer1, dx2 + d_outer2


SEQUENCES = st.lists(st.floats(0, 1), min_size=1, max_size=20)


@given(
    a=SEQUENCES,
    start=st.floats(0, 18),
    length=st.floats(0.01, 20),
    gamma=st.floats(0, 1),
    outer_min=st.floats(0, 3),
)
def test_whole_cells_against_a_loop(
    a: list[float], start: float, length: float, gamma: float, outer_min: float
) -> None:
    end = start + length
    expected = _slow_whole_cells(a, start, end, max(gamma * (end - start), outer_min))
    assert _discrete(a, start, end, gamma, outer_min) == pytest.approx(expected, abs=1e-9)


@given(a=SEQUENCES, start=st.integers(0, 18), length=st.integers(1, 20), rim=st.integers(1, 4))
def test_whole_cells_are_the_continuous_loss_of_ends_at_cells(
    a: list[float], start: int, length: int, rim: int
) -> None:
    inset = 1e-7  # within the cells of both ends, where the continuous gradient is that of these cells
    ends = torch.tensor([[start + inset], [start + length - inset]], dtype=torch.float64, requires_grad=True)
    value = oic_loss(torch.tensor([a], dtype=torch.float64), ends[:1], ends[1:], gamma=0.0, outer_min=rim)
    value.sum().backward()
    assert ends.grad is not None
    found = _discrete(a, start, start + length, 0.0, rim)
    assert found == pytest.approx([float(value), *ends.grad[:, 0].tolist()], abs=1e-5)


def test_whole_cells_reach_the_sequence() -> None:
    a = torch.rand(2, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    start, end = torch.tensor([[2.2], [4.7]]).double(), torch.tensor([[7.9], [9.1]]).double()
    loss: Callable[[torch.Tensor], torch.Tensor] = lambda x: oic_loss(  # noqa: E731
        x, start, end, gamma=0.3, outer_min=1.0, mode="discrete"
    )
    assert torch.autograd.gradcheck(loss, (a,))


def test_decode_then_inflate() -> None:
    offsets = torch.zeros(2, 1, 21, dtype=torch.float64)
    offsets[0, 0, 10], offsets[1, 0, 10] = 0.25, np.log(1.5)
    # the paper's example has its centre at 10; ours is the cell's centre, half a sample later
    start, end = (decode_anchors(offsets, torch.tensor([8.0], dtype=torch.float64))[0, 10] - 0.5).tolist()
    assert (start, end) == pytest.approx((6.0, 18.0))
    outer = inflate(torch.tensor(start), torch.tensor(end), 0.25, 1.0)
    assert (float(outer[0]), float(outer[1])) == pytest.approx((3.0, 21.0))


def _bump() -> torch.Tensor:
    t = torch.arange(64, dtype=torch.float64) + 0.5
    return (torch.sigmoid(1.5 * (t - 24)) * torch.sigmoid(1.5 * (40 - t)))[None]


def _optimise(a: torch.Tensor, centre: float, length: float) -> tuple[float, float, float]:
    shift = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    scale = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([shift, scale], lr=0.02)
    for _ in range(500):
        middle, width = centre + length * shift, length * torch.exp(scale)
        start, end = (middle - width / 2)[None], (middle + width / 2)[None]
        loss = oic_loss(a, start, end, gamma=0.25, outer_min=1.0).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return float(start), float(end), float(loss)


@pytest.mark.parametrize(("centre", "length"), [(32, 8), (32, 32), (27, 16), (37, 16), (36.5, 8), (30, 8)])
def test_regression_finds_a_soft_bump_from_poor_anchors(centre: float, length: float) -> None:
    start, end, loss = _optimise(_bump(), centre, length)
    inter, union = min(end, 40) - max(start, 24), max(end, 40) - min(start, 24)
    assert 0.88 < inter / union < 0.91
    assert loss == pytest.approx(-0.846, abs=0.01)


def test_a_plateau_gives_no_gradient() -> None:
    box = torch.zeros(1, 64, dtype=torch.float64)
    box[:, 24:40] = 1.0
    start, end, loss = _optimise(box, 32, 8)
    assert (start, end, loss) == pytest.approx((28.0, 36.0, 0.0))


@given(
    values=st.lists(st.floats(0, 1), min_size=1, max_size=20),
    position=st.floats(-5, 30),
)
def test_integral_equals_a_sum_over_cells(values: list[float], position: float) -> None:
    x = min(max(position, 0.0), len(values))
    slow = sum(v * min(1.0, max(0.0, x - i)) for i, v in enumerate(values))
    fast = integral(torch.tensor([values], dtype=torch.float64), torch.tensor([[position]], dtype=torch.float64))
    assert float(fast) == pytest.approx(slow, abs=1e-9)
