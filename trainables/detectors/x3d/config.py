"""Configuration of X3D per frame. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from trainables.config import Phase, param, require_checkpoint
from trainables.detectors.frame_level.pretrain import Pretrain
from trainables.detectors.x3d.settings import NORMALISATIONS, FramesConfig, rates


@dataclass(frozen=True)
class ClipPretrain(Pretrain):
    """Learning from trimmed clips first."""

    stride: int = param(
        5, "frames from one sample to the next", bounds=(1, None),
        source="kkahatapitiya/SSDet:train_x3d_kinetics_multigrid.py",
    )  # fmt: skip
    backbone_lr_mult: float = param(
        1.0, "factor of the learning rate up to conv5", search=(0.05, 1.0), log=True, bounds=(1e-6, None),
        source="kkahatapitiya/SSDet:train_x3d_kinetics_multigrid.py means 0.1, which its warm-up overwrites",
    )  # fmt: skip


_PRETRAIN = ClipPretrain()


@dataclass(frozen=True)
class Config(FramesConfig):
    """X3D with a linear classifier on every frame."""

    key: ClassVar[str] = "x3d"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # SSDet 4.1; kkahatapitiya/SSDet:train_x3d_charades_loc.py
        "charades": {},
        # SSDet 4.1, the same recipe; THUMOS'14 has 30 frames per second
        "multithumos": {"frames.fps": 30.0},
        # the fine stream of kkahatapitiya/Coarse-Fine-Networks:train_fine.py
        "fine": {
            "clip_length": 64,
            "optim.lr": 0.01,
            "optim.batch_size": 8,
            "optim.epochs": 120,
            "optim.lr_milestones": (60, 80, 100),
        },
    }

    weights: str | None = param(
        None, "file of a public X3D checkpoint, or the checkpoint of another trial of x3d, whose classifier is not "
        "taken; null = random weights",
        source="SSDet 4.1",
    )  # fmt: skip
    backbone_lr_mult: float = param(
        1.0, "factor of the learning rate up to fc1; 0 = it stays as it is", bounds=(0.0, None), source="SSDet 4.1"
    )
    pretrain: ClipPretrain = _PRETRAIN

    def check_data(self, dataset: Any, data_root: Path) -> None:
        """Refuse a checkpoint that is not there, and data without trimmed clips for pretraining.

        Raises:
            ValueError: no such file, or no clips.
        """
        require_checkpoint("weights", self.weights, "an X3D")
        self.pretrain.check_data(dataset, data_root)

    def phases(self) -> tuple[Phase, ...]:
        """One phase, after pretraining if there is any: a random clip of every trimmed one."""
        (phase,) = super().phases()
        multipliers, frozen = rates({"network.inner.backbone.": self.backbone_lr_mult})
        detection = replace(phase, lr_multipliers=multipliers, frozen=frozen)
        clips = replace(self.sampling(), length=self.pretrain.length, stride=self.pretrain.stride)
        slower = {"network.inner.backbone.": self.pretrain.backbone_lr_mult, "network.inner.backbone.fc1.": 1.0}
        return self.pretrain.before((detection,), clips, slower)

    def build(self, *, feat_dim: int, num_classes: int) -> Any:
        """The module; ``feat_dim`` is that of no features."""
        backbone = import_module("trainables.detectors.x3d.weights").open_x3d(self.backbone, self.weights)
        inner = import_module("trainables.detectors.x3d.network").FrameX3D(backbone, num_classes, dropout=self.dropout)
        mean, std = NORMALISATIONS[self.frames.normalisation]
        network = import_module("trainables.detectors.x3d.on_frames").OnFrames(
            inner, mean=mean, std=std, part_length=self.part_length
        )
        return import_module("trainables.detectors.frame_level.model").FrameLevelDetector(network, "frames")
