"""Configuration of R-C3D on frames. Imports no torch.

The shared map is C3D's conv5b: one cell covers 8 frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Literal

from trainables.config import FrameInput, Phase, Sampling, param, require_checkpoint
from trainables.detectors.r_c3d.published import ON_FRAMES
from trainables.detectors.r_c3d.settings import Settings

_RELEASE = "VisionLearningGroup/R-C3D"

#: Four poolings halve a side each.
_LEAST_SIDE = 16

#: Convolutions nearest to the frames, which may stay as the checkpoint has them.
_FREEZABLE = ("backbone.c3d.conv1a.", "backbone.c3d.conv2a.")


@dataclass(frozen=True)
class Backbone:
    """C3D from conv1a to conv5b."""

    weights: str | None = param(
        None, "file of a C3D checkpoint (Sports-1M or fine-tuned), null = random weights (He et al. 2015); fc6 and fc7 "
        "start the trunk where it has their width",
        source="3.3",
    )  # fmt: skip
    freeze: Literal[0, 1, 2] = param(
        0, "first convolutions that are not trained; ActivityNet, Charades: 2", choices=(0, 1, 2),
        source=f"4.2, 4.3; {_RELEASE}:experiments/*/train.prototxt",
    )  # fmt: skip
    recompute: bool = param(
        False, "keep only the output of every stage and compute the rest again in the backward pass", source="ours"
    )
    precision: Literal["float32", "bfloat16"] = param(
        "float32", "of the convolutions; weights and everything behind conv5b stay float32", source="ours"
    )


@dataclass(frozen=True)
class Frames:
    """How frames are taken from a video."""

    fps: float = param(
        25.0, "frames per second; ActivityNet: 3.125, Charades: 5", bounds=(1e-3, None), source=f"{_RELEASE}:preprocess"
    )
    size: tuple[int, int] = param(
        (128, 171), "height and width before a crop is cut out, pixels", source=f"{_RELEASE}:lib/utils/blob.py"
    )
    crop: tuple[int, int] = param(
        (112, 112), "height and width of it: the centre, in training a random place, one for each window",
        source=f"{_RELEASE}:lib/tdcnn/config.py",
    )  # fmt: skip
    mirror: bool = param(
        True, "in training half of the windows are mirrored; the release on THUMOS'14: none",
        source="sunnyxiaohu/R-C3D.pytorch:preprocess/thumos14; VisionLearningGroup/R-C3D:preprocess",
    )  # fmt: skip

    def __post_init__(self) -> None:
        if min(self.crop) < _LEAST_SIDE:
            raise ValueError(f"frames.crop: {self.crop}; C3D takes {_LEAST_SIDE} x {_LEAST_SIDE} pixels or more")
        self.input()

    def input(self) -> FrameInput:
        """For the data set."""
        return FrameInput(self.fps, self.size, self.crop, self.mirror)


@dataclass(frozen=True)
class Config(Settings):
    """R-C3D that learns from frames."""

    key: ClassVar[str] = "r_c3d_frames"
    paper: ClassVar[str] = "three_birds"
    supervision: ClassVar[Literal["none", "video_labels", "segments"]] = "segments"
    inputs: ClassVar[str] = "frames"
    views: ClassVar[tuple[str, ...]] = ("rois",)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = ON_FRAMES

    frames: Frames = Frames()
    backbone: Backbone = Backbone()
    pool_bins: Literal["1x4x4", "4x2x2"] = param(
        "1x4x4", "time x height x width of a pooled region", choices=("1x4x4", "4x2x2"),
        source=f"{_RELEASE}:experiments; 4x2x2: sunnyxiaohu/R-C3D.pytorch",
    )  # fmt: skip

    def check_data(self, dataset: Any, data_root: Path) -> None:
        """Refuse a checkpoint that is not there, before any worker starts.

        Raises:
            ValueError: no such file.
        """
        require_checkpoint("backbone.weights", self.backbone.weights, "a C3D")

    def sampling(self) -> Sampling:
        """Overlapping windows."""
        return self.windows(self.frames.input())

    def phases(self) -> tuple[Phase, ...]:
        """One phase."""
        return self.recipe(frozen=_FREEZABLE[: self.backbone.freeze])

    def build(self, *, feat_dim: int, num_classes: int) -> Any:
        """The module; ``feat_dim`` is that of no features."""
        return import_module("trainables.detectors.r_c3d_frames.model").build(
            backbone=self.backbone,
            num_classes=num_classes,
            bins=tuple(int(part) for part in self.pool_bins.split("x")),
            **self.parts(),
        )
