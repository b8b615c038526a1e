"""Configuration of SlowFast_det. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, Literal

from trainables.config import param
from trainables.detectors.x3d.settings import NORMALISATIONS
from trainables.detectors.x3d.two_streams import Stream, TwoStreamsConfig

_SLOWFAST = "SlowFast (arXiv:1812.03982)"


@dataclass(frozen=True)
class Fast(Stream):
    """The stream of every frame."""


@dataclass(frozen=True)
class Slow(Stream):
    """The stream of every alpha-th frame; of a checkpoint it takes what reads its own channels."""


@dataclass(frozen=True)
class Config(TwoStreamsConfig):
    """X3D on every frame and X3D on every alpha-th one."""

    key: ClassVar[str] = "slowfast_det"
    streams: ClassVar[tuple[str, str]] = ("fast", "slow")

    fast: Fast = Fast()
    slow: Slow = Slow()
    alpha: Literal[2, 4, 8] = param(
        4, "fast frames for each slow one", symbol="alpha", choices=(2, 4, 8), source=f"ours; {_SLOWFAST}"
    )
    kernel_t: Literal[3, 5, 7] = param(
        5, "fast frames that a lateral connection sees", choices=(3, 5, 7), source=f"{_SLOWFAST}, 3.3"
    )
    ratio: Literal[1, 2] = param(
        2, "channels that it hands over for each fast one", choices=(1, 2), source=f"{_SLOWFAST}, 3.3"
    )

    def build(self, *, feat_dim: int, num_classes: int) -> Any:
        """The module; ``feat_dim`` is that of no features."""
        mean, std = NORMALISATIONS[self.frames.normalisation]
        inner = import_module("trainables.detectors.slowfast_det.model").build_network(self, num_classes)
        network = import_module("trainables.detectors.x3d.on_frames").OnFrames(
            inner, mean=mean, std=std, part_length=self.part_length
        )
        return import_module("trainables.detectors.frame_level.model").FrameLevelDetector(network, "frames")
