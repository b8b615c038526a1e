"""Matching and losses of SP-TAD, by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sp_tad_batches import SMALL, batch, network

from trainables.detectors.sp_tad.config import Config
from trainables.detectors.sp_tad.matching import UNMATCHED, Instances, assign, match_cost
from trainables.detectors.sp_tad.objectives import (
    act_loss,
    focal_class_loss,
    labels_of,
    matched_segments,
    segment_losses,
)
from trainables.detectors.sp_tad.settings import Cost, Focal, Loss
from trainables.records import SegmentTargets
from trainables.segments import giou_matrix

FOCAL = Focal()


def instances(*rows: tuple[tuple[float, float, int], ...]) -> Instances:
    targets = [
        SegmentTargets(
            torch.tensor([r[:2] for r in own]).reshape(-1, 2), torch.tensor([r[2] for r in own], dtype=torch.long)
        )
        for own in rows
    ]
    return Instances.of(targets, 1)


def test_golden_matching() -> None:
    cost = torch.tensor([[[1.0, 4.0], [2.0, 1.0], [3.0, 3.0]]])
    assert assign(cost, [2]).tolist() == [[0, 1, UNMATCHED]]
    assert assign(cost, [1]).tolist() == [[0, UNMATCHED, UNMATCHED]], "what is padding is matched to nothing"
    assert assign(cost, [0]).tolist() == [[UNMATCHED] * 3]
    with pytest.raises(ValueError, match="num_proposals: 3 are fewer than the 4 instances of a clip"):
        assign(torch.zeros(1, 3, 4), [4])


@given(st.integers(0, 2**31), st.integers(1, 4), st.integers(0, 4))
def test_matching_has_the_least_cost_of_all(seed: int, spare: int, number: int) -> None:
    cost = np.random.default_rng(seed).normal(size=(number + spare, max(number, 1)))
    matched = assign(torch.from_numpy(cost)[None], [number])[0].tolist()
    assert sorted(m for m in matched if m != UNMATCHED) == list(range(number))
    found = sum(cost[row, m] for row, m in enumerate(matched) if m != UNMATCHED)
    ways = itertools.permutations(range(number + spare), number)
    assert found == pytest.approx(min(sum(cost[row, m] for m, row in enumerate(way)) for way in ways))


def test_costs_that_are_no_numbers_do_not_hide_the_loss() -> None:
    cost = torch.tensor([[[float("nan"), 1.0], [float("inf"), float("-inf")], [1.0, 1.0]]])
    assert sorted(assign(cost, [2])[0].tolist()) == [UNMATCHED, 0, 1]


@given(st.integers(0, 2**31))
def test_costs_against_the_formula(seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(4, 3)) * 3
    ends = np.sort(rng.normal(size=(4, 2)), axis=1)
    gt, labels = np.sort(rng.random((2, 2)), axis=1), rng.integers(0, 3, 2)
    rows = tuple((float(s), float(e), int(k)) for (s, e), k in zip(gt, labels, strict=True))
    found = match_cost(
        torch.from_numpy(logits)[None],
        torch.from_numpy(ends)[None],
        instances(rows),
        weights=(2.0, 5.0, 3.0),
        focal=Focal(alpha=0.3, gamma=1.5),
    )
    p = 1 / (1 + np.exp(-logits[:, labels]))
    positive = 0.3 * (1 - p) ** 1.5 * -np.log(p + 1e-8)
    negative = 0.7 * p**1.5 * -np.log(1 - p + 1e-8)
    distance = np.abs(ends[:, None] - gt[None]).sum(axis=2)
    expected = 2 * (positive - negative) + 5 * distance - 3 * giou_matrix(ends, gt)
    np.testing.assert_allclose(found[0].numpy(), expected, rtol=1e-4, atol=1e-5)


def test_golden_loss_of_one_pair() -> None:
    own = instances(((0.3, 0.7, 0),))
    segments = torch.tensor([[[0.2, 0.6], [5.0, 9.0]]])
    l1, giou = segment_losses(segments, torch.tensor([[0, UNMATCHED]]), own)
    assert float(l1) == pytest.approx(0.2, abs=1e-6)
    assert float(giou) == pytest.approx(0.4, abs=1e-6)


def test_losses_are_sums_over_all_instances_of_the_batch() -> None:
    own = instances(((0.3, 0.7, 1), (0.0, 0.2, 0)), (), ((0.5, 1.0, 2),))
    assert (own.total, own.counts) == (3, (2, 0, 1))
    matched = torch.tensor([[1, UNMATCHED, 0], [UNMATCHED] * 3, [UNMATCHED, 0, UNMATCHED]])
    assert labels_of(matched, own).tolist() == [[1, 0, 2], [0, 0, 0], [0, 3, 0]]
    segments = torch.rand(3, 3, 2)
    segments[0, 0], segments[0, 2], segments[2, 1] = map(torch.tensor, ([0.1, 0.3], [0.3, 0.7], [0.4, 0.8]))
    l1, giou = segment_losses(segments, matched, own)
    assert float(l1) == pytest.approx((0.2 + 0.0 + 0.3) / 3, abs=1e-6)
    assert float(giou) == pytest.approx((2 / 3 + 0.0 + 0.5) / 3, abs=1e-6)
    assert matched_segments(matched, own)[0].tolist()[1] == [0.0, 0.0]
    # every logit 0: 3 positive decisions, 27 - 3 negative ones, over 3 instances
    loss = focal_class_loss(torch.zeros(3, 3, 3), labels_of(matched, own), FOCAL)
    assert float(loss) == pytest.approx((3 * 0.0433217 + 24 * 0.1299651) / 3, abs=1e-5)
    assert float(focal_class_loss(torch.zeros(2, 3), torch.tensor([-1, 0]), FOCAL)) == pytest.approx(
        3 * 0.1299651, abs=1e-5
    ), "a row below 0 takes no part; without a positive the sum stays"


def test_a_batch_without_instances_teaches_background_alone() -> None:
    model, data = network().train(), batch(instances=((), ()))
    losses = model.losses(model(data), data, tuple(SMALL.phases()[0].loss_weights))
    assert all(float(losses[f"stage{k}_{name}"].detach()) == 0 for k in (1, 2, 3) for name in ("l1", "giou"))
    assert all(float(losses[f"stage{k}_class"].detach()) > 0 for k in (1, 2, 3))
    torch.stack(list(losses.values())).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_classes_of_the_clip() -> None:
    """Two of three classes are there, one of them twice; ln(1 + e) - y for a logit of 1."""
    targets = [
        SegmentTargets(torch.zeros(3, 2), torch.tensor([0, 2, 0])),
        SegmentTargets(torch.zeros(0, 2), torch.zeros(0).long()),
    ]
    loss = act_loss(torch.ones(2, 3), targets)
    assert float(loss) == pytest.approx(1.3132617 - 2 / 6, abs=1e-6)


def test_weights_of_losses_and_costs() -> None:
    (phase,) = Config().phases()
    own = {"class": 2.0, "l1": 5.0, "giou": 2.0}
    assert phase.loss_weights == {f"stage{k}_{n}": w for k in (1, 2, 3, 4) for n, w in own.items()} | {"act": 1.0}
    assert (phase.optimizer, phase.lr, phase.weight_decay, phase.grad_clip_norm) == ("adamw", 1e-4, 1e-4, 1.0)
    assert (phase.epochs, phase.lr_milestones, phase.lr_factor) == (16, (12,), 0.1)
    assert "act" not in Config(act_head=False).loss_weights()
    assert Config(num_heads=6).loss_weights().keys() >= {"stage6_giou"}
    assert Config(loss=Loss(cls=1.0)).cost_weights() == (1.0, 5.0, 2.0), "costs follow the losses"
    assert Config(loss=Loss(cls=1.0), cost=Cost(cls=6.0, giou=0.0)).cost_weights() == (6.0, 5.0, 0.0)
