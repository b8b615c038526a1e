"""Scores joined: values by hand, and what must hold for any scores."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.layers.fusion import weighted_geometric_mean, weighted_mean, weighted_product, with_video_classes

SCORES = st.lists(st.floats(0, 1), min_size=1, max_size=4)


def _tensors(scores: list[float]) -> list[torch.Tensor]:
    return [torch.tensor([s], dtype=torch.float64) for s in scores]


def test_by_hand() -> None:
    terms = _tensors([0.64, 0.5])
    assert weighted_product(terms, (1, 1)).item() == 0.32
    assert weighted_product(terms, (0.5, 2)).item() == pytest.approx(0.2)
    assert weighted_geometric_mean(terms, (1, 1)).item() == pytest.approx(math.sqrt(0.32))
    assert weighted_geometric_mean(terms, (2, 0)).item() == pytest.approx(0.64)
    assert weighted_mean(terms, (3, 1)).item() == pytest.approx(0.605)
    assert weighted_product(_tensors([0.0, 0.5]), (0, 1)).item() == 0.5


def test_small_products_are_not_rounded_away() -> None:
    assert weighted_product(_tensors([1e-30, 3e-30]), (1, 1)).item() == 1e-30 * 3e-30


@given(scores=SCORES, data=st.data())
def test_equal_to_plain_arithmetic(scores: list[float], data: st.DataObject) -> None:
    weights = data.draw(st.lists(st.floats(0.01, 3), min_size=len(scores), max_size=len(scores)))
    terms, total = _tensors(scores), sum(weights)
    product = math.prod(s**w for s, w in zip(scores, weights, strict=True))
    assert weighted_product(terms, weights).item() == pytest.approx(product, abs=1e-12)
    geometric = weighted_geometric_mean(terms, weights).item()
    assert geometric == pytest.approx(product ** (1 / total), rel=1e-6, abs=1e-9)
    mean = weighted_mean(terms, weights).item()
    assert mean == pytest.approx(sum(s * w for s, w in zip(scores, weights, strict=True)) / total, abs=1e-12)
    assert min(scores) - 1e-9 <= geometric <= mean + 1e-9 <= max(scores) + 2e-9


def test_proposals_take_the_classes_of_their_video() -> None:
    class_scores = torch.tensor([[0.1, 0.7, 0.2], [0.4, 0.2, 0.4]])
    proposal, label, score = with_video_classes(torch.tensor([1, 0, 1]), class_scores, 2)
    assert proposal.tolist() == [0, 0, 1, 1, 2, 2]
    assert label.tolist() == [0, 2, 1, 2, 0, 2]
    assert score.tolist() == pytest.approx([0.4, 0.4, 0.7, 0.2, 0.4, 0.4])


def test_bad_values_are_named() -> None:
    terms = _tensors([0.5, 0.5])
    with pytest.raises(ValueError, match="2 terms and 1 powers"):
        weighted_product(terms, (1,))
    with pytest.raises(ValueError, match="0 terms and 0 weights"):
        weighted_mean([], ())
    with pytest.raises(ValueError, match=r"weight 1 is -1"):
        weighted_geometric_mean(terms, (1, -1))
    with pytest.raises(ValueError, match="all weights are 0"):
        weighted_mean(terms, (0, 0))
    with pytest.raises(ValueError, match="term 1 has the value -0.5"):
        weighted_product(_tensors([0.5, -0.5]), (1, 1))
    with pytest.raises(ValueError, match="top: 4 must be from 1 to the number of classes, 3"):
        with_video_classes(torch.tensor([0]), torch.zeros(1, 3), 4)
    with pytest.raises(ValueError, match="video: row 1 is 2, but there are class scores of 2 videos"):
        with_video_classes(torch.tensor([0, 2]), torch.zeros(2, 3), 1)
