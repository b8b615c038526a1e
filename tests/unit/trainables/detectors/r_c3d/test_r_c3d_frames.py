"""R-C3D on frames: the shared map, checkpoints, frozen layers, recomputation, precision."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from trainables.backbones.c3d import C3D
from trainables.config import FrameInput
from trainables.detectors.r_c3d.heads import RoiTrunk
from trainables.detectors.r_c3d.settings import Anchors, Rpn, Trunk
from trainables.detectors.r_c3d_frames.backbone import C3DMap
from trainables.detectors.r_c3d_frames.config import Backbone, Config, Frames
from trainables.detectors.r_c3d_frames.model import load_weights
from trainables.entrypoints.optimizer import make_optimizer
from trainables.records import Batch, SegmentTargets

CONFIG = Config(anchors=Anchors(scales=(1.0, 2.0)), rpn=Rpn(width=8), trunk=Trunk(width=8))


def batch(num_frames: int = 32, real: int = 32, side: int = 16) -> Batch:
    torch.manual_seed(2)
    return Batch(
        video_ids=("a",),
        valid_mask=(torch.arange(num_frames) < real)[None],
        seconds_per_sample=torch.full((1,), 0.04).double(),
        start_s=torch.zeros(1).double(),
        frames=torch.randint(0, 256, (1, 3, num_frames, side, side), dtype=torch.uint8),
        segments=(SegmentTargets(torch.tensor([[4.0, 18.0]]), torch.tensor([1])),),
    )


@pytest.fixture(scope="module")
def shared_map() -> C3DMap:
    torch.manual_seed(0)
    return C3DMap(recompute=False, precision="float32")


def test_golden_size(shared_map: C3DMap) -> None:
    assert sum(p.numel() for p in shared_map.parameters()) == 27_655_936


def test_random_weights_keep_the_scale_of_what_they_see() -> None:
    """From pixels to conv5b; PyTorch's own starts leave a twentieth of what distinguishes one place from another."""
    torch.manual_seed(1)
    found = C3DMap(recompute=False, precision="float32")
    seen: dict[str, float] = {}

    def note(name: str) -> Any:
        return lambda _, __, output: seen.__setitem__(name, float(output.std(dim=(2, 3, 4)).mean()))

    hooks = [layer.register_forward_hook(note(name)) for name, layer in found.c3d.named_children()]
    with torch.no_grad():
        found(batch(side=32))
    assert len(hooks) == len(seen) == 12
    assert all(0.5 < deviation < 2.0 for deviation in seen.values()), seen
    assert not found.c3d.conv5b.bias.any()  # type: ignore[union-attr, operator]


def test_frames_are_bgr_without_the_means(shared_map: C3DMap) -> None:
    data = batch(16)
    assert data.frames is not None
    frames = data.frames.float()
    means = torch.tensor([90.0, 98.0, 102.0])
    given = torch.stack([frames[:, 2 - channel] - means[channel] for channel in range(3)], dim=1)
    with torch.no_grad():
        torch.testing.assert_close(shared_map(data), shared_map.c3d(given), rtol=0, atol=0)


def test_a_short_clip_goes_on_with_its_last_frame(shared_map: C3DMap) -> None:
    data = batch(21, real=13)
    assert data.frames is not None
    repeated = torch.cat([data.frames[:, :, :13], data.frames[:, :, 12:13].expand(-1, -1, 11, -1, -1)], dim=2)
    whole = dataclasses.replace(data, frames=repeated, valid_mask=torch.ones(1, 24, dtype=torch.bool))
    with torch.no_grad():
        found = shared_map(data)
        assert found.shape == (1, 512, 3, 1, 1)
        assert torch.equal(found, shared_map(whole))


