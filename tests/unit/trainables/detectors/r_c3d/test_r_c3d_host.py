"""R-C3D as a network and as a host of regions."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from trainables.detectors.r_c3d.config import Config
from trainables.detectors.r_c3d.feature_map import repeat_last
from trainables.detectors.r_c3d.settings import Anchors, Optim, Roi, Rpn, Settings, Trunk
from trainables.detectors.r_c3d.targets import AnchorTargets
from trainables.detectors.r_c3d.terms import proposal_losses, region_offset_loss
from trainables.layers.offsets import decode_centre_length, decode_ends
from trainables.records import Batch, RoiView, SegmentTargets

CONFIG = Config(
    anchors=Anchors(scales=(2.0, 4.0, 8.0)), rpn=Rpn(width=16), roi=Roi(batch=24), trunk=Trunk(width=12), pool_bins=2
)
#: losses of the host -> the parts that learn from them (Three Birds 8, first two rows; the proposals' own beside them).
PARTS = {
    "rpn_class": {"rpn.convs", "rpn.scores"},
    "rpn_offset": {"rpn.convs", "rpn.offsets"},
    "roi_class": {"trunk.fc6", "trunk.fc7", "heads.cls"},
    "roi_offset": {"trunk.fc6", "trunk.fc7", "heads.reg"},
}


def batch(segments: bool = True, channels: int = 5) -> Batch:
    torch.manual_seed(1)
    return Batch(
        video_ids=("a", "b"),
        valid_mask=torch.arange(32).expand(2, 32) < torch.tensor([[32], [25]]),
        seconds_per_sample=torch.ones(2).double(),
        start_s=torch.zeros(2).double(),
        feats=torch.randn(2, channels, 32),
        segments=(
            SegmentTargets(torch.tensor([[3.0, 9.0], [12.5, 20.0]]), torch.tensor([0, 2])),
            SegmentTargets(torch.tensor([[8.0, 24.0]]), torch.tensor([1])),
        )
        if segments
        else None,
    )


def build(config: Config = CONFIG) -> Any:
    torch.manual_seed(0)
    return config.build(feat_dim=5, num_classes=3)


def rois_of(outputs: Any) -> RoiView:
    assert outputs.rois is not None
    view: RoiView = outputs.rois
    return view


@pytest.mark.parametrize("name", PARTS)
def test_which_parts_learn_from_which_loss(name: str) -> None:
    model, data = build().train(), batch()
    data = dataclasses.replace(data, feats=data.feats.requires_grad_())  # type: ignore[union-attr]
    loss = model.losses(model(data), data, (name,))[name]
    loss.backward()
    reached = {
        ".".join(path.split(".")[:2])
        for path, p in model.named_parameters()
        if p.grad is not None and bool(p.grad.abs().sum() > 0)
    }
    assert reached == PARTS[name]
    assert data.feats is not None
    assert data.feats.grad is not None
    assert bool(data.feats.grad.abs().sum() > 0), "the shared map learns from every loss"


def test_regions_in_training_and_at_test() -> None:
    model, data = build().train(), batch()
    view = rois_of(model(data))
    assert view.labels is not None
    assert view.matched_gt is not None
    counts = torch.bincount(view.rois[:, 0].long())
    assert (counts <= 24).all()
    assert (view.labels[view.rois[:, 0] == 0] != 2).all(), "class 1 is in the second input alone"
    assert set(view.labels.tolist()) <= {0, 1, 2, 3}
    assert 0 < int((view.labels > 0).sum()) <= 12
    assert not view.rois.requires_grad
    assert view.feats.shape == (len(view.rois), model.roi_channels)
    assert view.logits.shape == (len(view.rois), model.num_logits)
    outputs = model.eval()(batch(segments=False))
    view = rois_of(outputs)
    assert view.labels is None
    assert torch.bincount(view.rois[:, 0].long()).tolist() == outputs.raw["count"].tolist()
    assert (view.rois[view.rois[:, 0] == 1][:, 2] <= 25).all(), "nothing is proposed behind the real end"
    with pytest.raises(ValueError, match="training mode and annotated segments"):
        model.losses(outputs, data, ("roi_class",))


def test_what_lies_behind_the_real_end_changes_nothing() -> None:
    model, data = build().eval(), batch(segments=False)
    assert data.feats is not None
    noisy = torch.where(data.valid_mask[:, None], data.feats, torch.full_like(data.feats, 99.0))
    a, b = model(data), model(dataclasses.replace(data, feats=noisy))
    assert all(torch.equal(a.raw[name], b.raw[name]) for name in a.raw)
    wider = dataclasses.replace(
        data,
        feats=torch.nn.functional.pad(data.feats, (0, 8)),
        valid_mask=torch.nn.functional.pad(data.valid_mask, (0, 8)),
    )
    second, same = (rois_of(outputs).rois[:, 0] == 1 for outputs in (a, model(wider)))
    torch.testing.assert_close(rois_of(model(wider)).rois[same], rois_of(a).rois[second])
    torch.testing.assert_close(rois_of(model(wider)).logits[same], rois_of(a).logits[second])


def test_the_last_sample_is_repeated() -> None:
    samples = torch.arange(10.0).reshape(2, 1, 5)
    filled = repeat_last(samples, torch.tensor([5, 2]), multiple_of=4)
    assert filled[:, 0].tolist() == [[0, 1, 2, 3, 4, 4, 4, 4], [5, 6, 6, 6, 6, 6, 6, 6]]
    assert repeat_last(samples, torch.tensor([5, 5])) is samples


def test_pooling_and_trunk_give_the_regions_own_features() -> None:
    model = build().eval()
    outputs = model(batch(segments=False))
    view = rois_of(outputs)
    pooled = model.pool(outputs, view.rois)
    assert pooled.feats.shape == (len(view.rois), model.pooled_channels) == (len(view.rois), 5 * 2)
    torch.testing.assert_close(model.roi_trunk(pooled), view.feats)
    copied = model.new_trunk()
    torch.testing.assert_close(copied(pooled), view.feats)
    assert not {id(p) for p in copied.parameters()} & {id(p) for p in model.parameters()}
    mine = batch(segments=False)
    mine = dataclasses.replace(mine, feats=mine.feats.requires_grad_())  # type: ignore[union-attr]
    (gradient,) = torch.autograd.grad(model.pool(model(mine), view.rois).feats.sum(), mine.feats)  # type: ignore[arg-type]
    assert bool(gradient.abs().sum() > 0)


def test_offsets_of_the_label_as_starts_and_ends() -> None:
    model = build().train()
    torch.nn.init.normal_(model.heads.reg.weight, std=0.3)
    outputs = model(batch())
    view = rois_of(outputs)
    assert view.labels is not None
    ends = model.roi_offsets(outputs)
    assert ends.requires_grad
    own = outputs.terms["roi_offsets"][torch.arange(len(view.labels)), view.labels] * torch.tensor([0.1, 0.2])
    rois = view.rois[:, 1:]
    torch.testing.assert_close(decode_ends(rois, ends), decode_centre_length(rois, own))


def test_other_logits_take_the_place_of_the_own_ones() -> None:
    model = build().eval()
    outputs = model(batch(segments=False))
    view = rois_of(outputs)
    other = torch.randn_like(view.logits)
    changed = model.with_logits(outputs, other)
    assert rois_of(changed).logits is other
    first = int(outputs.raw["count"][0])
    assert torch.equal(changed.raw["logits"][0, :first], other[:first])
    assert torch.equal(changed.raw["logits"][1, : int(outputs.raw["count"][1])], other[first:])
    assert torch.equal(changed.raw["offsets"], outputs.raw["offsets"])
    same = model.with_logits(outputs, view.logits)
    assert all(torch.equal(same.raw[name], outputs.raw[name]) for name in outputs.raw)
    assert model.with_logits(model.train()(batch()), other).raw == {}


def test_classification_loss_is_the_one_among_the_losses() -> None:
    model, data = build().train(), batch()
    outputs = model(data)
    view = rois_of(outputs)
    assert view.labels is not None
    loss = model.losses(outputs, data, (model.classification_loss_name,))[model.classification_loss_name]
    assert torch.equal(loss, model.classification_loss(view.logits, view.labels))
    torch.testing.assert_close(loss, F.cross_entropy(view.logits, view.labels))


def test_losses_without_a_segment_keep_the_graph() -> None:
    model, data = build().train(), batch()
    none = SegmentTargets(torch.zeros(0, 2), torch.zeros(0, dtype=torch.long))
    data = dataclasses.replace(data, segments=(none, none))
    losses = model.losses(model(data), data, ("rpn_class", "rpn_offset", "roi_class", "roi_offset", "positive_regions"))
    assert [losses[name].item() for name in ("rpn_offset", "roi_offset", "positive_regions")] == [0, 0, 0]
    sum(losses.values()).backward()
    assert model.heads.reg.weight.grad is not None
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_golden_loss_of_region_offsets() -> None:
    """Targets 1.5 and 0.4765509: |1.5| - 1/2 + 0.4765509^2 / 2, over four regions."""
    rois = torch.tensor([[10.0, 30.0]]).expand(4, 2)
    matched = torch.tensor([[12.0, 34.0]]).expand(4, 2)
    labels = torch.tensor([0, 2, 0, 0])
    loss = region_offset_loss(torch.zeros(4, 3, 2), rois, labels, matched, inclusive=False)
    assert float(loss) == pytest.approx((1.0 + 0.4765509**2 / 2) / 4, abs=1e-6)
    inclusive = region_offset_loss(torch.zeros(4, 3, 2), rois, labels, matched, inclusive=True)
    assert float(inclusive) == pytest.approx((1.4285714 - 0.5 + 0.4548589**2 / 2) / 4, abs=1e-6)


def test_golden_loss_of_proposals() -> None:
    """Sigma 3 (0.05: 0.01125, 0.2: 0.144444); ln 2 for every sampled anchor without evidence."""
    targets = AnchorTargets(
        torch.tensor([[True, False, False]]), torch.tensor([[False, True, False]]), torch.full((1, 3, 2), 9.0).double()
    )
    offsets = torch.tensor([[[9.05, 8.8], [0.0, 0.0], [0.0, 0.0]]])
    entropy, regression = proposal_losses(torch.zeros(1, 3, 2), offsets, targets)
    assert float(entropy) == pytest.approx(0.693147, abs=1e-6)
    assert float(regression) == pytest.approx((0.01125 + 0.144444) / 2, abs=1e-5)


def test_weights_of_the_losses_and_the_recipe_of_biases() -> None:
    (phase,) = Settings(optim=Optim(lr_decay_epoch=10, epochs=15)).recipe()
    assert phase.optimizer == "sgd"
    assert (phase.lr, phase.momentum, phase.weight_decay) == (1e-4, 0.9, 5e-4)
    assert (phase.lr_milestones, phase.bias_lr_multiplier, phase.decay_biases) == ((10,), 2.0, False)
    assert phase.grad_clip_norm is None
    (phase,) = Settings(optim=Optim(grad_clip=5.0)).recipe()
    assert phase.grad_clip_norm == 5.0
    (phase,) = Config(loss=dataclasses.replace(CONFIG.loss, lambda_reg=0.3)).phases()
    weights = {"rpn_class": 1.0, "rpn_offset": 0.3, "roi_class": 1.0, "roi_offset": 0.3, "positive_regions": 0.0}
    assert phase.loss_weights == weights


def test_bad_values_are_refused() -> None:
    with pytest.raises(ValueError, match=r"rpn\.neg_tiou: 0\.8 is above rpn\.pos_tiou, 0\.7"):
        Rpn(neg_tiou=0.8)
    with pytest.raises(ValueError, match=r"roi\.bg_lo: 0\.5 must be below roi\.fg_tiou"):
        Roi(bg_lo=0.5)
    with pytest.raises(ValueError, match="reads pre-extracted features; the batch has none"):
        build()(dataclasses.replace(batch(), feats=None))
    model, data = build().train(), batch()
    with pytest.raises(ValueError, match="no loss roi_clas; r_c3d has rpn_class"):
        model.losses(model(data), data, ("roi_clas",))
