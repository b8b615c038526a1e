"""Losses that weigh positives and negatives alike, beside the textbook sums."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.losses.balanced import balanced_binary_cross_entropy, mined_cross_entropy


def test_the_hardest_negatives_by_hand() -> None:
    """Two positives, four negatives: the two whose background probability is lowest count."""
    background = torch.tensor([0.5, 0.9, 0.2, 0.6, 0.4, 0.99])
    probs = torch.stack([background, 1 - background], dim=1).double()
    labels = torch.tensor([1, 0, 0, 0, 1, 0])
    expected = -(math.log(0.5) + math.log(0.6)) / 2 - (math.log(0.2) + math.log(0.6)) / 2
    assert float(mined_cross_entropy(probs.log(), labels)) == pytest.approx(expected, abs=1e-6)
    labels[2] = -1  # takes no part: the next hardest moves up
    expected = -(math.log(0.5) + math.log(0.6)) / 2 - (math.log(0.6) + math.log(0.9)) / 2
    assert float(mined_cross_entropy(probs.log(), labels)) == pytest.approx(expected, abs=1e-6)


@settings(max_examples=60)
@given(seed=st.integers(0, 10_000), size=st.integers(1, 30), num_classes=st.integers(1, 4))
def test_mining_is_sorting(seed: int, size: int, num_classes: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    logits = torch.randn(size, num_classes + 1, generator=draw, dtype=torch.float64)
    labels = torch.randint(-1, num_classes + 1, (size,), generator=draw)
    positives: list[float] = []
    negatives: list[float] = []
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        if label >= 0:
            loss = math.log(sum(math.exp(z) for z in row)) - row[label]
            (positives if label else negatives).append(loss)
    negatives = sorted(negatives, reverse=True)[: len(positives)]
    expected = sum(sum(part) / len(part) for part in (positives, negatives) if part)
    assert float(mined_cross_entropy(logits, labels)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("labels", [[0, 0, 0], [1, 2, 1], [-1, -1, -1], [-1, 1, -1], []])
def test_an_empty_set_adds_zero_and_keeps_the_graph(labels: list[int]) -> None:
    logits = torch.zeros(len(labels), 3, requires_grad=True)
    loss = mined_cross_entropy(logits, torch.tensor(labels, dtype=torch.long))
    loss.backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    positive = any(label > 0 for label in labels)
    assert float(loss.detach()) == pytest.approx(math.log(3) if positive else 0.0)
    assert bool(logits.grad.any()) == positive


@settings(max_examples=60)
@given(seed=st.integers(0, 10_000), size=st.integers(2, 40), share=st.floats(0.1, 0.9))
def test_balanced_loss_is_that_of_boundary_sensitive_networks(seed: int, size: int, share: float) -> None:
    draw = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(size, generator=draw, dtype=torch.float64)
    labels = torch.rand(size, generator=draw) < share
    labels[0], labels[1] = True, False
    ratio = size / int(labels.sum())
    total = 0.0
    for z, is_positive in zip(logits.tolist(), labels.tolist(), strict=True):
        prob = 1 / (1 + math.exp(-z))
        total += 0.5 * ratio * math.log(prob) if is_positive else 0.5 * ratio / (ratio - 1) * math.log(1 - prob)
    assert float(balanced_binary_cross_entropy(logits, labels)) == pytest.approx(-total / size, abs=1e-9)


def test_balanced_loss_without_one_of_the_two() -> None:
    logits = torch.tensor([0.0, 80.0, -80.0], requires_grad=True)
    nothing = balanced_binary_cross_entropy(logits, torch.zeros(3, dtype=torch.bool))
    assert float(nothing.detach()) == pytest.approx((math.log(2) + 80) / 6)
    everything = balanced_binary_cross_entropy(logits, torch.ones(3, dtype=torch.bool))
    assert float(everything.detach()) == pytest.approx((math.log(2) + 80) / 6)
    (nothing + everything).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
