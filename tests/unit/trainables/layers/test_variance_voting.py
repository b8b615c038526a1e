"""Variance voting against its golden example and a loop."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.layers.variance_voting import variance_vote


def test_an_unsure_neighbour_moves_a_segment_little() -> None:
    kept = torch.tensor([[10.0, 20.0]]).double()
    voters = torch.tensor([[10.0, 20.0], [11.0, 21.0], [40.0, 50.0]]).double()
    sigmas = torch.tensor([[1.0, 1.0], [2.0, 1.0], [1.0, 1.0]]).double()
    one = torch.zeros(1, dtype=torch.long)
    moved = variance_vote(kept, one, voters, sigmas, torch.zeros(3, dtype=torch.long), sigma_t=0.02)
    assert moved[0].tolist() == pytest.approx([10.045687, 20.160718], abs=1e-6)
    p = math.exp(-((1 - 9 / 11) ** 2) / 0.02)
    assert p == pytest.approx(0.191495, abs=1e-6)


def slow_vote(
    kept: tuple[list[float], int], voters: list[tuple[list[float], list[float], int]], sigma_t: float
) -> list[float]:
    (start, end), group = kept
    sums, weights = [0.0, 0.0], [0.0, 0.0]
    for (s, e), sigma, own in voters:
        inter = max(0.0, min(e, end) - max(s, start))
        tiou = inter / ((e - s) + (end - start) - inter)
        if own != group or tiou <= 0.01:
            continue
        for side, value in enumerate((s, e)):
            weight = math.exp(-((1 - tiou) ** 2) / sigma_t) / sigma[side] ** 2
            sums[side] += weight * value
            weights[side] += weight
    if min(weights) == 0:
        return [start, end]
    mean = [total / weight for total, weight in zip(sums, weights, strict=True)]
    return mean if mean[1] > mean[0] else [start, end]


spans = st.tuples(st.integers(0, 20), st.integers(1, 10)).map(lambda t: [float(t[0]), float(t[0] + t[1])])
sigmas = st.lists(st.floats(0.1, 5.0), min_size=2, max_size=2)
groups = st.integers(0, 3)


@settings(max_examples=80)
@given(
    kept=st.lists(st.tuples(spans, groups), max_size=6),
    voters=st.lists(st.tuples(spans, sigmas, groups), max_size=12),
    sigma_t=st.floats(0.05, 1.0),
)
def test_votes_agree_with_a_loop(
    kept: list[tuple[list[float], int]], voters: list[tuple[list[float], list[float], int]], sigma_t: float
) -> None:
    moved = variance_vote(
        torch.tensor([k for k, _ in kept]).double().reshape(-1, 2),
        torch.tensor([g for _, g in kept], dtype=torch.long),
        torch.tensor([v for v, _, _ in voters]).double().reshape(-1, 2),
        torch.tensor([s for _, s, _ in voters], dtype=torch.float64).reshape(-1, 2),
        torch.tensor([g for _, _, g in voters], dtype=torch.long),
        sigma_t=sigma_t,
    )
    for row, own in zip(moved.tolist(), kept, strict=True):
        assert row == pytest.approx(slow_vote(own, voters, sigma_t), abs=1e-6)


def test_bad_input_is_named() -> None:
    one, zero = torch.tensor([[0.0, 1.0]]), torch.zeros(1, dtype=torch.long)
    with pytest.raises(ValueError, match="sigmas: row 0"):
        variance_vote(one, zero, one, torch.tensor([[1.0, 0.0]]), zero, sigma_t=0.02)
    with pytest.raises(ValueError, match="voters: row 0"):
        variance_vote(one, zero, one.flip(1), torch.ones(1, 2), zero, sigma_t=0.02)
