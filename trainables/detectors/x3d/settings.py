"""Settings that detectors on X3D share. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from trainables.config import FrameInput, Phase, Sampling, param
from trainables.detectors.frame_level.settings import FrameLevelConfig, Loss, Optim

_RELEASE = "kkahatapitiya/SSDet"
_COARSE_FINE = "kkahatapitiya/Coarse-Fine-Networks"

#: Half of what is learnt is where a class is, half whether it is there.
_LOSS = Loss(kind="shares")

#: Mean and standard deviation of red, green and blue in [0, 1]: of Charades and Kinetics as SSDet's training scripts
#: have them, and what facebookresearch/SlowFast:slowfast/config/defaults.py takes for its public networks.
NORMALISATIONS = {
    "charades": ((0.413, 0.368, 0.338), (0.131, 0.125, 0.132)),
    "kinetics": ((0.4339, 0.4045, 0.3776), (0.1520, 0.1486, 0.1570)),
    "slowfast": ((0.45, 0.45, 0.45), (0.225, 0.225, 0.225)),
}


@dataclass(frozen=True)
class Frames:
    """How frames are taken from a video."""

    fps: float = param(
        24.0, "frames per second from which every stride-th is taken; MultiTHUMOS: 30", bounds=(1e-3, None),
        source=f"{_RELEASE}:charades.py",
    )  # fmt: skip
    stride: int = param(
        10, "frames from one sample to the next; Kinetics: 5", bounds=(1, None),
        source=f"{_RELEASE}:train_x3d_charades_loc.py",
    )  # fmt: skip
    size: int = param(
        224, "length of the shorter side at test, from which the centre is cut out, pixels", bounds=(1, None),
        source=f"{_RELEASE}:train_x3d_charades_loc.py",
    )  # fmt: skip
    train_short_sides: tuple[int, ...] | None = param(
        (256, 320), "in training one of these is drawn for each clip; null = size as at test",
        source=f"SSDet 4.1; {_COARSE_FINE}",
    )  # fmt: skip
    crop: int = param(
        224, "side of the square: the centre, in training a random place, one for each clip", bounds=(1, None),
        source="SSDet 4.1",
    )  # fmt: skip
    mirror: bool = param(True, "in training half of the clips are mirrored", source=f"{_RELEASE}:charades.py")
    normalisation: Literal["charades", "kinetics", "slowfast"] = param(
        "charades", "whose mean and deviation of the colours are taken out", source=f"{_RELEASE}:train_x3d_*.py"
    )

    def __post_init__(self) -> None:
        self.input()

    def input(self) -> FrameInput:
        """For the data set."""
        square = (self.crop, self.crop)
        return FrameInput(self.fps, self.size, square, self.mirror, train_short_sides=self.train_short_sides)


@dataclass(frozen=True)
class Backbone:
    """X3D; width 2 and depth 2.2 are X3D-M, depth 5 is X3D-L."""

    width: float = param(2.0, "factor of the channels", bounds=(0.1, None), source="X3D, Table 1")
    depth: float = param(2.2, "factor of the blocks", bounds=(0.1, None), source="X3D, Table 1")
    fc1: int = param(2048, "channels of the last layer before the classifier", bounds=(1, None), source="X3D, Table 1")
    recompute: bool = param(
        False, "in training, keep only the inputs of the blocks and compute the rest again in the backward pass"
    )


@dataclass(frozen=True)
class FramesOptim(Optim):
    """The recipe of fine-tuning on Charades."""

    optimizer: Literal["adam", "adamw", "sgd"] = param("sgd", "optimiser", source=f"{_RELEASE}")
    lr: float = param(
        0.02, "learning rate, to be scaled with the batch size", symbol="eta", search=(0.002, 0.1), log=True,
        bounds=(0.0, None), source="SSDet 4.1",
    )  # fmt: skip
    epochs: int = param(100, "passes over the training videos", bounds=(0, None), source="SSDet 4.1")
    lr_milestones: tuple[int, ...] = param((80,), "epochs after which it is divided by ten", source="SSDet 4.1")
    weight_decay: float = param(
        1e-5, "L2 penalty", search=(1e-6, 1e-3), log=True, bounds=(0.0, None),
        source=f"{_RELEASE}:train_x3d_charades_loc.py",
    )  # fmt: skip
    momentum: float = param(0.9, "of SGD", bounds=(0.0, 1.0), source=f"{_RELEASE}:train_x3d_charades_loc.py")
    batch_size: int = param(16, "clips per step, and videos at test", bounds=(1, None), source="SSDet 4.1")

    def phase(self, loss: Loss) -> Phase:
        """The one phase."""
        return replace(super().phase(loss), momentum=self.momentum)


@dataclass(frozen=True)
class FramesConfig(FrameLevelConfig):
    """Base of the ``Config`` of a detector on X3D: one random clip of every video an epoch, whole videos at test."""

    inputs: ClassVar[str] = "frames"

    loss: Loss = _LOSS
    optim: FramesOptim = FramesOptim()
    frames: Frames = Frames()
    backbone: Backbone = Backbone()
    clip_length: int = param(
        16, "samples of a training clip; shorter videos are completed with their last frame, which is not learnt from",
        bounds=(1, None), source="SSDet 4.1",
    )  # fmt: skip
    part_length: int = param(
        1000, "at test longer videos are worked on in parts of so many samples", bounds=(1, None),
        source=f"{_RELEASE}:train_x3d_charades_loc.py",
    )  # fmt: skip
    dropout: float = param(
        0.5, "before the classifier", search=(0.0, 0.8), bounds=(0.0, 1.0),
        source=f"{_RELEASE}:train_x3d_charades_loc.py",
    )  # fmt: skip

    def sampling(self) -> Sampling:
        """Clips, and whole videos."""
        return Sampling("clip", "native", self.clip_length, stride=self.frames.stride, frames=self.frames.input())


def rates(multipliers: dict[str, float]) -> tuple[dict[str, float], tuple[str, ...]]:
    """Learning-rate multipliers by parts, and the parts that are frozen: those whose multiplier is 0.

    Args:
        multipliers: prefix of parameters -> factor.
    """
    trained = {prefix: factor for prefix, factor in multipliers.items() if factor > 0}
    return trained, tuple(prefix for prefix in multipliers if prefix not in trained)
