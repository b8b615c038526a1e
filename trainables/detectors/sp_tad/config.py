"""Configuration of SP-TAD on pre-extracted features. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Literal

from trainables.config import Phase, Sampling, param
from trainables.detectors.sp_tad.settings import Settings


@dataclass(frozen=True)
class Config(Settings):
    """SP-TAD behind a frozen backbone.

    Features of one kind stand for all three backbone stages: the first is the features themselves, the second and third
    are their means over 2 and 4 samples. A clip of 128 samples then has the published levels of 256 frames.
    """

    key: ClassVar[str] = "sp_tad"
    paper: ClassVar[str] = "sp_tad"
    supervision: ClassVar[Literal["none", "video_labels", "segments"]] = "segments"
    inputs: ClassVar[str] = "feats"
    views: ClassVar[tuple[str, ...]] = ("feats", "rois")

    clip_length: int = param(
        128, "samples of a clip", symbol="T", choices=(112, 128, 144, 160), bounds=(1, None),
        source="4.1, Table 8: 256 frames, 128 cells of the finest level",
    )  # fmt: skip
    train_stride: int = param(
        15, "samples from one training clip to the next", search=(5, 32), bounds=(1, None),
        source="TencentYoutuResearch/ActionDetection-AFSD: 30 frames",
    )  # fmt: skip
    stages: Literal["one", "i3d"] = param(
        "one", "what a feature is: anything, or 8 frames of the three I3D stages side by side", source="ours"
    )

    def check_data(self, dataset: Any, data_root: Path) -> None:
        """Refuse features that are no stages where stages are wanted, before any worker starts.

        Raises:
            ValueError: they have another number of channels.
        """
        if self.stages == "i3d":
            import_module("trainables.detectors.sp_tad.stem").count_streams(dataset.open(data_root).feat_dim)

    def sampling(self) -> Sampling:
        """Overlapping clips."""
        return self.clips(self.clip_length, self.train_stride)

    def phases(self) -> tuple[Phase, ...]:
        """One phase."""
        return self.recipe()

    def build(self, *, feat_dim: int, num_classes: int) -> Any:
        """The module."""
        stem = import_module("trainables.detectors.sp_tad.stem")
        make = stem.FeatureStem if self.stages == "one" else stem.StageStem
        return import_module("trainables.detectors.sp_tad.model").SpTad(
            stem=make(feat_dim), num_classes=num_classes, settings=self
        )
