"""Configuration of PBRNet on frames. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Literal

from trainables.config import FrameInput, Sampling, param, require_checkpoint
from trainables.detectors.pbrnet.settings import FRAMES_PER_CELL, Settings


@dataclass(frozen=True)
class Frames:
    """How frames are taken from a video."""

    fps: float = param(10.0, "frames per second", bounds=(1e-3, None), source="Qinying-Liu/PBRNet:config.py")
    size: tuple[int, int] = param(
        (112, 112), "height and width at test before the centre is cut out, pixels",
        source="ours: the middle of train_sides",
    )  # fmt: skip
    train_sides: tuple[int, int] | None = param(
        (96, 128), "in training height and width are drawn anew for every window, each from the first up to, not "
        "including, the second; null = size as at test",
        source="Qinying-Liu/PBRNet:dataset.py",
    )  # fmt: skip
    crop: tuple[int, int] = param(
        (96, 96), "height and width of it: the centre, in training a random place, one for each window",
        source="Qinying-Liu/PBRNet:config.py",
    )  # fmt: skip

    def __post_init__(self) -> None:
        self.input()

    def input(self) -> FrameInput:
        """For the data set; nothing is mirrored."""
        return FrameInput(self.fps, self.size, self.crop, train_sides=self.train_sides)


@dataclass(frozen=True)
class Backbone:
    """I3D up to Mixed_5c."""

    weights: str | None = param(
        None, "file of an I3D checkpoint (Kinetics); null = random weights (He et al. 2015)",
        source="Qinying-Liu/PBRNet:main.py",
    )  # fmt: skip
    space: int = param(
        3, "its map is brought to so many cells in height and in width; 96 pixels give 3", bounds=(1, None),
        source="Qinying-Liu/PBRNet:network.py",
    )  # fmt: skip


@dataclass(frozen=True)
class Config(Settings):
    """PBRNet that learns from frames, end to end; batch normalisation stays as the checkpoint has it."""

    key: ClassVar[str] = "pbrnet_frames"
    paper: ClassVar[str] = "three_birds"
    supervision: ClassVar[Literal["none", "video_labels", "segments"]] = "segments"
    inputs: ClassVar[str] = "frames"
    views: ClassVar[tuple[str, ...]] = ("rois",)

    frames: Frames = Frames()
    backbone: Backbone = Backbone()

    def check_data(self, dataset: Any, data_root: Path) -> None:
        """Refuse a checkpoint that is not there, before any worker starts.

        Raises:
            ValueError: no such file.
        """
        require_checkpoint("backbone.weights", self.backbone.weights, "an I3D")

    def sampling(self) -> Sampling:
        """Overlapping windows."""
        return self.windows(FRAMES_PER_CELL, self.frames.input())

    def build(self, *, feat_dim: int, num_classes: int) -> Any:
        """The module; ``feat_dim`` is of no meaning here."""
        stem = import_module("trainables.detectors.pbrnet_frames.stem").ClipStem(
            space=self.backbone.space, weights=self.backbone.weights
        )
        return import_module("trainables.detectors.pbrnet.model").PbrNet(
            stem=stem, num_classes=num_classes, net=self.net, match=self.match
        )
