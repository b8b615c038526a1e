"""Settings that detectors of two X3D streams share. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from trainables.config import Phase, param, require_checkpoint
from trainables.detectors.x3d.settings import FramesConfig, FramesOptim, rates


@dataclass(frozen=True)
class Stream:
    """One of the two X3D."""

    weights: str | None = param(
        None, "file of a public X3D checkpoint, or the checkpoint of a trial of x3d; null = random weights",
        source="SSDet 4.2",
    )  # fmt: skip
    lr_mult: float = param(
        1.0, "factor of the learning rate of the stream; 0 = it stays as it is", bounds=(0.0, None), source="ours"
    )


@dataclass(frozen=True)
class StageTwoOptim(FramesOptim):
    """The recipe of the second of two stages, that of Coarse-Fine."""

    epochs: int = param(100, "passes over the training videos", bounds=(0, None), source="ours")
    lr_milestones: tuple[int, ...] = param(
        (30, 50, 70), "epochs after which it is divided by ten",
        source="kkahatapitiya/Coarse-Fine-Networks:train_coarse_fineFEAT.py",
    )  # fmt: skip
    batch_size: int = param(
        6, "clips per step, and videos at test", bounds=(1, None),
        source="kkahatapitiya/Coarse-Fine-Networks:train_coarse_fineFEAT.py",
    )  # fmt: skip


@dataclass(frozen=True)
class TwoStreamsConfig(FramesConfig):
    """Base of their ``Config``: long clips, and the recipe of the second stage."""

    #: fields that are a :class:`Stream`, named as the parts of the network are.
    streams: ClassVar[tuple[str, str]]

    optim: StageTwoOptim = StageTwoOptim()
    clip_length: int = param(
        64, "samples of a training clip; shorter videos are completed with their last frame, which is not learnt from",
        bounds=(1, None), source="kkahatapitiya/Coarse-Fine-Networks:train_coarse_fineFEAT.py",
    )  # fmt: skip

    def check_data(self, dataset: Any, data_root: Path) -> None:
        """Refuse checkpoints that are not there, before any worker starts.

        Raises:
            ValueError: no such file.
        """
        for name in self.streams:
            require_checkpoint(f"{name}.weights", getattr(self, name).weights, "an X3D")

    def phases(self) -> tuple[Phase, ...]:
        """One phase."""
        (phase,) = super().phases()
        factors = {name: getattr(self, name).lr_mult for name in self.streams} | dict(self.further_rates())
        multipliers, frozen = rates({f"network.inner.{part}.": factor for part, factor in factors.items()})
        return (replace(phase, lr_multipliers=multipliers, frozen=frozen),)

    def further_rates(self) -> Mapping[str, float]:
        """Part of the network beside the streams -> factor of the learning rate."""
        return {}
