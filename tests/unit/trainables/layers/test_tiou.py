"""Overlap on tensors and in numpy: values by hand, the same values, what must hold for any segments."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables import segments as in_numpy
from trainables.layers.tiou import check_segments, giou_matrix, paired_giou, paired_tiou, tiou_matrix

#: microseconds: below the smallest normal number lengths count as nothing, and the textbook formula differs
TIMES = st.one_of(st.integers(-20, 20).map(float), st.floats(-1e6, 1e6).map(lambda t: round(t, 6)))
SEGMENTS = st.lists(st.tuples(TIMES, TIMES).map(sorted), min_size=1, max_size=6)


@pytest.mark.parametrize(
    ("a", "b", "tiou", "giou"),
    [
        ((0, 2), (1, 3), 1 / 3, 1 / 3),
        ((0, 1), (3, 4), 0.0, -0.5),
        ((0, 1), (1, 2), 0.0, 0.0),
        ((0, 10), (2, 3), 0.1, 0.1),
        ((4, 4), (4, 4), 0.0, 0.0),
        ((4, 4), (0, 10), 0.0, 0.0),
        ((1, 1), (3, 3), 0.0, -1.0),
    ],
)
def test_by_hand(a: tuple[float, float], b: tuple[float, float], tiou: float, giou: float) -> None:
    for dtype in (torch.float64, torch.float32):
        one, other = torch.tensor([a], dtype=dtype), torch.tensor([b], dtype=dtype)
        assert tiou_matrix(one, other).item() == pytest.approx(tiou, abs=1e-7)
        assert giou_matrix(one, other).item() == pytest.approx(giou, abs=1e-7)
    assert in_numpy.tiou_matrix([a], [b])[0, 0] == pytest.approx(tiou, abs=1e-12)
    assert in_numpy.giou_matrix([a], [b])[0, 0] == pytest.approx(giou, abs=1e-12)


def _slow_giou(a: list[float], b: list[float]) -> float:
    inter = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
    union = (a[1] - a[0]) + (b[1] - b[0]) - inter
    hull = max(a[1], b[1]) - min(a[0], b[0])
    return (inter / union if union else 0.0) - ((hull - union) / hull if hull else 0.0)


@given(SEGMENTS, SEGMENTS)
def test_torch_and_numpy_agree_with_the_definition(a: list[list[float]], b: list[list[float]]) -> None:
    one, other = torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64)
    tiou, giou = tiou_matrix(one, other), giou_matrix(one, other)
    assert np.array_equal(tiou.numpy(), in_numpy.tiou_matrix(a, b))
    assert np.array_equal(giou.numpy(), in_numpy.giou_matrix(a, b))
    assert giou.tolist() == [[pytest.approx(_slow_giou(x, y), abs=1e-9) for y in b] for x in a]
    assert torch.equal(giou_matrix(other, one), giou.T)
    touching = torch.tensor([[max(x[0], y[0]) <= min(x[1], y[1]) for y in b] for x in a])
    assert torch.equal(giou[touching], tiou[touching])
    assert bool((giou[~touching] < 0).all())
    assert bool(((giou >= -1) & (giou <= 1)).all())


def test_gradient_moves_segments_apart_towards_each_other() -> None:
    pred = torch.tensor([[0.0, 1.0]], dtype=torch.float64, requires_grad=True)
    gt = torch.tensor([[3.0, 4.0]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: paired_giou(x, gt), (pred,))
    paired_giou(pred, gt).sum().backward()
    assert pred.grad is not None
    assert pred.grad[0, 1] > 0
    inside = torch.tensor([[3.2, 4.5]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: paired_tiou(x, gt), (inside,))


def test_a_pair_of_empty_segments_has_a_finite_gradient() -> None:
    empty = torch.tensor([[4.0, 4.0]], requires_grad=True)
    (paired_tiou(empty, empty.detach()) + paired_giou(empty, empty.detach())).sum().backward()
    assert empty.grad is not None
    assert bool(torch.isfinite(empty.grad).all())


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([(0, 1), (3, 2)], r"pred: row 1 is \[3.0, 2.0\]"),
        ([(0, math.nan)], "pred: row 0"),
        ([(0, 1), (0, math.inf)], "pred: row 1"),
        ([(math.inf, math.inf)], "pred: row 0"),
        ([(-math.inf, 0)], "pred: row 0"),
        ([(0, 1, 2)], r"expected shape \(N, 2\), got \(1, 3\)"),
    ],
)
def test_bad_rows_are_named(rows: list[tuple[float, ...]], complaint: str) -> None:
    bad, good = torch.tensor(rows, dtype=torch.float64), torch.tensor([[0.0, 1.0]])
    for measure in (tiou_matrix, giou_matrix):
        with pytest.raises(ValueError, match=complaint):
            measure(bad, good)
    with pytest.raises(ValueError, match=complaint.replace("pred", "proposals")):
        check_segments(bad, what="proposals")


def test_no_segments_at_all() -> None:
    none, one = torch.zeros(0, 2), torch.tensor([[0.0, 1.0]])
    assert tiou_matrix(none, one).shape == (0, 1)
    assert giou_matrix(one, none).shape == (1, 0)
