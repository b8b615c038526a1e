"""Configuration of Coarse-Fine. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from math import log2
from typing import Any, ClassVar

from trainables.config import Sampling, param
from trainables.detectors.x3d.settings import NORMALISATIONS
from trainables.detectors.x3d.two_streams import Stream, TwoStreamsConfig

_RELEASE = "kkahatapitiya/Coarse-Fine-Networks"
_COARSE_FINE = "Coarse-Fine Networks (arXiv:2103.01302)"


@dataclass(frozen=True)
class Fine(Stream):
    """The stream that sees every frame."""

    lr_mult: float = param(
        0.0, "factor of the learning rate of the stream; 0 = it stays as it is", bounds=(0.0, None),
        source=f"{_RELEASE}: features on disk",
    )  # fmt: skip
    length: int = param(
        128, "samples it sees: one random run of a longer video in training; at test longer videos are cut into such "
        "parts",
        bounds=(1, None), source=f"{_RELEASE}:charades_coarse_fineFEAT.py",
    )  # fmt: skip


@dataclass(frozen=True)
class Coarse(Stream):
    """The stream that chooses its frames."""

    alpha: float = param(
        1 / 4, "grid steps for each frame", symbol="alpha", choices=(1 / 2, 1 / 4, 1 / 8), source=f"{_COARSE_FINE}, 3.2"
    )
    grid_temp: float = param(
        0.5, "factor of the score of a step within its sigmoid", search=(0.1, 2.0), log=True, bounds=(1e-6, None),
        source=f"{_RELEASE}:x3d_coarse.py",
    )  # fmt: skip
    gauss_std_frac: float = param(
        1 / 8, "standard deviation of the alignment as a share of the fine frames", search=(1 / 32, 1 / 2), log=True,
        bounds=(1e-6, None), source=f"{_RELEASE}:x3d_coarse.py",
    )  # fmt: skip
    fusion_lr_mult: float = param(
        10.0, "factor of the learning rate of the layers between the streams", search=(1.0, 20.0), log=True,
        bounds=(1e-6, None), source=f"{_RELEASE}:train_coarse_fineFEAT.py",
    )  # fmt: skip

    @property
    def num_halvings(self) -> int:
        """How often the frames are halved to give the grid's steps."""
        return round(-log2(self.alpha))

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1 or 2.0**-self.num_halvings != self.alpha:
            raise ValueError(f"coarse.alpha: {self.alpha} must be 1/2, 1/4, 1/8 or a smaller power of 1/2")


@dataclass(frozen=True)
class Config(TwoStreamsConfig):
    """A coarse X3D on a clip, fed by a fine X3D on all that is around it."""

    key: ClassVar[str] = "coarse_fine"
    streams: ClassVar[tuple[str, str]] = ("fine", "coarse")

    clip_length: int = param(
        64, "samples of the coarse stream in training, a random run of those that the fine stream sees",
        bounds=(1, None), source=f"{_RELEASE}:train_coarse_fineFEAT.py",
    )  # fmt: skip
    fine: Fine = Fine()
    coarse: Coarse = Coarse()

    def __post_init__(self) -> None:
        if self.clip_length > self.fine.length:
            raise ValueError(
                f"clip_length: {self.clip_length} must not be above fine.length {self.fine.length}; the fine stream "
                "sees the clip and what is around it"
            )

    def sampling(self) -> Sampling:
        """What the fine stream sees in training, and whole videos."""
        return replace(super().sampling(), length=self.fine.length)

    def further_rates(self) -> Mapping[str, float]:
        """Of the layers between the streams."""
        return dict.fromkeys(("fusion", "logit_fusion"), self.coarse.fusion_lr_mult)

    def build(self, *, feat_dim: int, num_classes: int) -> Any:
        """The module; ``feat_dim`` is that of no features."""
        return import_module("trainables.detectors.coarse_fine.model").build(
            self, num_classes, NORMALISATIONS[self.frames.normalisation]
        )