def gradients(shared_map: C3DMap) -> tuple[Tensor, dict[str, Tensor]]:
    shared_map.zero_grad()
    output = shared_map.train()(batch())
    output.square().sum().backward()
    return output.detach(), {n: p.grad.clone() for n, p in shared_map.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("stretch", [6, 32, 96])
def test_recomputation_changes_no_gradient(shared_map: C3DMap, stretch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainables.detectors.r_c3d_frames.backbone.STRETCH", stretch)
    again = C3DMap(recompute=True, precision="float32")
    again.load_state_dict(shared_map.state_dict())
    (output, expected), (same, found) = gradients(shared_map), gradients(again)
    torch.testing.assert_close(same, output, rtol=1e-4, atol=1e-6)
    assert found.keys() == expected.keys() == dict(shared_map.named_parameters()).keys()
    for name in expected:
        assert float((found[name] - expected[name]).norm()) <= 1e-4 * float(expected[name].norm()), name


def test_reduced_precision_stays_near_and_hands_on_float32(shared_map: C3DMap) -> None:
    reduced = C3DMap(recompute=True, precision="bfloat16")
    reduced.load_state_dict(shared_map.state_dict())
    with torch.no_grad():
        exact, rough = shared_map(batch()), reduced(batch())
    assert rough.dtype == torch.float32
    assert not torch.equal(exact, rough)
    assert float((exact - rough).norm() / exact.norm()) < 0.02


def test_reduced_precision_holds_from_the_first_stage_to_the_last(shared_map: C3DMap) -> None:
    """No copy in float32 in between, which would take the memory that it saves."""
    reduced = C3DMap(recompute=False, precision="bfloat16")
    reduced.load_state_dict(shared_map.state_dict())
    seen: list[torch.dtype] = []
    for layer in reduced.c3d.children():
        layer.register_forward_hook(lambda _, __, output: seen.append(output.dtype))
    reduced(batch())
    assert seen == [torch.bfloat16] * 12


def test_a_detector_in_reduced_precision_learns() -> None:
    torch.manual_seed(0)
    config = dataclasses.replace(CONFIG, backbone=Backbone(precision="bfloat16", recompute=True))
    model = config.build(feat_dim=3, num_classes=2).train()
    data = batch()
    losses = model.losses(model(data), data, ("rpn_class", "rpn_offset", "roi_class", "roi_offset"))
    sum(losses.values()).backward()
    assert all(loss.dtype == torch.float32 and torch.isfinite(loss) for loss in losses.values())
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


def test_losses_in_reduced_precision_are_those_of_float32_but_for_rounding() -> None:
    torch.manual_seed(0)
    exact = CONFIG.build(feat_dim=3, num_classes=2).train()
    rough = (
        dataclasses.replace(CONFIG, backbone=Backbone(precision="bfloat16")).build(feat_dim=3, num_classes=2).train()
    )
    rough.load_state_dict(exact.state_dict())
    found = []
    for model in (exact, rough):
        torch.manual_seed(3)
        data = batch()
        losses = model.losses(model(data), data, ("rpn_class", "rpn_offset", "roi_class", "roi_offset"))
        found.append(torch.stack([losses[name] for name in sorted(losses)]))
    torch.testing.assert_close(found[1], found[0], rtol=0.01, atol=1e-4)
    assert not torch.equal(found[1], found[0])


@pytest.mark.parametrize(("freeze", "frozen"), [(0, set()), (1, {"conv1a"}), (2, {"conv1a", "conv2a"})])
def test_frozen_convolutions(freeze: Any, frozen: set[str]) -> None:
    config = dataclasses.replace(CONFIG, backbone=Backbone(freeze=freeze))
    (phase,) = config.phases()
    model = nn.Module()
    model.backbone = nn.Module()
    model.backbone.c3d = nn.ModuleDict({name: nn.Linear(1, 1) for name in ("conv1a", "conv2a", "conv3a")})
    make_optimizer(nn.ModuleDict({"detector": model}), phase)
    found = {name.split(".")[2] for name, p in model.named_parameters() if not p.requires_grad}
    assert found == frozen


def checkpoint(path: Path, *, fc: bool) -> dict[str, Tensor]:
    """A file in the layout of DavideA/c3d-pytorch; every tensor repeats one number, so that the file is small."""
    sizes = {
        name.replace("conv1a", "conv1").replace("conv2a", "conv2"): p.shape for name, p in C3D().named_parameters()
    }
    if fc:
        shapes = {"fc6": (4096, 8192), "fc7": (4096, 4096), "fc8": (487, 4096)}
        sizes |= {f"{n}.weight": torch.Size(s) for n, s in shapes.items()}
        sizes |= {f"{n}.bias": torch.Size(s[:1]) for n, s in shapes.items()}
    state = {name: torch.full((1,), float(k + 1)).expand(size) for k, (name, size) in enumerate(sizes.items())}
    torch.save(state, path)
    return state


def test_a_checkpoint_fills_the_convolutions_and_the_trunk(tmp_path: Path) -> None:
    state = checkpoint(tmp_path / "sports1m.pt", fc=True)
    convolutions, trunk = C3D(), RoiTrunk(in_features=8192, width=4096, layers=2, dropout=0.0)
    assert load_weights(tmp_path / "sports1m.pt", convolutions, trunk) == ("fc6", "fc7")
    for name, layer in {"conv1": convolutions.conv1a, "conv5b": convolutions.conv5b}.items():
        assert torch.equal(layer.weight, state[f"{name}.weight"])  # type: ignore[arg-type]
        assert torch.equal(layer.bias, state[f"{name}.bias"])  # type: ignore[arg-type]
    assert torch.equal(trunk.fc6.weight, state["fc6.weight"])
    assert trunk.fc7 is not None
    assert torch.equal(trunk.fc7.bias, state["fc7.bias"])


def test_a_checkpoint_without_classifier_fills_the_convolutions_alone(tmp_path: Path) -> None:
    checkpoint(tmp_path / "convs.pt", fc=False)
    trunk = RoiTrunk(in_features=8192, width=16, layers=1, dropout=0.0)
    before = {name: tensor.clone() for name, tensor in trunk.state_dict().items()}
    convolutions = C3D()
    assert load_weights(tmp_path / "convs.pt", convolutions, trunk) == ()
    assert len(convolutions.conv1a.weight.unique()) == 1  # type: ignore[operator, union-attr]
    assert all(torch.equal(before[name], tensor) for name, tensor in trunk.state_dict().items())


def test_windows_of_the_paper() -> None:
    sampling = Config().sampling()
    assert (sampling.train, sampling.test, sampling.length, sampling.window_stride) == (
        "window",
        "window",
        768,
        (192,) * 2,
    )
    assert (sampling.keep_ratio, sampling.min_inside, sampling.min_target, sampling.both_ways) == (0.7, 0.7, 3, True)
    assert sampling.frames == FrameInput(25.0, (128, 171), (112, 112), mirror=True)


def test_bad_values_are_refused(shared_map: C3DMap, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"backbone\.weights: no file nowhere\.pt; give the path of a C3D checkpoint"):
        Config(backbone=Backbone(weights="nowhere.pt")).check_data(None, tmp_path)
    Config().check_data(None, tmp_path)
    with pytest.raises(ValueError, match=r"frames\.crop: \(8, 112\); C3D takes 16 x 16 pixels or more"):
        Frames(crop=(8, 112))
    with pytest.raises(ValueError, match=r"frames\.crop: \(112, 112\) must be from 1 pixel to size \(64, 64\)"):
        Frames(size=(64, 64))
    with pytest.raises(ValueError, match="reads frames; the batch has none"):
        shared_map(dataclasses.replace(batch(), frames=None))
    with pytest.raises(ValueError, match=r"takes \(B, 3, F, H, W\), got \(1, 2, 8, 16, 16\)"):
        shared_map(dataclasses.replace(batch(8, 8), frames=torch.zeros(1, 2, 8, 16, 16)))
    with pytest.raises(ValueError, match="8 x 8 pixels; C3D takes 16 x 16 or more"):
        shared_map(batch(8, 8, side=8))
