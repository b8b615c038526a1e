"""The proposal generator: sampling along anchors, normalisation, padding, initial offsets."""

from __future__ import annotations

import pytest
import torch

from trainables.detectors.clean_net.generator import ProposalGenerator
from trainables.layers.anchors import anchor_samples
from trainables.layers.norms import BatchNorm, GroupNorm, Norm

ANCHORS = (1, 3, 8)


def build(parts: int | None, norm: Norm = "gn", width: int = 8) -> ProposalGenerator:
    torch.manual_seed(0)
    model = ProposalGenerator(feat_dim=6, width=width, layers=3, norm=norm, anchors=ANCHORS, parts=parts)
    return model.double().eval()


def feats(num: int, length: int) -> torch.Tensor:
    return torch.randn(num, 6, length, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def test_offsets_are_a_convolution_along_the_sampled_features() -> None:
    model, x, valid = build(4), feats(2, 14), torch.arange(14) < torch.tensor([[14], [9]])
    with torch.no_grad():
        trunk, offsets = model(x, valid)
        index = anchor_samples(ANCHORS, valid.sum(dim=1), 14, 4, random=False)
        for b in range(2):
            # (8, P, M, T) gathered features of every anchor, then an ordinary convolution over the P parts
            sampled = trunk[b][:, index[b]].permute(2, 3, 0, 1).flatten(0, 1)
            expected = model.output(sampled)[..., 0].reshape(3, 14, 2).permute(2, 0, 1)
            assert torch.allclose(offsets[b], expected)


def test_without_sampling_an_anchor_reads_its_centre() -> None:
    model, x = build(None), feats(1, 14)
    trunk, offsets = model(x, torch.ones(1, 14, dtype=torch.bool))
    assert offsets.shape == (1, 2, 3, 14)
    moved = trunk.clone()
    moved[..., 5] += 1.0
    changed = (model.output(moved) != model.output(trunk)).any(dim=1)[0]
    assert changed.nonzero()[:, 0].tolist() == [5]


def test_training_draws_and_evaluation_does_not() -> None:
    model, x, valid = build(3).train(), feats(1, 14), torch.ones(1, 14, dtype=torch.bool)
    torch.manual_seed(1)
    first, second = model(x, valid)[1], model(x, valid)[1]
    assert not torch.equal(first, second)
    torch.manual_seed(1)
    assert torch.equal(first, model(x, valid)[1])
    model.eval()
    assert torch.equal(model(x, valid)[1], model(x, valid)[1])


@pytest.mark.parametrize("parts", [None, 3])
@pytest.mark.parametrize("norm", ["none", "bn", "gn"])
@pytest.mark.parametrize("training", [False, True])
def test_padding_changes_nothing(parts: int | None, norm: Norm, training: bool) -> None:
    x, model = feats(1, 10), build(parts, norm)
    # drawn positions would differ between the two lengths
    model.norms.train(training)
    padded = torch.cat([x, torch.full((1, 6, 4), 9.0, dtype=torch.float64)], dim=2)
    with torch.no_grad():
        short = model(x, torch.ones(1, 10, dtype=torch.bool))
        model_again = build(parts, norm)
        model_again.norms.train(training)
        long = model_again(padded, torch.arange(14)[None] < 10)
    assert torch.allclose(short[0], long[0][..., :10])
    assert torch.allclose(short[1], long[1][..., :10])
    assert not long[0][..., 10:].any()


def test_normalisation_is_torch_s_own_where_nothing_is_padded() -> None:
    x = 3.0 + 2.0 * torch.randn(2, 64, 9, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    valid = torch.ones(2, 9, dtype=torch.bool)
    group, batch = GroupNorm(64).double(), BatchNorm(64).double()
    with torch.no_grad():
        for norm in (group.weight, group.bias, batch.norm.weight, batch.norm.bias):
            norm.normal_(generator=torch.Generator().manual_seed(4))
    expected = torch.nn.functional.group_norm(x, 32, group.weight, group.bias)
    assert torch.allclose(group(x, valid), expected)
    reference = torch.nn.BatchNorm1d(64).double()
    reference.load_state_dict(batch.norm.state_dict())
    assert torch.allclose(batch(x, valid), reference(x))


def test_segments_start_near_their_anchors() -> None:
    for parts in (None, 3):
        _, offsets = build(parts, width=128)(feats(1, 40), torch.ones(1, 40, dtype=torch.bool))
        assert offsets.abs().mean() < 0.2
