"""The contrast score of a segment: worked examples, gradients, an independent slow version."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.layers.anchors import decode_anchors
from trainables.layers.edgeness import edgeness
from trainables.losses.contrast import contrast_parts, contrast_score, margin_loss

PSI = [0.05, 0.10, 0.20, 0.80, 0.95, 0.90, 0.70, 0.30, 0.15, 0.08, 0.04, 0.02]


def row(values: list[float]) -> torch.Tensor:
    return torch.tensor([values], dtype=torch.float64)


def scored(psi: torch.Tensor, start: torch.Tensor, end: torch.Tensor, tie: str = "first") -> dict[str, torch.Tensor]:
    edges = edgeness(psi, torch.ones_like(psi, dtype=torch.bool), window=7, tie=tie)  # type: ignore[arg-type]
    parts = contrast_parts(psi, edges, start, end)
    return {"action": parts.action, "start": parts.start, "end": parts.end, "score": contrast_score(parts)}


@pytest.mark.parametrize(
    ("segment", "expected"),
    [
        ((3, 7), (0.925, 0.025, -0.137167, 0.868917)),
        ((2, 8), (0.866667, 0.145833, 0.024444, 0.951806)),
        ((4, 6), (0.925, -0.6875, -0.513, 0.32475)),
        ((3, 6), (0.916667, 0.025, -0.513, 0.672667)),
        ((0, 12), (0.633333, 0.116667, 0.034333, 0.708833)),
        ((8, 12), (0.06, -0.449167, 0, -0.164583)),
    ],
)
def test_golden_scores(segment: tuple[float, float], expected: tuple[float, ...]) -> None:
    found = scored(row(PSI), row([segment[0]]), row([segment[1]]))
    assert [float(found[name]) for name in ("action", "start", "end", "score")] == pytest.approx(expected, abs=1e-6)


def test_golden_gradient() -> None:
    start, end = row([3.3]).requires_grad_(), row([7.2]).requires_grad_()
    score = scored(row(PSI), start, end)["score"]
    score.backward()
    assert float(score.detach()) == pytest.approx(0.743349, abs=1e-6)
    assert float(start.grad) == pytest.approx(-0.440530, abs=1e-6)  # type: ignore[arg-type]
    assert float(end.grad) == pytest.approx(0.016855, abs=1e-6)  # type: ignore[arg-type]


def test_gradient_against_finite_differences() -> None:
    generator = torch.Generator().manual_seed(2)
    psi = torch.rand(3, 24, generator=generator, dtype=torch.float64, requires_grad=True)
    start = torch.tensor([[3.31, 5.72], [2.23, 9.14], [1.61, 4.43]], dtype=torch.float64, requires_grad=True)
    end = (start.detach() + torch.tensor([4.17, 11.31], dtype=torch.float64)).requires_grad_()

    def score(seq: torch.Tensor, s: torch.Tensor, e: torch.Tensor) -> torch.Tensor:
        return scored(seq, s, e)["score"]

    assert torch.autograd.gradcheck(score, (psi, start, end), eps=1e-6, atol=1e-6)


def test_ideal_boxes() -> None:
    long = row([1.0 if 12 <= t < 28 else 0.0 for t in range(40)])
    found = scored(long, row([12]), row([28]))
    assert float(found["start"]) == pytest.approx(0.077083, abs=1e-6)
    assert float(found["end"]) == pytest.approx(0.077083, abs=1e-6)
    assert float(found["score"]) == pytest.approx(1.077083, abs=1e-6)
    short = row([1.0 if 18 <= t < 22 else 0.0 for t in range(40)])
    assert float(scored(short, row([18]), row([22]))["score"]) == pytest.approx(1.125)


def test_an_empty_segment_scores_nothing() -> None:
    found = scored(row(PSI), row([5.0]), row([5.0]))
    assert {float(value) for value in found.values()} == {0.0}


def test_regions_can_be_widened() -> None:
    psi = row(PSI)
    edges = edgeness(psi, torch.ones_like(psi, dtype=torch.bool), window=7)
    # regions of [4, 6) are 1, 1 and 1/2 snippets wide; 2 at least: action [4, 6), start [3, 5) and [2.75, 4.75)
    parts = contrast_parts(psi, edges, row([4]), row([6]), min_region=2.0)
    assert float(parts.action) == pytest.approx((0.95 + 0.90) / 2)
    outside = (0.25 * 0.20 + 0.80 + 0.75 * 0.95) / 2
    assert float(parts.start) == pytest.approx((0.225 + 0.0) / 2 - outside)


def mean_over_cells(sequence: list[float], low: float, high: float) -> float:
    if high <= low:
        return 0.0
    shares = [max(0.0, min(high, t + 1) - max(low, t)) for t in range(len(sequence))]
    return sum(share * value for share, value in zip(shares, sequence, strict=True)) / (high - low)


@given(
    psi=st.lists(st.floats(0, 1), min_size=1, max_size=30),
    start=st.floats(0, 25),
    length=st.floats(0.05, 30),
    ratio=st.floats(0.05, 0.45),
)
def test_score_equals_a_sum_over_cells_and_is_bounded(
    psi: list[float], start: float, length: float, ratio: float
) -> None:
    sequence, end = row(psi), start + length
    edges = edgeness(sequence, torch.ones_like(sequence, dtype=torch.bool), window=7)
    parts = contrast_parts(sequence, edges, row([start]), row([end]), ratio=ratio)
    rim, e = ratio * length, edges[0].tolist()
    action = mean_over_cells(psi, start + rim, end - rim)
    rise = mean_over_cells(e, start - rim, start + rim) - mean_over_cells(psi, start - rim, start)
    fall = -mean_over_cells(e, end - rim, end + rim) - mean_over_cells(psi, end, end + rim)
    assert float(parts.action) == pytest.approx(action, abs=1e-7)
    assert float(parts.start) == pytest.approx(rise, abs=1e-7)
    assert float(parts.end) == pytest.approx(fall, abs=1e-7)
    score = float(contrast_score(parts))
    assert score == pytest.approx(action + 0.5 * (rise + fall), abs=1e-7)
    assert -2.0 - 1e-9 <= score <= 2.0 + 1e-9


def test_margin_loss_golden() -> None:
    scores = torch.tensor([0.6, 1.2, 5.0], dtype=torch.float64)
    chosen = torch.tensor([True, True, False])
    assert float(margin_loss(scores, chosen, margin=2.0)) == pytest.approx(1.1)
    assert float(margin_loss(scores, chosen, margin=1.0)) == pytest.approx(0.2)
    assert float(margin_loss(scores, torch.zeros(3, dtype=torch.bool), margin=2.0)) == 0.0


def test_regression_finds_a_soft_bump_with_an_eighth_of_its_length_to_spare() -> None:
    t = torch.arange(64, dtype=torch.float64) + 0.5
    psi = torch.sigmoid(1.5 * (t - 24)) * torch.sigmoid(1.5 * (40 - t))
    centre = torch.tensor([32, 32, 27, 37, 36.5, 30], dtype=torch.float64)
    length = torch.tensor([8, 32, 16, 16, 8, 8], dtype=torch.float64)
    offsets = torch.zeros(2, 6, 1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([offsets], lr=0.02)
    for _ in range(500):
        # the only position of this axis has its centre at 1/2
        ends = decode_anchors(offsets, length)[:, 0] + centre[:, None] - 0.5
        score = scored(psi.expand(6, -1), ends[:, :1], ends[:, 1:])["score"]
        # every start has a gradient of its own, as if it were alone
        loss = 6 * margin_loss(score, torch.ones_like(score, dtype=torch.bool), margin=2.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found = ends.detach()
    inter = found[:, 1].clamp(max=40) - found[:, 0].clamp(min=24)
    union = found[:, 1].clamp(min=40) - found[:, 0].clamp(max=24)
    tiou = inter / union
    assert tiou.min() > 0.795
    assert tiou.max() < 0.807


def test_decode_golden() -> None:
    offsets = torch.zeros(2, 1, 11, dtype=torch.float64)
    offsets[0, 0, 10], offsets[1, 0, 10] = 0.25, math.log(1.5)
    # the worked example puts the centre at 10; here it is that of the cell, half a snippet later
    ends = decode_anchors(offsets, torch.tensor([8.0], dtype=torch.float64))[0, 10] - 0.5
    assert ends.tolist() == pytest.approx([6.0, 18.0])
