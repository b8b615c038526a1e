"""Configuration of SP-TAD on frames. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Literal

from trainables.config import FrameInput, Phase, Sampling, param, require_checkpoint
from trainables.detectors.sp_tad.settings import Settings

_AFSD = "TencentYoutuResearch/ActionDetection-AFSD"

#: Channels of a frame: red, green, blue; then the flow in x and in y.
_CHANNELS = {"rgb": 3, "rgb+flow": 5}


@dataclass(frozen=True)
class Frames:
    """How frames are taken from a video."""

    fps: float = param(
        10.0, "frames per second; a video of ActivityNet is one clip of 768 frames", bounds=(1e-3, None), source="4.1"
    )
    size: tuple[int, int] = param(
        (112, 112), "height and width before a crop is cut out, pixels", source=f"{_AFSD}:AFSD/common/video2npy.py"
    )
    crop: tuple[int, int] = param(
        (96, 96), "height and width of it: the centre, in training a random place, one for each clip", source="4.1"
    )
    mirror: bool = param(True, "in training half of the clips are mirrored", source="4.1")

    def __post_init__(self) -> None:
        self.input()

    def input(self) -> FrameInput:
        """For the data set."""
        return FrameInput(self.fps, self.size, self.crop, self.mirror)


@dataclass(frozen=True)
class Backbone:
    """I3D up to Mixed_5c, one for each stream."""

    weights: str | None = param(
        None, "file of an I3D checkpoint for RGB (Kinetics); null = random weights (He et al. 2015)", source="4.1"
    )
    flow_weights: str | None = param(None, "the same for flow", source="4.1")
    freeze_bn: bool = param(
        True, "batch normalisation stays as the checkpoint has it, statistics, scales and shifts",
        choices=(True, False), source=f"ours; {_AFSD}",
    )  # fmt: skip


@dataclass(frozen=True)
class Config(Settings):
    """SP-TAD that learns from frames, end to end."""

    key: ClassVar[str] = "sp_tad_frames"
    paper: ClassVar[str] = "sp_tad"
    supervision: ClassVar[Literal["none", "video_labels", "segments"]] = "segments"
    inputs: ClassVar[str] = "frames"
    views: ClassVar[tuple[str, ...]] = ("feats", "rois")

    clip_length: int = param(
        256, "frames of a clip, best a multiple of 16; ActivityNet: 768", symbol="T", choices=(224, 256, 288, 320),
        bounds=(1, None), source="4.1, Table 8",
    )  # fmt: skip
    train_stride: int = param(
        30, "frames from one training clip to the next", search=(10, 64), bounds=(1, None), source=_AFSD
    )
    streams: Literal["rgb", "rgb+flow"] = param(
        "rgb", "what is read of a video; the paper's results are those of rgb+flow, which needs data with flow",
        source="4.1, Table 3",
    )  # fmt: skip
    backbone_lr: float = param(
        1e-4, "learning rate of I3D; 0 = it stays as it is", choices=(0.0, 1e-6, 1e-5, 1e-4), bounds=(0.0, None),
        source="Table 4",
    )  # fmt: skip
    frames: Frames = Frames()
    backbone: Backbone = Backbone()

    def check_data(self, dataset: Any, data_root: Path) -> None:
        """Refuse data without flow where flow is wanted, and checkpoints that are not there, before any worker starts.

        Raises:
            ValueError: there is no flow, or no such file.
        """
        require_checkpoint("backbone.weights", self.backbone.weights, "an I3D")
        require_checkpoint("backbone.flow_weights", self.backbone.flow_weights, "an I3D")
        if self.streams == "rgb+flow":
            self._check_channels(dataset.open(data_root).feat_dim)

    def _check_channels(self, found: int) -> None:
        wanted = _CHANNELS[self.streams]
        if self.streams == "rgb+flow" and found != wanted:
            raise ValueError(
                f"streams: 'rgb+flow' reads frames of {wanted} channels (RGB, then flow in x and y), the data set has "
                f"{found}, no flow; set detector.streams: rgb"
            )

    def sampling(self) -> Sampling:
        """Overlapping clips."""
        return self.clips(self.clip_length, self.train_stride, self.frames.input())

    def phases(self) -> tuple[Phase, ...]:
        """One phase; I3D has a rate of its own, or is frozen."""
        if self.backbone_lr == 0:
            return self.recipe(frozen=("stem.",))
        return self.recipe(lr_multipliers={"stem.": self.backbone_lr / self.optim.lr})

    def build(self, *, feat_dim: int, num_classes: int) -> Any:
        """The module.

        Raises:
            ValueError: flow is wanted, and ``feat_dim``, the channels of a frame, are not those of RGB and flow.
        """
        self._check_channels(feat_dim)
        backbone = self.backbone
        stem = import_module("trainables.detectors.sp_tad_frames.stem").ClipStem(
            streams=tuple(self.streams.split("+")),
            weights={"rgb": backbone.weights, "flow": backbone.flow_weights},
            freeze_bn=backbone.freeze_bn,
        )
        return import_module("trainables.detectors.sp_tad.model").SpTad(
            stem=stem, num_classes=num_classes, settings=self
        )
