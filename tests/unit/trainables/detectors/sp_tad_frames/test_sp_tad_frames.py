"""SP-TAD on frames: one I3D for each stream in the place of features."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from trainables.backbones.i3d import I3D
from trainables.config import FrameInput
from trainables.detectors.sp_tad.config import Config as Features
from trainables.detectors.sp_tad.model import SpTad
from trainables.detectors.sp_tad.settings import Head, Soi
from trainables.detectors.sp_tad.stem import pack_stages
from trainables.detectors.sp_tad_frames.config import Backbone, Config, Frames
from trainables.detectors.sp_tad_frames.stem import ENDPOINTS, ClipStem
from trainables.records import Batch, SegmentTargets

SIZES: dict[str, Any] = {
    "num_heads": 2,
    "num_proposals": 10,
    "width": 16,
    "soi": Soi(resolution=4),
    "head": Head(attention_heads=2, dim_dynamic=4, ffn=16),
    "proposal_init": "grid",
}
CONFIG = Config(**SIZES)


def clips(channels: int = 3, num_frames: int = 32, valid: int = 28) -> Batch:
    """One clip of 32 x 32 pixels, real up to frame ``valid``."""
    frames = torch.randint(0, 256, (1, channels, num_frames, 32, 32), generator=torch.Generator().manual_seed(0))
    return Batch(
        video_ids=("a",),
        valid_mask=torch.arange(num_frames)[None] < valid,
        seconds_per_sample=torch.full((1,), 0.1, dtype=torch.float64),
        start_s=torch.zeros(1, dtype=torch.float64),
        frames=frames.to(torch.uint8),
        segments=(SegmentTargets(torch.tensor([[4.0, 20.0], [10.0, valid - 1.0]]), torch.tensor([0, 2])),),
    )


def build(config: Config = CONFIG, feat_dim: int = 3) -> SpTad:
    torch.manual_seed(0)
    built = config.build(feat_dim=feat_dim, num_classes=3)
    assert isinstance(built, SpTad)
    return built


@pytest.fixture(scope="module")
def model() -> SpTad:
    return build()


def test_a_clip_reaches_every_part_and_leaves_batch_normalisation_as_it_is(model: SpTad) -> None:
    model.train()
    before = {name: b.clone() for name, b in model.named_buffers()}
    data = clips()
    outputs = model(data)
    assert outputs.terms["counts"].tolist() == [16, 8, 4, 2]
    assert outputs.terms["strides"].tolist() == [2.0, 4.0, 8.0, 16.0]
    assert outputs.terms["cells"].shape == (1, 30, 16)
    assert outputs.feats is not None
    assert outputs.feats.shape == (1, 16, 32)
    assert torch.equal(outputs.feats[:, :, 0], outputs.feats[:, :, 1]), "a cell of the finest level covers 2 frames"
    losses = model.losses(outputs, data, tuple(CONFIG.phases()[0].loss_weights))
    torch.stack(list(losses.values())).sum().backward()
    assert not {n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    assert all(torch.equal(before[name], b) for name, b in model.named_buffers())
    scales = {name for name in before if name.endswith(("bn.weight", "bn.bias"))}
    assert len(scales) == 2 * sum(isinstance(m, torch.nn.BatchNorm3d) for m in model.modules()) > 100
    view = outputs.rois
    assert view is not None
    assert view.rois[:, 2].max() <= 28
    assert (view.rois[:, 2] - view.rois[:, 1] >= model.samples_per_cell - 1e-4).all()
    assert model.samples_per_cell == 2


def test_stored_stages_give_what_a_frozen_backbone_gives(model: SpTad) -> None:
    """The other detector, on a store that holds what this one's I3D makes of the same clip."""
    data = clips(valid=32)
    model.eval()
    with torch.no_grad():
        expected = model(data)
        packed = pack_stages(model.stem(data).sequences)
        twin = Features(**SIZES, stages="i3d").build(feat_dim=packed.shape[1], num_classes=3).eval()
        weights = {name: w for name, w in model.state_dict().items() if not name.startswith("stem.")}
        twin.load_state_dict(weights)
        stored = dataclasses.replace(
            data, frames=None, feats=packed, valid_mask=torch.ones(1, 4, dtype=torch.bool), segments=None
        )
        found = twin(stored)
    torch.testing.assert_close(found.raw["class_logits"], expected.raw["class_logits"])
    torch.testing.assert_close(found.raw["act_probs"], expected.raw["act_probs"])
    torch.testing.assert_close(found.raw["segments"] * 8, expected.raw["segments"], atol=1e-3, rtol=1e-4)


