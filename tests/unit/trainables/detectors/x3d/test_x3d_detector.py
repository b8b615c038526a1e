"""The detector `x3d`: settings, weights from checkpoints, and what a phase trains."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from trainables.backbones.x3d import X3D
from trainables.config import FrameInput, Sampling
from trainables.detectors.frame_level.model import FrameLevelDetector
from trainables.detectors.x3d.config import Config
from trainables.detectors.x3d.settings import Backbone, Frames
from trainables.detectors.x3d.weights import open_trunk, open_x3d
from trainables.entrypoints.checkpoint import save_checkpoint
from trainables.entrypoints.optimizer import make_optimizer
from trainables.records import Batch

SMALL = Backbone(width=1.0, depth=1.0, fc1=16)
CONFIG = Config(backbone=SMALL)


def build(config: Config = CONFIG, num_classes: int = 3, seed: int = 0) -> FrameLevelDetector:
    torch.manual_seed(seed)
    built = config.build(feat_dim=3, num_classes=num_classes)
    assert isinstance(built, FrameLevelDetector)
    return built


def clips(valid: tuple[int, ...] = (6, 4)) -> Batch:
    shape = (len(valid), 3, max(valid), 32, 32)
    generator = torch.Generator().manual_seed(0)
    return Batch(
        video_ids=tuple("abcdef"[: len(valid)]),
        valid_mask=torch.arange(max(valid)) < torch.tensor(valid)[:, None],
        seconds_per_sample=torch.full((len(valid),), 0.4, dtype=torch.float64),
        start_s=torch.zeros(len(valid), dtype=torch.float64),
        frames=torch.randint(0, 256, shape, generator=generator).to(torch.uint8),
        frame_labels=torch.randint(0, 2, (len(valid), max(valid), 3), generator=generator).float(),
    )


def trial_state(config: Config, num_classes: int, path: Path, seed: int = 1) -> FrameLevelDetector:
    """The checkpoint that a trial with a task would leave."""
    detector = build(config, num_classes, seed)
    with torch.no_grad():
        for buffer in detector.buffers():
            if buffer.is_floating_point():
                buffer.add_(0.25)
    modules = nn.ModuleDict({"detector": detector, "task_other": nn.Linear(2, 2)})
    save_checkpoint(path, 3, modules.state_dict(), "train", None)
    return detector


def same(a: nn.Module, b: nn.Module) -> bool:
    theirs = b.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in a.state_dict().items())


def test_samples_are_every_tenth_frame_at_224_pixels() -> None:
    frames = FrameInput(24.0, 224, (224, 224), mirror=True, train_short_sides=(256, 320))
    assert Config().sampling() == Sampling("clip", "native", 16, stride=10, frames=frames)
    (phase,) = Config().phases()
    assert (phase.optimizer, phase.lr, phase.momentum, phase.weight_decay) == ("sgd", 0.02, 0.9, 1e-5)
    assert (phase.epochs, phase.lr_milestones, phase.lr_factor) == (100, (80,), 0.1)
    assert phase.loss_weights == {"loc": 0.5, "cls": 0.5}
    assert Config().batch_size == 16
    with pytest.raises(ValueError, match=r"frames\.crop: \(224, 224\) must be from 1 pixel to size 200"):
        Frames(size=200)


def test_weights_come_from_a_trial_and_its_classifier_stays_behind(tmp_path: Path) -> None:
    left = trial_state(CONFIG, 5, tmp_path / "c.pt")
    taken = build(replace(CONFIG, weights=str(tmp_path / "c.pt")), num_classes=3)
    assert same(taken.get_submodule("network.inner.backbone"), left.get_submodule("network.inner.backbone"))
    assert not same(build().get_submodule("network.inner.backbone"), left.get_submodule("network.inner.backbone"))
    fc2 = taken.get_submodule("network.inner.fc2.linear")
    assert isinstance(fc2, nn.Linear)
    assert fc2.weight.shape == (3, 16)
    trunk = open_trunk(SMALL, str(tmp_path / "c.pt"))
    assert "fc1" not in dict(trunk.named_children()) and "fc1" not in trunk.endpoints
    assert same(trunk, left.get_submodule("network.inner.backbone"))
    assert trunk(torch.rand(1, 3, 2, 32, 32)).shape == (1, trunk.endpoints["conv5"].channels, 2, 1, 1)


def test_weights_of_another_size_are_refused(tmp_path: Path) -> None:
    trial_state(CONFIG, 3, tmp_path / "c.pt")
    with pytest.raises(ValueError, match=r"does not fit X3D in layout 'x3d_trial'; nothing was loaded"):
        open_x3d(replace(SMALL, fc1=32), str(tmp_path / "c.pt"))
    with pytest.raises(ValueError, match=r"weights: no file .*nothing\.pt; give the path of an X3D checkpoint"):
        Config(weights=str(tmp_path / "nothing.pt")).check_data(None, tmp_path)


def test_a_network_without_the_first_shortcut_norm_is_opened_as_it_is(tmp_path: Path) -> None:
    other = X3D(width=1.0, depth=1.0, fc1_channels=16, res2_shortcut_bn=False)
    prefix = "detector.network.inner.backbone."
    save_checkpoint(tmp_path / "c.pt", 1, {prefix + k: v for k, v in other.state_dict().items()}, "train", None)
    opened = open_x3d(SMALL, str(tmp_path / "c.pt"))
    assert opened.state_dict().keys() == other.state_dict().keys()
    assert same(opened, other)


@pytest.mark.parametrize("factor", [0.0, 0.1, 1.0])
def test_the_backbone_learns_at_its_own_rate_or_not_at_all(factor: float) -> None:
    config = replace(CONFIG, backbone_lr_mult=factor)
    detector, (phase,) = build(config), config.phases()
    optimizer = make_optimizer(nn.ModuleDict({"detector": detector}), phase)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in detector.named_parameters():
        wanted = 0.02 * (factor if ".backbone." in name else 1.0)
        assert rates.get(id(parameter), 0.0) == pytest.approx(wanted), name
        assert parameter.requires_grad == (wanted > 0)


def _losses(detector: FrameLevelDetector, batch: Batch) -> dict[str, Tensor]:
    return dict(detector.losses(detector(batch), batch, ("loc", "cls")))


def test_everything_learns_and_padding_is_not_learnt_from() -> None:
    detector, batch = build(replace(CONFIG, dropout=0.0)).train(), clips()
    torch.stack(list(_losses(detector, batch).values())).sum().backward()
    assert not [n for n, p in detector.named_parameters() if p.grad is None or not p.grad.any()]
    labels = batch.frame_labels
    assert labels is not None
    other = replace(batch, frame_labels=torch.where(batch.valid_mask[..., None], labels, 1 - labels))
    detector.eval()
    for name, value in _losses(detector, other).items():
        assert torch.equal(value, _losses(detector, batch)[name]), name


def test_a_batch_without_frames_is_refused() -> None:
    with pytest.raises(ValueError, match="reads frames; the batch has none"):
        build()(replace(clips(), frames=None))


def test_presets_are_published_recipes() -> None:
    fine: dict[str, Any] = dict(Config.presets["fine"])
    assert (fine["clip_length"], fine["optim.lr"], fine["optim.batch_size"]) == (64, 0.01, 8)
    assert Config.presets["multithumos"] == {"frames.fps": 30.0}
