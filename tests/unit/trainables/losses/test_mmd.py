"""Maximum mean discrepancy: worked values, gradient, bounds."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from trainables.losses.mmd import Kernel, mean_squared_distance, mmd2


def points(*rows: float | tuple[float, ...]) -> Tensor:
    return torch.tensor([row if isinstance(row, tuple) else (row,) for row in rows], dtype=torch.float64)


TWO = torch.tensor(2.0, dtype=torch.float64)  # exp(-d^2 / 2)


@pytest.mark.parametrize(
    ("source", "target", "kernel", "expected"),
    [
        (points(0, 2), points(1), "single", 0.354606),
        (points(0, 2), points(1), "multi5", 0.504422),
        (points(0), points(1), "single", 2 - 2 * math.exp(-0.5)),
        (points((1, 0), (0, 1)), points((1, 1), (0, 0)), "single", 0.154818),
        (points(0, 2), points(0, 2), "multi5", 0.0),
    ],
)
def test_golden(source: Tensor, target: Tensor, kernel: Kernel, expected: float) -> None:
    value = mmd2(source, target, bandwidth=TWO, kernel=kernel)
    assert float(value) == pytest.approx(expected, abs=1e-6)


def test_golden_gradient() -> None:
    target = points(0.5).requires_grad_()
    value = mmd2(points(0, 2), target, bandwidth=TWO, kernel="single")
    value.backward()
    assert float(value) == pytest.approx(0.360518, abs=1e-6)
    assert target.grad is not None
    assert float(target.grad[0, 0]) == pytest.approx(-0.045730, abs=1e-6)


@pytest.mark.parametrize("kernel", ["multi5", "single"])
def test_gradient_against_finite_differences(kernel: Kernel) -> None:
    generator = torch.Generator().manual_seed(0)
    source = torch.randn(3, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    target = torch.randn(5, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    width = mean_squared_distance(torch.cat([source, target]))
    assert not width.requires_grad
    assert torch.autograd.gradcheck(lambda s, t: mmd2(s, t, bandwidth=width, kernel=kernel), (source, target))


def test_the_bandwidth_is_the_mean_over_different_pairs() -> None:
    assert float(mean_squared_distance(points(0, 2, 4))) == pytest.approx((4 + 16 + 4) / 3)
    assert float(mean_squared_distance(points(1, 1))) > 0  # a bandwidth of 0 would divide by it


vectors = st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=1, max_size=5)


@given(a=vectors, b=vectors, shift=st.floats(-3, 3))
@settings(max_examples=200)
def test_bounds_symmetry_and_shift(a: list[tuple[float, float]], b: list[tuple[float, float]], shift: float) -> None:
    source, target = points(*a), points(*b)
    value = float(mmd2(source, target, bandwidth=TWO))
    assert -1e-12 <= value <= 2
    assert float(mmd2(target, source, bandwidth=TWO)) == pytest.approx(value, abs=1e-12)
    assert float(mmd2(source + shift, target + shift, bandwidth=TWO)) == pytest.approx(value, abs=1e-9)


def test_many_at_once_equal_one_by_one() -> None:
    generator = torch.Generator().manual_seed(1)
    source = torch.randn(6, 3, 4, generator=generator, dtype=torch.float64)
    target = torch.randn(6, 2, 4, generator=generator, dtype=torch.float64)
    width = torch.rand(6, generator=generator, dtype=torch.float64) + 0.5
    together = mmd2(source, target, bandwidth=width)
    each = [mmd2(s, t, bandwidth=w) for s, t, w in zip(source, target, width, strict=True)]
    assert together.tolist() == pytest.approx([float(v) for v in each], abs=1e-12)