def test_the_sizes_of_the_stages() -> None:
    one, both = (
        ClipStem(streams=s, weights={"rgb": None, "flow": None}, freeze_bn=True) for s in (["rgb"], ["rgb", "flow"])
    )
    assert (one.channels, one.clip_channels) == ((480, 832, 1024), 2336)
    assert (both.channels, both.clip_channels) == ((960, 1664, 2048), 4672)
    published = ClipStem(streams=["rgb", "flow"], weights={"rgb": None, "flow": None}, freeze_bn=False)
    assert sum(p.numel() for p in published.trunks["rgb"].parameters()) == 12_287_264
    assert sum(p.numel() for p in published.trunks["flow"].parameters()) == 12_265_312
    assert published.train().trunks["rgb"].Conv3d_1a_7x7.bn.training  # type: ignore[union-attr]


def test_values_and_the_order_of_streams() -> None:
    stem = ClipStem(streams=["rgb", "flow"], weights={"rgb": None, "flow": None}, freeze_bn=True).eval()
    data = clips(channels=5)
    assert data.frames is not None
    with torch.no_grad():
        stages = stem(data)
        values = data.frames.float() / 255 * 2 - 1
        values[:, :, 28:] = 0
        alone = stem.trunks["flow"].collect(values[:, 3:], tuple(ENDPOINTS))  # type: ignore[operator]
    for sequence, maps, channels in zip(stages.sequences, alone.values(), (480, 832, 1024), strict=True):
        torch.testing.assert_close(sequence[:, channels:], maps.mean(dim=(3, 4)))
    torch.testing.assert_close(stages.clip_feat[:, 480:960], stages.sequences[0][:, 480:, :14].mean(dim=2))


def test_frames_that_do_not_fit_are_refused(model: SpTad) -> None:
    data = clips()
    with pytest.raises(ValueError, match="sp_tad_frames reads frames; the batch has none"):
        model(dataclasses.replace(data, frames=None))
    with pytest.raises(ValueError, match=r"takes \(B, 3, T, H, W\), got \(1, 5, 32, 32, 32\)"):
        model(clips(channels=5))


class Rgb:
    """A data set of frames without flow."""

    feat_dim = 3

    def open(self, data_root: Path) -> Rgb:
        return self


def test_flow_is_refused_where_there_is_none(tmp_path: Path) -> None:
    both = dataclasses.replace(CONFIG, streams="rgb+flow")
    with pytest.raises(
        ValueError, match="streams: 'rgb\\+flow' reads frames of 5 channels .* has 3, no flow; set detector"
    ):
        both.check_data(Rgb(), tmp_path)
    with pytest.raises(ValueError, match="no flow"):
        both.build(feat_dim=3, num_classes=3)
    CONFIG.check_data(Rgb(), tmp_path)


def test_weights_of_the_backbone_come_from_a_file(tmp_path: Path) -> None:
    torch.manual_seed(3)
    saved = I3D()
    path = tmp_path / "i3d.pt"
    torch.save(saved.state_dict(), path)
    config = dataclasses.replace(CONFIG, backbone=Backbone(weights=str(path)))
    config.check_data(Rgb(), tmp_path)
    state = build(config).stem.state_dict()
    assert all(torch.equal(state[f"trunks.rgb.{name}"], value) for name, value in saved.state_dict().items())
    path.unlink()
    with pytest.raises(ValueError, match=r"backbone\.weights: no file .*i3d\.pt"):
        config.check_data(Rgb(), tmp_path)


def test_the_backbone_has_a_rate_of_its_own() -> None:
    """Table 4; 0 means that nothing of it learns."""
    (phase,) = Config(backbone_lr=1e-6).phases()
    assert phase.lr_multipliers == {"stem.": pytest.approx(0.01)}
    assert phase.frozen == ()
    (phase,) = Config(backbone_lr=0.0).phases()
    assert (phase.frozen, phase.lr_multipliers, phase.lr) == (("stem.",), {}, 1e-4)


def test_clips_are_those_of_afsd() -> None:
    """256 frames at 10 per second, 30 apart, at test half over each other."""
    sampling = Config().sampling()
    assert (sampling.train, sampling.test, sampling.length) == ("window", "window", 256)
    assert sampling.window_stride == (30, 128)
    assert (sampling.keep_ratio, sampling.min_inside, sampling.both_ways) == (0.5, 1.0, False)
    assert sampling.frames == FrameInput(10.0, (112, 112), (96, 96), mirror=True)
    assert [Config(clip_length=n).sampling().window_stride for n in (224, 288, 320)] == [
        (30, 112),
        (30, 144),
        (30, 160),
    ]
    with pytest.raises(ValueError, match=r"frames\.crop: \(96, 96\) must be from 1 pixel"):
        Frames(size=(64, 64))
