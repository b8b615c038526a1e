"""Settings of PBRNet on features and on frames: the published values as defaults. Imports no torch.

Source: Liu and Wang, "Progressive Boundary Refinement Network for Temporal Action Detection", AAAI 2020, as released in
Qinying-Liu/PBRNet, and its use in Three Birds 4.1. The release has no inference code; what stands in its place is
marked "ours".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from trainables.config import FrameInput, Phase, Sampling, param

_CONFIG = "Qinying-Liu/PBRNet:config.py"
_NETWORK = "Qinying-Liu/PBRNet:network.py"

#: Frames of one cell of the shared map: the temporal stride of I3D up to Mixed_5c.
FRAMES_PER_CELL = 8
#: Inputs are padded to a multiple of this many cells, so that each of the six levels is half the one before.
CELLS_MULTIPLE = 32


@dataclass(frozen=True)
class Clip:
    """One input of the network; a cell is 8 frames of a video, or one pre-extracted feature."""

    cells: int = param(
        32, "cells of an input; padded to a multiple of 32", bounds=(1, None), source=f"{_CONFIG}: 256 frames"
    )
    train_stride: int = param(
        4, "cells from one training input to the next", bounds=(1, None), source=f"{_CONFIG}: 224 frames overlap"
    )
    test_stride: int = param(16, "cells from one input to the next at test", bounds=(1, None), source="ours")
    keep_ratio: float = param(
        0.9, "an instance counts where at least this share of it lies inside", bounds=(0.0, 1.0),
        source="Qinying-Liu/PBRNet:utils.py",
    )  # fmt: skip
    min_frames: float = param(
        4.0, "shorter instances are no targets, frames (8 a cell)", bounds=(0.0, None),
        source="Qinying-Liu/PBRNet:utils.py",
    )  # fmt: skip


@dataclass(frozen=True)
class Net:
    """Sizes of the network."""

    width: int = param(256, "channels of both pyramids and of the frame level", bounds=(1, None), source=_NETWORK)
    roi_width: int | None = param(
        1024, "of the layer that auxiliary tasks read; null, where there are none, saves a third of the time",
        bounds=(1, None),
    )  # fmt: skip


@dataclass(frozen=True)
class Match:
    """Which segments are positive, which are left out. Thresholds do not fall from step to step."""

    cpd_tiou: float = param(
        0.4, "anchors of a higher tIoU are positive", search=(0.3, 0.7), bounds=(0.0, 1.0), source=_NETWORK
    )
    rpd_tiou: float = param(
        0.5, "coarse segments of a higher tIoU are positive", search=(0.3, 0.7), bounds=(0.0, 1.0), source=_NETWORK
    )
    fgd_tiou: float = param(
        0.6, "refined segments of a higher tIoU are positive", search=(0.3, 0.7), bounds=(0.0, 1.0), source=_NETWORK
    )
    reject_bg_prob: float = param(
        0.99, "segments whose background probability reaches this take no further part", search=(0.9, 0.999),
        bounds=(0.0, 1.0), source=_NETWORK,
    )  # fmt: skip
    boundary_ratio: float = param(
        0.1, "frames this near to a boundary belong to it, as a share of the instance's length", bounds=(0.0, 0.5),
        source="Qinying-Liu/PBRNet:utils.py",
    )  # fmt: skip


@dataclass(frozen=True)
class Loss:
    """Weights of the losses."""

    lambda_reg: float = param(
        1.0, "of the three regression losses", symbol="lambda", search=(0.1, 10.0), log=True, bounds=(0.0, None),
        source="Three Birds 3.3, Eq. (8)",
    )  # fmt: skip


@dataclass(frozen=True)
class Optim:
    """Adam; the release lowers the rate after 100,000 steps, which its 20 epochs do not reach."""

    lr: float = param(1e-5, "learning rate", search=(1e-6, 1e-4), log=True, bounds=(0.0, None), source=_CONFIG)
    weight_decay: float = param(1e-3, "L2 penalty", search=(1e-5, 1e-2), log=True, bounds=(0.0, None), source=_CONFIG)
    epochs: int = param(20, "passes over the training windows", bounds=(0, None), source=_CONFIG)
    lr_decay_epoch: int = param(
        20, "the learning rate falls to a tenth after this epoch", search=(3, 20), bounds=(1, None),
        source="Three Birds 4.1: none on THUMOS'14, as here with 20 epochs",
    )  # fmt: skip
    batch_size: int = param(8, "inputs per step", bounds=(1, None), source=_CONFIG)
    grad_clip: float | None = param(
        None, "L2 norm over all gradients; null = off", bounds=(1e-6, None), source="Qinying-Liu/PBRNet:main.py"
    )


@dataclass(frozen=True)
class Infer:
    """From raw outputs to detections; nothing here needs training again."""

    pbr_score: Literal["rpd_x_boundary", "rpd"] = param(
        "rpd_x_boundary", "class probability, times the mean probability of its start and end frame, or alone",
        choices=("rpd_x_boundary", "rpd"), source="ours", acts="inference",
    )  # fmt: skip
    score_thresh: float = param(
        0.005, "lower scores are dropped", search=(1e-4, 0.1), log=True, bounds=(0.0, 1.0),
        source="VisionLearningGroup/R-C3D:lib/tdcnn/test.py, ActivityNet", acts="inference",
    )  # fmt: skip
    pbr_nms: float = param(
        0.5, "suppression of a class over all windows of a video: above this tIoU", search=(0.2, 0.7),
        bounds=(0.0, 0.999), source="ours", acts="inference",
    )  # fmt: skip
    soft_nms_sigma: float | None = param(
        None, "above pbr_nms scores fall by exp(-tIoU^2 / sigma) instead of to 0; null = to 0", search=(0.1, 1.0),
        log=True, bounds=(1e-6, None), source="ours", acts="inference",
    )  # fmt: skip
    reject_bg_prob: float | None = param(
        None, "match.reject_bg_prob at test; null = the same", search=(0.9, 0.999), bounds=(0.0, 1.0), source="ours",
        acts="inference",
    )  # fmt: skip
    top: int = param(200, "detections per video", bounds=(1, None), source="ours", acts="inference")


@dataclass(frozen=True)
class Settings:
    """What PBRNet has on features and on frames."""

    clip: Clip = Clip()
    net: Net = Net()
    match: Match = Match()
    loss: Loss = Loss()
    optim: Optim = Optim()
    infer: Infer = Infer()

    def __post_init__(self) -> None:
        thresholds = (self.match.cpd_tiou, self.match.rpd_tiou, self.match.fgd_tiou)
        if list(thresholds) != sorted(thresholds):
            raise ValueError(f"match: cpd_tiou, rpd_tiou, fgd_tiou must not fall, they are {thresholds}")

    def check_tasks(self, names: Sequence[str]) -> None:
        """Refuse tasks where regions have no features.

        Raises:
            ValueError: there are tasks, and no features for them.
        """
        if names and self.net.roi_width is None:
            raise ValueError(
                f"net.roi_width: null leaves regions without the features that {', '.join(names)} read; set it"
            )

    @property
    def batch_size(self) -> int:
        """Inputs per step."""
        return self.optim.batch_size

    def windows(self, samples_per_cell: int, frames: FrameInput | None = None) -> Sampling:
        """Sliding windows; those of training go both ways and show at least one instance.

        Args:
            samples_per_cell: of the input.
            frames: how they are made, for the detector that reads them.
        """
        clip = self.clip
        return Sampling(
            "window",
            "window",
            clip.cells * samples_per_cell,
            window_stride=(clip.train_stride * samples_per_cell, clip.test_stride * samples_per_cell),
            keep_ratio=clip.keep_ratio,
            min_inside=clip.keep_ratio,
            both_ways=True,
            min_target=clip.min_frames * samples_per_cell / FRAMES_PER_CELL,
            frames=frames,
        )

    def phases(self) -> tuple[Phase, ...]:
        """All three steps at once; ``positive_regions`` has no weight: it is there to be logged."""
        optim, regression = self.optim, self.loss.lambda_reg
        weights = {
            "cpd_class": 1.0,
            "rpd_class": 1.0,
            "fgd_boundary": 1.0,
            "cpd_offset": regression,
            "rpd_offset": regression,
            "fgd_offset": regression,
            "positive_regions": 0.0,
        }
        return (
            Phase(
                "train",
                optim.epochs,
                optim.lr,
                weights,
                weight_decay=optim.weight_decay,
                lr_milestones=(optim.lr_decay_epoch,),
                grad_clip_norm=optim.grad_clip,
            ),
        )
