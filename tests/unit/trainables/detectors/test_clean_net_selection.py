"""Which anchors are looked at, how terms change the score."""

from __future__ import annotations

import math

import pytest
import torch

from trainables.detectors.clean_net.config import Contrast
from trainables.detectors.clean_net.selection import candidates, judge, open_positions
from trainables.losses.oic import oic_loss

PSI = torch.tensor([[0.05, 0.10, 0.20, 0.80, 0.95, 0.90, 0.70, 0.30, 0.15, 0.08, 0.04, 0.02]], dtype=torch.float64)
VALID = torch.ones(1, 12, dtype=torch.bool)


def score(terms: tuple[str, ...], w_edge: float = 1.0) -> float:
    segments = torch.tensor([3.0, 7.0], dtype=torch.float64).expand(1, 1, 12, 2)
    found = judge(PSI, VALID, segments, Contrast(terms=terms, w_edge=w_edge))
    assert found.shape == (1, 1, 12)
    return float(found[0, 0, 0])


def test_terms_of_the_score() -> None:
    assert score(("action", "edge")) == pytest.approx(0.868917, abs=1e-6)
    assert score(("action",)) == pytest.approx(0.925)
    assert score(("edge",)) == pytest.approx(0.025 - 0.137167, abs=1e-6)
    assert score(("action", "edge"), w_edge=0.0) == pytest.approx(0.925)
    assert score(("action", "edge"), w_edge=2.0) == pytest.approx(0.925 + 0.025 - 0.137167, abs=1e-6)
    ends = torch.tensor([[3.0], [7.0]], dtype=torch.float64)
    expected = -oic_loss(PSI, ends[:1], ends[1:], gamma=0.25, outer_min=1.0)
    assert score(("oic",)) == pytest.approx(float(expected))


def test_a_video_without_labels_has_no_sequences() -> None:
    found = judge(PSI[:0], VALID[:0], torch.zeros(0, 2, 12, 2, dtype=torch.float64), Contrast())
    assert found.shape == (0, 2, 12)


def opened(sap_mode: str, theta_sap: float, theta_scp: float = 0.5) -> list[int]:
    attention = torch.log(torch.tensor([[1.0, 2.0, 3.0, 4.0, 100.0]], dtype=torch.float64))
    valid = torch.tensor([[True, True, True, True, False]])
    scp = torch.tensor([[0.5, 0.9, 0.4, 0.7, 0.9]], dtype=torch.float64)
    found = open_positions(scp, attention, valid, theta_scp=theta_scp, sap_mode=sap_mode, theta_sap=theta_sap)
    return found[0].nonzero()[:, 0].tolist()


def test_positions_that_reach_both_thresholds() -> None:
    assert opened("off", 9.0) == [0, 1, 3]
    assert opened("relative", 0.0) == [0, 1, 3]
    # attention over the four valid snippets is 0.1, 0.2, 0.3, 0.4: 0.4, 0.8, 1.2 and 1.6 times its mean
    assert opened("relative", 0.79) == [1, 3]
    assert opened("relative", 0.81) == [3]
    assert opened("raw", math.log(2.0)) == [1, 3]
    assert opened("raw", math.log(4.1)) == []


def test_the_best_anchor_of_a_position() -> None:
    scores = torch.tensor([[[0.3, 0.9], [0.7, 0.9], [0.8, 0.1]]], dtype=torch.float64)
    segments = torch.tensor([0.0, 2.0], dtype=torch.float64).repeat(1, 3, 2, 1)
    segments[0, 2, 0, 1] = 0.0  # the best of position 0 has no length
    is_open = torch.tensor([[True, True]])
    every = candidates(scores, segments, is_open, per_position_best=False)
    assert every.nonzero().tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1], [0, 2, 1]]
    best = candidates(scores, segments, is_open, per_position_best=True)
    assert best.nonzero().tolist() == [[0, 0, 1], [0, 1, 0]]
    closed = candidates(scores, segments, torch.tensor([[True, False]]), per_position_best=True)
    assert closed.nonzero().tolist() == [[0, 1, 0]]
