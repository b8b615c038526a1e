"""Class activation sequences: normalisation, erasing, dilated branches."""

from __future__ import annotations

import math

import pytest
import torch

from trainables.layers.cas import erased_positions, normalise_cas
from trainables.layers.dilated import DilatedBranch, DilatedClassifier, fuse_branches

H = torch.tensor([[[0, 1, 2, 4.2, 5, 4.6, 1, 0.5], [3, 2.9, 1, 0, 0, 1, 0, 0.3]]], dtype=torch.float64)
VALID = torch.ones(1, 8, dtype=torch.bool)


def _kept(classes: list[bool], threshold: float) -> list[int]:
    probs = normalise_cas(H, VALID)
    return (~erased_positions(probs, torch.tensor([classes]), VALID, threshold))[0].int().tolist()


def test_minmax_golden() -> None:
    probs = normalise_cas(H, VALID)[0]
    assert probs[0].tolist() == pytest.approx([0, 0.2, 0.4, 0.84, 1, 0.92, 0.2, 0.1])
    assert probs[1].tolist() == pytest.approx([1, 0.966667, 0.333333, 0, 0, 0.333333, 0, 0.1], abs=1e-6)


def test_erasing_golden() -> None:
    assert _kept([True, False], 0.8) == [1, 1, 1, 0, 0, 0, 1, 1]
    assert _kept([True, False], 0.9) == [1, 1, 1, 1, 0, 0, 1, 1]
    assert _kept([True, False], 0.6) == [1, 1, 1, 0, 0, 0, 1, 1]
    assert _kept([True, True], 0.8) == [0, 0, 1, 0, 0, 0, 1, 1]
    assert _kept([False, False], 0.8) == [1] * 8


def test_the_second_stage_widens_the_sequence() -> None:
    second = torch.tensor([[[0.3, 0.9, 1.5, 0, 0, 0, 0.6, 3]]], dtype=torch.float64)
    probs = normalise_cas(second, VALID)
    assert probs[0, 0].tolist() == pytest.approx([0.1, 0.3, 0.5, 0, 0, 0, 0.2, 1])
    both = torch.maximum(normalise_cas(H[:, :1], VALID), probs)[0, 0]
    assert both.tolist() == pytest.approx([0.1, 0.3, 0.5, 0.84, 1, 0.92, 0.2, 1])


def test_erasing_leaves_a_tenth() -> None:
    probs = torch.linspace(0.81, 1.0, 20, dtype=torch.float64)[None, None]
    valid = torch.ones(1, 20, dtype=torch.bool)
    erased = erased_positions(probs, torch.tensor([[True]]), valid, 0.8)
    assert erased[0].tolist() == [False] * 2 + [True] * 18


@pytest.mark.parametrize("how", ["minmax", "sigmoid", "relu_max"])
def test_padding_is_zero_and_changes_nothing(how: str) -> None:
    padded = torch.cat([H, torch.full((1, 2, 3), 99.0, dtype=torch.float64)], dim=2)
    valid = torch.cat([VALID, torch.zeros(1, 3, dtype=torch.bool)], dim=1)
    probs = normalise_cas(padded, valid, how)  # type: ignore[arg-type]
    assert probs[..., :8].equal(normalise_cas(H, VALID, how))  # type: ignore[arg-type]
    assert not probs[..., 8:].any()
    assert probs.min() >= 0
    assert probs.max() <= 1


def test_sigmoid_and_share_of_the_maximum_against_a_loop() -> None:
    cas = H - 2.0
    sigmoid, share = (normalise_cas(cas, VALID, how)[0].tolist() for how in ("sigmoid", "relu_max"))  # type: ignore[arg-type]
    for row, values in enumerate(cas[0].tolist()):
        assert sigmoid[row] == pytest.approx([1 / (1 + math.exp(-v)) for v in values])
        assert share[row] == pytest.approx([max(v, 0.0) / max(values) for v in values])
    assert not normalise_cas(cas - 9.0, VALID, "relu_max").any()


def test_without_normalisation_the_sequence_is_itself() -> None:
    cas = torch.cat([H - 2.0, torch.full((1, 2, 2), float("nan"), dtype=torch.float64)], dim=2)
    valid = torch.arange(10)[None] < 8
    probs = normalise_cas(cas, valid, "none")
    assert probs[..., :8].equal(H - 2.0)
    assert not probs[..., 8:].any()


def test_a_flat_sequence_is_zero_everywhere() -> None:
    assert not normalise_cas(torch.full((1, 1, 8), 3.0), VALID).any()


def test_the_extrema_carry_no_gradient() -> None:
    cas = H[:, :1].clone().requires_grad_()
    normalise_cas(cas, VALID).sum().backward()
    assert cas.grad is not None
    assert cas.grad[0, 0].tolist() == pytest.approx([0.2] * 8)


def test_fusion_golden() -> None:
    branches = torch.tensor(
        [[0.2, 1, 0.4], [0.5, 0.8, 0.1], [0.3, 0.6, 0.9], [0.1, 1, 0.2]], dtype=torch.float64
    ).reshape(4, 1, 1, 3)
    fused = fuse_branches(branches, (1, 2, 3, 5))
    assert fused[0, 0].tolist() == pytest.approx([0.5, 1.8, 0.8])
    probs = normalise_cas(fused, torch.ones(1, 3, dtype=torch.bool))
    assert probs[0, 0].tolist() == pytest.approx([0, 1, 0.230769], abs=1e-6)


@pytest.mark.parametrize(("dilation", "ones"), [(1, [3, 4, 5]), (2, [2, 4, 6]), (3, [1, 4, 7]), (5, [4])])
def test_where_a_dilated_branch_looks(dilation: int, ones: list[int]) -> None:
    branch = DilatedBranch(width=1, num_classes=1, dilation=dilation)
    torch.nn.init.ones_(branch.conv.weight)
    torch.nn.init.zeros_(branch.conv.bias)
    torch.nn.init.ones_(branch.head.weight)
    impulse = torch.zeros(1, 1, 9)
    impulse[0, 0, 4] = 1.0
    _, cas, _ = branch(impulse, torch.ones(1, 9, dtype=torch.bool))
    assert torch.nonzero(cas[0, 0])[:, 0].tolist() == ones


def test_the_mean_of_the_map_is_the_logit() -> None:
    torch.manual_seed(0)
    branch = DilatedBranch(width=4, num_classes=3, dilation=2).double()
    valid = torch.ones(2, 10, dtype=torch.bool)
    valid[1, 6:] = False
    logits, cas, _ = branch(torch.randn(2, 4, 10, dtype=torch.float64), valid)
    mean = torch.stack([cas[0].mean(dim=1), cas[1, :, :6].mean(dim=1)]) + branch.head.bias
    assert torch.allclose(mean, logits)


def test_padding_does_not_reach_the_real_part() -> None:
    torch.manual_seed(0)
    stage = DilatedClassifier(
        feat_dim=4, num_classes=3, width=8, layers=2, kernel=3, dropout=0.0, dilations=(1, 2, 3)
    ).double()
    feats = torch.randn(1, 4, 12, dtype=torch.float64)
    alone = stage(feats, torch.ones(1, 12, dtype=torch.bool))
    padded = torch.cat([feats, torch.randn(1, 4, 5, dtype=torch.float64)], dim=2)
    valid = torch.arange(17)[None] < 12
    beside = stage(padded, valid)
    assert torch.allclose(alone.logits, beside.logits)
    assert torch.allclose(alone.cas, beside.cas[..., :12])
