"""Settings that detectors of two X3D streams share. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from trainables.config import param
from trainables.detectors.x3d.settings import FramesConfig, FramesOptim


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

    optim: StageTwoOptim = StageTwoOptim()
    clip_length: int = param(
        64, "samples of a training clip; shorter videos are completed with their last frame, which is not learnt from",
        bounds=(1, None), source="kkahatapitiya/Coarse-Fine-Networks:train_coarse_fineFEAT.py",
    )  # fmt: skip
