"""Configuration of PBRNet on pre-extracted features. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, Literal

from trainables.config import Sampling, param
from trainables.detectors.pbrnet.settings import Settings


@dataclass(frozen=True)
class Config(Settings):
    """PBRNet with pre-extracted features in the place of I3D's map.

    There is no space (every kernel keeps its extent in time alone), a sample counts as 8 frames, and the frame level
    reads the features stretched eightfold in time where it would read the raw clip.
    """

    key: ClassVar[str] = "pbrnet"
    paper: ClassVar[str] = "three_birds"
    supervision: ClassVar[Literal["none", "video_labels", "segments"]] = "segments"
    inputs: ClassVar[str] = "feats"
    views: ClassVar[tuple[str, ...]] = ("rois",)

    roi_parts: int = param(4, "a region is pooled to so many parts in time, for auxiliary tasks", bounds=(1, None))

    def sampling(self) -> Sampling:
        """Overlapping windows."""
        return self.windows(samples_per_cell=1)

    def build(self, *, feat_dim: int, num_classes: int) -> Any:
        """The module."""
        stem = import_module("trainables.detectors.pbrnet.stem").FeatureStem(feat_dim, parts=self.roi_parts)
        return import_module("trainables.detectors.pbrnet.model").PbrNet(
            stem=stem, num_classes=num_classes, net=self.net, match=self.match
        )
