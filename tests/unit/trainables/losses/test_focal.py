"""Focal loss by hand, and where it could break."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.losses.focal import sigmoid_focal_loss


def test_golden() -> None:
    """Logit 0: alpha_t (1/2)^2 ln 2."""
    loss = sigmoid_focal_loss(torch.zeros(2), torch.tensor([1, 0]), alpha=0.25, gamma=2.0)
    assert loss.tolist() == pytest.approx([0.0433217, 0.1299651], abs=1e-7)


@given(
    logit=st.floats(-12, 12),
    target=st.sampled_from([0, 1]),
    alpha=st.floats(0, 1),
    gamma=st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.7]),
)
def test_is_its_definition(logit: float, target: int, alpha: float, gamma: float) -> None:
    p = 1 / (1 + math.exp(-logit))
    right, weight = (p, alpha) if target else (1 - p, 1 - alpha)
    expected = -weight * (1 - right) ** gamma * math.log(right)
    found = sigmoid_focal_loss(torch.tensor(logit, dtype=torch.float64), torch.tensor(target), alpha=alpha, gamma=gamma)
    assert found.item() == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_sure_decisions_have_gradients_that_are_numbers() -> None:
    logits = torch.tensor([200.0, -200.0, 200.0, -200.0], requires_grad=True)
    loss = sigmoid_focal_loss(logits, torch.tensor([1, 1, 0, 0]), alpha=0.25, gamma=0.5)
    loss.sum().backward()
    assert loss.tolist() == pytest.approx([0.0, 50.0, 150.0, 0.0], abs=1e-4)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
