"""Regression with a learnt variance."""

from __future__ import annotations

import math
from typing import Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Normal, kl_divergence

from trainables.losses.gaussian_kl import deviation, gaussian_kl


@pytest.mark.parametrize(
    ("error", "alpha", "value", "slope", "alpha_slope", "gaussian"),
    [
        (0.5, 0.0, 0.125, 0.5, 0.375, 0.125),
        (0.5, math.log(4), 0.724397, 0.125, 0.46875, 0.724397),
        (2.0, 0.0, 1.5, 1.0, -1.0, 2.0),
        (2.0, math.log(4), 1.068147, 0.25, 0.125, 1.193147),
        (-2.0, math.log(3), 1.049306, -1 / 3, 0.0, 1.215973),
        (0.5, 2 * math.log(0.5), -0.193147, 2.0, 0.0, -0.193147),
        (0.0, -2.0, -1.0, 0.0, 0.5, -1.0),
    ],
)
def test_values_and_slopes(
    error: float, alpha: float, value: float, slope: float, alpha_slope: float, gaussian: float
) -> None:
    d = torch.tensor(error, dtype=torch.float64, requires_grad=True)
    a = torch.tensor(alpha, dtype=torch.float64, requires_grad=True)
    loss = gaussian_kl(d, a)
    gradients = torch.autograd.grad(loss, (d, a))
    assert float(loss.detach()) == pytest.approx(value, abs=1e-6)
    assert [float(g) for g in gradients] == pytest.approx([slope, alpha_slope], abs=1e-6)
    assert float(gaussian_kl(d.detach(), a.detach(), tail="gaussian")) == pytest.approx(gaussian, abs=1e-6)


def test_differences_are_those_of_the_divergence_from_a_narrow_target() -> None:
    def ours(mean: float, std: float) -> float:
        return float(gaussian_kl(torch.tensor(mean), torch.tensor(2 * math.log(std)), tail="gaussian"))

    narrow = Normal(torch.tensor(0.0).double(), torch.tensor(1e-6).double())
    wide, off = (Normal(torch.tensor(m).double(), torch.tensor(s).double()) for m, s in ((0.5, 2.0), (2.0, 1.0)))
    exact = float(kl_divergence(narrow, wide) - kl_divergence(narrow, off))
    assert exact == pytest.approx(-1.275603, abs=1e-6)
    assert ours(0.5, 2.0) - ours(2.0, 1.0) == pytest.approx(exact, abs=1e-5)


@given(st.floats(-20, 20).filter(lambda d: abs(d) > 1e-2))
def test_the_best_variance_is_twice_the_distance(error: float) -> None:
    distance = error * error / 2 if abs(error) <= 1 else abs(error) - 0.5
    alpha = torch.tensor(math.log(2 * distance), dtype=torch.float64, requires_grad=True)
    loss = gaussian_kl(torch.tensor(error, dtype=torch.float64), alpha)
    (slope,) = torch.autograd.grad(loss, alpha)
    assert float(slope) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("tail", ["smooth", "gaussian"])
def test_slopes_agree_with_differences(tail: Literal["smooth", "gaussian"]) -> None:
    generator = torch.Generator().manual_seed(0)
    error, alpha = (3 * torch.randn(7, 2, generator=generator).double() for _ in range(2))
    assert torch.autograd.gradcheck(
        lambda d, a: gaussian_kl(d, a, tail=tail), (error.requires_grad_(), alpha.requires_grad_())
    )


def test_extreme_variances_stay_finite() -> None:
    alpha = torch.tensor([-500.0, 500.0], requires_grad=True)
    loss = gaussian_kl(torch.tensor([3.0, 3.0]), alpha)
    loss.sum().backward()  # type: ignore[no-untyped-call]
    assert loss.tolist() == pytest.approx([2.5 * math.exp(10) - 5, 2.5 * math.exp(-10) + 5])
    assert alpha.grad is not None
    assert alpha.grad.tolist() == [0.0, 0.0]
    assert deviation(alpha.detach()).tolist() == pytest.approx([math.exp(-5), math.exp(5)])
