"""PBRNet on frames: I3D in the place of features, and the clip itself at the frame level."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from trainables.backbones.i3d import I3D
from trainables.config import FrameInput
from trainables.detectors.pbrnet.config import Config as Features
from trainables.detectors.pbrnet.model import PbrNet
from trainables.detectors.pbrnet.settings import Match, Net
from trainables.detectors.pbrnet_frames.config import Backbone, Config, Frames
from trainables.detectors.pbrnet_frames.stem import ClipBranch
from trainables.records import Batch, SegmentTargets

CONFIG = Config(
    net=Net(width=8, roi_width=6), match=Match(cpd_tiou=0.1, rpd_tiou=0.1, fgd_tiou=0.1), backbone=Backbone(space=1)
)


def clips(num_frames: int = 64, valid: int = 60) -> Batch:
    """One clip of 32 x 32 pixels, real up to frame ``valid``."""
    frames = torch.randint(0, 256, (1, 3, num_frames, 32, 32), generator=torch.Generator().manual_seed(0))
    return Batch(
        video_ids=("a",),
        valid_mask=torch.arange(num_frames)[None] < valid,
        seconds_per_sample=torch.full((1,), 0.1, dtype=torch.float64),
        start_s=torch.zeros(1, dtype=torch.float64),
        frames=frames.to(torch.uint8),
        segments=(SegmentTargets(torch.tensor([[10.0, 30.0], [20.0, valid - 1.0]]), torch.tensor([0, 2])),),
    )


@pytest.fixture(scope="module")
def model() -> PbrNet:
    torch.manual_seed(0)
    built = CONFIG.build(feat_dim=0, num_classes=3)
    assert isinstance(built, PbrNet)
    return built


def test_a_clip_reaches_every_part_and_leaves_batch_normalisation_as_it_is(model: PbrNet) -> None:
    model.train()
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm3d)]
    assert len(norms) > 50
    assert not any(m.training for m in norms)
    before = [b.clone() for b in model.buffers()]
    data = clips(num_frames=256, valid=240)
    outputs = model(data)
    assert outputs.terms["map"].shape == (1, 1024, 32, 1, 1)
    assert outputs.terms["boundary_logits"].shape == (1, 2, 256)
    assert outputs.valid_mask.shape == (1, 256)
    losses = model.losses(outputs, data, tuple(CONFIG.phases()[0].loss_weights))
    torch.stack(list(losses.values())).sum().backward()
    assert all(float(loss.detach()) > 0 for loss in losses.values())
    unreached = {n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    assert unreached == {"roi_trunk.0.weight", "roi_trunk.0.bias"}
    assert all(torch.equal(a, b) for a, b in zip(before, model.buffers(), strict=True))


def test_without_a_checkpoint_the_map_tells_places_apart(model: PbrNet) -> None:
    """Its batch normalisation does nothing, so the scale is up to the weights; PyTorch's own starts leave 0.00001."""
    with torch.no_grad():
        shared = model.train()(clips()).terms["map"][:, :, :8]
    assert 0.1 < float(shared.std()) < 3.0
    assert float(shared.std(dim=2).mean()) > 0.01


def test_regions_are_counted_in_frames(model: PbrNet) -> None:
    outputs = model.train()(clips())
    view = outputs.rois
    assert view is not None
    assert view.labels is not None
    assert view.matched_gt is not None
    assert model.samples_per_cell == 8
    assert torch.equal(view.rois[:, 1:], outputs.terms["rpd_references"][0])
    assert 40 < view.rois[:, 2].max() <= 60
    assert {tuple(s) for s in view.matched_gt[view.labels > 0].tolist()} <= {(10.0, 30.0), (20.0, 59.0)}
    cells = outputs.terms["map"][0, :, 2:5, 0, 0].amax(dim=1)  # frames 17 to 31: cells 2 to 4
    assert torch.equal(model.pool(outputs, torch.tensor([[0.0, 17.0, 31.0]])).feats, cells[None])


def test_frames_of_0_to_255_become_0_to_1(model: PbrNet) -> None:
    data = clips()
    assert data.frames is not None
    _, clip = model.stem(data)
    assert torch.allclose(clip, data.frames / 255)
    _, again = model.stem(dataclasses.replace(data, frames=data.frames.float()))
    assert torch.equal(clip, again)


def test_the_published_size_needs_no_averaging() -> None:
    """96 pixels: three strided convolutions leave 12 x 12, which the release averages 4 x 4."""
    torch.manual_seed(0)
    branch = ClipBranch(width=4, space=3)
    clip = torch.rand(1, 3, 16, 96, 96)
    x = torch.relu(branch.convs[1](torch.relu(branch.convs[0](clip))))
    expected = F.avg_pool3d(branch.convs[2](x), (1, 4, 4))
    found = branch(clip)
    assert found.shape == (1, 4, 256, 3, 3)
    assert torch.allclose(found[:, :, :16], expected, atol=1e-6)
    assert not found[:, :, 16:].any()


def test_frames_that_do_not_fit_are_refused(model: PbrNet) -> None:
    data = clips()
    assert data.frames is not None
    with pytest.raises(ValueError, match="reads frames"):
        model(dataclasses.replace(data, frames=None))
    for bad in (data.frames[:, :2], data.frames[0]):
        with pytest.raises(ValueError, match=r"takes \(B, 3, T, H, W\)"):
            model(dataclasses.replace(data, frames=bad))


def test_weights_of_the_backbone_come_from_a_file(tmp_path: Path) -> None:
    torch.manual_seed(3)
    saved = I3D()
    path = tmp_path / "i3d.pt"
    torch.save(saved.state_dict(), path)
    config = dataclasses.replace(CONFIG, backbone=Backbone(weights=str(path)))
    config.check_data(None, tmp_path)
    state = config.build(feat_dim=0, num_classes=3).stem.i3d.state_dict()
    assert all(torch.equal(state[name], value) for name, value in saved.state_dict().items())
    path.unlink()
    with pytest.raises(ValueError, match=r"backbone\.weights: no file .*i3d\.pt"):
        config.check_data(None, tmp_path)


def test_windows_are_those_of_the_release() -> None:
    """256 frames at 10 per second, overlapping by 224, both ways; 9 tenths of an instance inside and 4 frames long."""
    sampling = Config().sampling()
    assert (sampling.train, sampling.test, sampling.length) == ("window", "window", 256)
    assert sampling.window_stride == (32, 128)
    assert sampling.both_ways
    assert (sampling.keep_ratio, sampling.min_inside, sampling.min_target) == (0.9, 0.9, 4.0)
    assert sampling.frames == FrameInput(10.0, (112, 112), (96, 96), train_sides=(96, 128))
    assert Features().sampling() == dataclasses.replace(
        sampling, length=32, window_stride=(4, 16), min_target=0.5, frames=None
    )
    with pytest.raises(ValueError, match=r"frames\.crop: \(96, 96\) must be from 1 pixel"):
        Frames(size=(64, 64))
    with pytest.raises(ValueError, match=r"frames\.train_sides: \(64, 80\) must be \(least, below\)"):
        Frames(train_sides=(64, 80))
