"""Configuration of R-C3D on pre-extracted features. Imports no torch.

The shared map is the features themselves (one feature a cell, height and width 1): no backbone is trained. Lengths of
anchors, windows and the shortest proposal therefore count features. What the papers say of frames is in
:mod:`trainables.detectors.r_c3d.settings`; the defaults below are ours where they differ, for videos of up to a few
hundred features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, ClassVar, Literal

from trainables.config import Phase, Sampling, param
from trainables.detectors.r_c3d.published import ON_FEATURES
from trainables.detectors.r_c3d.settings import Infer, Optim, Settings, Trunk, Window


@dataclass(frozen=True)
class Config(Settings):
    """R-C3D whose shared map is given."""

    key: ClassVar[str] = "r_c3d"
    paper: ClassVar[str] = "three_birds"
    supervision: ClassVar[Literal["none", "video_labels", "segments"]] = "segments"
    inputs: ClassVar[str] = "feats"
    views: ClassVar[tuple[str, ...]] = ("rois",)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = ON_FEATURES

    trunk: Trunk = field(default=Trunk(width=512))
    optim: Optim = field(default=Optim(optimizer="adam", lr=1e-3, epochs=20, lr_decay_epoch=15, batch_size=4))
    window: Window = field(default=Window(length=128, stride_train=64, stride_test=64, min_target=0.0))
    infer: Infer = field(default=Infer(video_nms=0.4))
    pool_bins: int = param(
        4, "parts of a region, each of which keeps the maximum of its features", choices=(2, 4, 8), bounds=(1, 64),
        source="ours",
    )  # fmt: skip

    def sampling(self) -> Sampling:
        """Overlapping windows."""
        return self.windows()

    def phases(self) -> tuple[Phase, ...]:
        """One phase."""
        return self.recipe()

    def build(self, *, feat_dim: int, num_classes: int) -> Any:
        """The module."""
        return import_module("trainables.detectors.r_c3d.model").RC3D(
            shared_map=import_module("trainables.detectors.r_c3d.feature_map").FeatureMap(feat_dim),
            num_classes=num_classes,
            bins=(self.pool_bins, 1, 1),
            **self.parts(),
        )
