"""Configuration of PBRNet on frames. Imports no torch.

The data set says at which rate frames are taken and how large they are; the release takes 10 per second and 96 x 96
pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Literal

from trainables.config import Sampling, param
from trainables.detectors.pbrnet.settings import FRAMES_PER_CELL, Settings


@dataclass(frozen=True)
class Backbone:
    """I3D up to Mixed_5c."""

    weights: str | None = param(
        None, "file of an I3D checkpoint (Kinetics); null = random weights", source="Qinying-Liu/PBRNet:main.py"
    )
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

    backbone: Backbone = Backbone()

    def check_data(self, dataset: Any, data_root: Path) -> None:
        """Refuse a checkpoint that is not there, before any worker starts.

        Raises:
            ValueError: no such file.
        """
        weights = self.backbone.weights
        if weights is not None and not Path(weights).is_file():
            raise ValueError(
                f"backbone.weights: no file {weights}; give the path of an I3D checkpoint, or null for random weights"
            )

    def sampling(self) -> Sampling:
        """Overlapping windows."""
        return self.windows(FRAMES_PER_CELL)

    def build(self, *, feat_dim: int, num_classes: int) -> Any:
        """The module; ``feat_dim`` is of no meaning here."""
        stem = import_module("trainables.detectors.pbrnet_frames.stem").ClipStem(
            space=self.backbone.space, weights=self.backbone.weights
        )
        return import_module("trainables.detectors.pbrnet.model").PbrNet(
            stem=stem, num_classes=num_classes, clip=self.clip, net=self.net, match=self.match
        )
