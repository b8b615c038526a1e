"""Settings that frame-level detectors share. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from trainables.config import Phase, Sampling, param
from trainables.detectors.frame_level.pretrain import Pretrain

_PRETRAIN = Pretrain()

_SCRIPTS = "training scripts of piergiaj/super-events-cvpr18, piergiaj/tgm-icml19, dairui01/PDAN"


@dataclass(frozen=True)
class Loss:
    """What is learnt from the labels of frames."""

    kind: Literal["summed", "shares"] = param(
        "summed",
        "binary cross-entropy summed over classes, mean over frames; or shares of localisation and presence",
        source=_SCRIPTS,
    )
    cls_share: float = param(
        0.5, "of presence (highest logit of a video against its labels) where there are shares; the rest is frames'",
        symbol="w_cls", search=(0.0, 1.0), bounds=(0.0, 1.0), source="kkahatapitiya/SSDet:train_x3d_charades_loc.py",
    )  # fmt: skip

    def weights(self) -> Mapping[str, float]:
        """Name -> weight."""
        if self.kind == "summed":
            return {"summed": 1.0}
        return {"loc": 1.0 - self.cls_share, "cls": self.cls_share}


@dataclass(frozen=True)
class Optim:
    """The recipe; published ones lower the learning rate where a loss on test videos stops falling."""

    optimizer: Literal["adam", "adamw", "sgd"] = param("adam", "optimiser", source=_SCRIPTS)
    lr: float = param(1e-4, "learning rate", search=(1e-5, 1e-2), log=True, bounds=(0.0, None), source=_SCRIPTS)
    epochs: int = param(100, "passes over the training videos", bounds=(0, None), source=_SCRIPTS)
    lr_milestones: tuple[int, ...] = param((), "epochs after which the learning rate is lowered", source="ours")
    lr_factor: float = param(0.1, "by this factor", bounds=(0.0, 1.0), source="torch's ReduceLROnPlateau")
    weight_decay: float = param(0.0, "L2 penalty", bounds=(0.0, None), source=_SCRIPTS)
    batch_size: int = param(16, "videos per step", bounds=(1, None), source=_SCRIPTS)

    def phase(self, loss: Loss) -> Phase:
        """The one phase."""
        return Phase(
            "train",
            self.epochs,
            self.lr,
            loss.weights(),
            optimizer=self.optimizer,
            weight_decay=self.weight_decay,
            lr_milestones=self.lr_milestones,
            lr_factor=self.lr_factor,
        )


@dataclass(frozen=True)
class FrameLevelConfig:
    """Base of the ``Config`` of a frame-level detector."""

    paper: ClassVar[str] = "ssdet"
    supervision: ClassVar[Literal["none", "video_labels", "segments"]] = "segments"
    answers: ClassVar[str] = "frame_scores"
    views: ClassVar[tuple[str, ...]] = ("frame_logits",)

    loss: Loss = Loss()
    optim: Optim = Optim()

    @property
    def batch_size(self) -> int:
        """Videos per step."""
        return self.optim.batch_size

    def phases(self) -> tuple[Phase, ...]:
        """One phase."""
        return (self.optim.phase(self.loss),)


@dataclass(frozen=True)
class HeadConfig(FrameLevelConfig):
    """Base of the heads on stored features: whole videos, every feature as it is, padded to the batch's longest."""

    inputs: ClassVar[str] = "feats"

    pretrain: Pretrain = _PRETRAIN

    def check_data(self, dataset: Any, data_root: Path) -> None:
        """Pretraining needs trimmed clips.

        Raises:
            ValueError: the data set has none.
        """
        self.pretrain.check_data(dataset, data_root)

    def phases(self) -> tuple[Phase, ...]:
        """One phase, after pretraining if there is any: one random sample of each of equal parts of a clip."""
        return self.pretrain.before(super().phases(), Sampling("sparse", "uniform", self.pretrain.length))

    def sampling(self) -> Sampling:
        """Whole videos."""
        return Sampling("native", "native", 0)
