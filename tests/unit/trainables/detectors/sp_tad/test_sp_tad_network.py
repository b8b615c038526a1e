"""The network of SP-TAD: sizes, gradient flow, and as a host of regions."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from sp_tad_batches import SMALL, batch, network
from torch import Tensor

from trainables.detectors.sp_tad.matching import UNMATCHED
from trainables.detectors.sp_tad.model import SpTad
from trainables.detectors.sp_tad.settings import Head, Infer
from trainables.detectors.sp_tad.stages import CLASS_BIAS, Stage
from trainables.detectors.sp_tad.stem import I3D_CHANNELS, FeatureStem, StageStem, pack_stages, real_mean, unpack_stages
from trainables.layers.offsets import decode_ends

LOSSES = tuple(SMALL.phases()[0].loss_weights)


@pytest.fixture(scope="module")
def published() -> Stage:
    torch.manual_seed(0)
    return Stage(width=256, resolution=16, num_classes=20, head=Head())


def test_a_stage_has_the_published_number_of_parameters(published: Stage) -> None:
    number = sum(p.numel() for p in published.parameters())
    assert number == 11_056_790
    assert 4 * number == 44_227_160
    assert sum(p.numel() for p in network().stages.parameters()) == 3 * sum(
        p.numel() for p in network().stages[0].parameters()
    )


def test_classifiers_begin_at_one_percent(published: Stage) -> None:
    assert pytest.approx(-4.595120, abs=1e-6) == CLASS_BIAS
    assert published.classify[-1].bias.tolist() == pytest.approx([CLASS_BIAS] * 20)
    # as many classes as a layer is wide must not set other layers to the bias
    torch.manual_seed(0)
    stage = Stage(width=16, resolution=2, num_classes=16, head=Head(attention_heads=2, dim_dynamic=16, ffn=16))
    at_bias = {name for name, p in stage.named_parameters() if bool(torch.isclose(p, torch.tensor(CLASS_BIAS)).all())}
    assert at_bias == {"classify.3.bias"}


def test_stages_begin_differently() -> None:
    """Sparse R-CNN copies one stage, and then draws every matrix anew."""
    first, second, _ = network().stages
    assert not torch.equal(first.regress[-1].weight, second.regress[-1].weight)
    assert torch.equal(first.classify[-1].bias, second.classify[-1].bias)


def test_the_dynamic_interaction_by_hand() -> None:
    interaction = network().stages[0].interaction
    x, soi = torch.randn(3, 16), torch.randn(3, 4, 16)
    found = interaction(x, soi)
    for row in range(3):
        both = interaction.parameters_of(x[row])
        first, second = both[:64].reshape(16, 4), both[64:].reshape(4, 16)
        z = torch.relu(torch.nn.functional.layer_norm(soi[row] @ first, (4,)))
        z = torch.relu(torch.nn.functional.layer_norm(z @ second, (16,)))
        flat = torch.cat([z[p] for p in range(4)])
        linear = interaction.condense[0]
        expected = torch.relu(torch.nn.functional.layer_norm(linear.weight @ flat + linear.bias, (16,)))
        torch.testing.assert_close(found[row], expected, atol=1e-5, rtol=1e-4)


def _reached(loss: Tensor, model: SpTad) -> set[str]:
    model.zero_grad()
    loss.backward(retain_graph=True)
    names = {name for name, p in model.named_parameters() if p.grad is not None and bool(p.grad.any())}
    return {".".join(name.split(".")[: {"stages": 3, "proposals": 2}.get(name.split(".")[0], 1)]) for name in names}


def _stage(number: int, *parts: str) -> set[str]:
    return {f"stages.{number}.{part}" for part in ("attention", "interaction", "feed_forward", "norms", *parts)}


def test_which_parts_learn_from_which_loss() -> None:
    """Segments are constants between stages, features are not: later losses reach all features, one regression each."""
    model, data = network().train(), batch()
    losses = model.losses(model(data), data, LOSSES)
    shared = {"pyramid", "proposals.features"}
    before = set[str]()
    for k in range(3):
        assert _reached(losses[f"stage{k + 1}_class"], model) == shared | before | _stage(k, "classify")
        for name in ("l1", "giou"):
            expected = shared | before | _stage(k, "regress") | ({"proposals.segments"} if k == 0 else set())
            assert _reached(losses[f"stage{k + 1}_{name}"], model) == expected
        before |= _stage(k)
    assert _reached(losses["act"], model) == {"act"}


def test_what_a_segment_reads_gives_no_gradient_to_its_ends() -> None:
    """The learnt segments feel the decoding of the first stage: d c' / d c = 1, d w' / d w = exp(delta)."""
    model, data = network().train(), batch()
    outputs = model(data)
    first = outputs.terms["segments"][0]
    centre, length = first.mean(dim=-1), first[..., 1] - first[..., 0]
    (gradient,) = torch.autograd.grad(length.sum(), model.proposals.segments, retain_graph=True)
    assert not gradient[:, 0].any()
    ratio = (length / model.proposals.segments[:, 1]).sum(dim=0)
    torch.testing.assert_close(gradient[:, 1], ratio.detach(), atol=1e-4, rtol=1e-4)
    (gradient,) = torch.autograd.grad(centre.sum(), model.proposals.segments)
    torch.testing.assert_close(gradient[:, 0], torch.full((7,), 2.0))


def test_every_parameter_learns() -> None:
    model, data = network().train(), batch()
    torch.stack(list(model.losses(model(data), data, LOSSES).values())).sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


def test_losses_name_what_is_missing() -> None:
    model, data = network(dataclasses.replace(SMALL, act_head=False)).train(), batch()
    outputs = model(data)
    assert "act_probs" not in outputs.raw
    with pytest.raises(ValueError, match="no loss act; this sp_tad has stage1_class"):
        model.losses(outputs, data, ("act",))
    with pytest.raises(ValueError, match="need training mode and segments"):
        model.losses(model.eval()(data), data, ("stage1_class",))
    with pytest.raises(ValueError, match="reads pre-extracted features"):
        model(dataclasses.replace(data, feats=None))
    with pytest.raises(ValueError, match=r"width: 20 must be a multiple of head\.attention_heads, 8"):
        dataclasses.replace(SMALL, width=20, head=Head())


def test_losses_count_instances() -> None:
    model, data = network().train(), batch()
    counts = model.loss_counts(model(data), data)
    assert counts == dict.fromkeys([name for name in LOSSES if name != "act"], 3.0)


@pytest.mark.parametrize("kind", ["single", "high", "inter"])
def test_what_lies_behind_the_real_end_changes_nothing(kind: str) -> None:
    model, data = network(dataclasses.replace(SMALL, pyramid=kind)).eval(), batch()  # type: ignore[arg-type]
    assert data.feats is not None
    noisy = torch.where(data.valid_mask[:, None], data.feats, torch.full_like(data.feats, 99.0))
    a, b = model(data), model(dataclasses.replace(data, feats=noisy))
    assert all(torch.equal(a.raw[name], b.raw[name]) for name in a.raw)
    assert a.feats is not None
    assert a.feats.shape == (2, 16, 32)
    odd = dataclasses.replace(data, feats=data.feats[:, :, :29], valid_mask=data.valid_mask[:, :29])
    found = model(odd)
    assert found.feats is not None
    assert found.feats.shape == (2, 16, 29)


def test_stages_made_of_features() -> None:
    stem = FeatureStem(5)
    data = batch()
    stages = stem(data)
    assert [tuple(x.shape) for x in stages.sequences] == [(2, 5, 32), (2, 5, 16), (2, 5, 8)]
    assert data.feats is not None
    torch.testing.assert_close(stages.sequences[2][0, :, 1], data.feats[0, :, 4:8].mean(dim=1))
    torch.testing.assert_close(stages.clip_feat[1], data.feats[1, :, :26].mean(dim=1))


def test_stored_stages_come_back_as_they_were() -> None:
    channels = tuple(2 * c for c in I3D_CHANNELS)
    sequences = [torch.randn(1, c, n * 3) for c, n in zip(channels, (4, 2, 1), strict=True)]
    packed = pack_stages(sequences)
    assert packed.shape == (1, 9216, 3)
    assert torch.equal(packed[0, :960, 1], sequences[0][0, :, 4]), "the first of 4 cells of sample 1 comes first"
    assert all(torch.equal(a, b) for a, b in zip(unpack_stages(packed, channels), sequences, strict=True))
    stem = StageStem(9216)
    assert (stem.channels, stem.clip_channels) == ((960, 1664, 2048), 4672)
    data = dataclasses.replace(
        batch(), feats=packed.repeat(2, 1, 1), valid_mask=torch.tensor([[True] * 3, [True, True, False]])
    )
    stages = stem(data)
    assert [x.shape[2] for x in stages.sequences] == [16, 8, 4]
    torch.testing.assert_close(stages.clip_feat[1, :960], sequences[0][0, :, :8].mean(dim=1))
    with pytest.raises(
        ValueError, match="takes features of 4608 channels a stream, one or two of them, the data set has 2048"
    ):
        StageStem(2048)


class Stored:
    """A data set of features with 2048 channels."""

    feat_dim = 2048

    def open(self, data_root: Path) -> Stored:
        return self


def test_features_that_are_no_stages_are_refused_before_anything_is_built(tmp_path: Path) -> None:
    SMALL.check_data(Stored(), tmp_path)
    with pytest.raises(
        ValueError, match=r"stages: 'i3d' takes features of 4608 .* has 2048; set detector\.stages: one"
    ):
        dataclasses.replace(SMALL, stages="i3d").check_data(Stored(), tmp_path)


def test_means_count_cells_that_begin_inside() -> None:
    sequence = torch.arange(4.0)[None, None]
    mask = torch.arange(8)[None] < 5
    assert real_mean(sequence, mask, 2.0).tolist() == [[1.0]]  # cells 0, 1, 2
    assert real_mean(sequence, torch.zeros(1, 8, dtype=torch.bool), 2.0).tolist() == [[0.0]]


def test_regions_are_what_the_last_stage_starts_from() -> None:
    model, data = network().train(), batch()
    outputs = model(data)
    view = outputs.rois
    assert view is not None
    assert view.labels is not None
    assert view.matched_gt is not None
    before = outputs.terms["segments"][-2].flatten(0, 1) * 32
    limit = torch.tensor([32.0, 26.0]).repeat_interleave(7)
    assert torch.equal(view.rois[:, 0], torch.tensor([0.0, 1.0]).repeat_interleave(7))
    start, end = view.rois[:, 1:].unbind(1)
    assert (start >= 0).all()
    assert (end <= limit).all()
    assert (end - start >= 1 - 1e-4).all()
    inside = (before[:, 0] >= 0) & (before[:, 1] <= limit) & (before[:, 1] - before[:, 0] >= 1)
    assert inside.any()
    torch.testing.assert_close(view.rois[inside, 1:], before[inside])
    assert not view.rois.requires_grad
    assert sorted(view.labels.tolist()) == [0] * 11 + [1, 2, 3]
    assert view.matched_gt[view.labels == 3].tolist() == [[14.0, 30.0]]
    matched = outputs.terms["matched"]
    assert matched.shape == (3, 2, 7)
    assert ((matched != UNMATCHED).sum(dim=2) == torch.tensor([2, 1])).all(), "in every stage"
    decoded = decode_ends(view.rois[:, 1:], model.roi_offsets(outputs))
    torch.testing.assert_close(decoded, outputs.terms["segments"][-1].flatten(0, 1) * 32, atol=1e-3, rtol=1e-4)
    loss = model.losses(outputs, data, LOSSES)[model.classification_loss_name]
    torch.testing.assert_close(model.classification_loss(view.logits, view.labels), loss)


def test_pooling_and_the_layer_of_the_last_stage() -> None:
    model = network().eval()
    outputs = model(batch())
    windows = torch.tensor([[1.0, 2.0, 9.0], [0.0, 0.0, 32.0]])
    pooled = model.pool(outputs, windows)
    assert pooled.feats.shape == (2, model.pooled_channels) == (2, 64)
    feats = model.roi_trunk(pooled)
    assert feats.shape == (2, model.roi_channels)
    copied = model.new_trunk()
    torch.testing.assert_close(copied(pooled), feats)
    assert not {id(p) for p in copied.parameters()} & {id(p) for p in model.parameters()}
    pooled.feats.sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.pyramid.lateral.parameters())


def test_other_logits_are_detected_with() -> None:
    model = network().eval()
    outputs = model(batch())
    changed = model.with_logits(outputs, torch.full((14, 3), 2.0))
    assert changed.rois is not None
    assert (changed.rois.logits == 2.0).all()
    assert changed.raw["class_logits"].shape == (2, 7, 3)
    assert (changed.raw["class_logits"] == 2.0).all()
    assert torch.equal(changed.raw["segments"], outputs.raw["segments"])
    with pytest.raises(ValueError, match=r"logits: shape \(14, 4\), the regions have \(14, 3\)"):
        model.with_logits(outputs, torch.zeros(14, 4))


def test_inference_values_are_no_training_values() -> None:
    for field in dataclasses.fields(Infer):
        assert field.metadata["acts"] == "inference"
