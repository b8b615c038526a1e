"""Configuration of UntrimmedNet on stored features. Imports no torch.

Source: Wang et al., "UntrimmedNets for Weakly Supervised Action Recognition and Detection", CVPR 2017, and
wanglimin/UntrimmedNet, as the baseline of CleanNet (Liu et al., ICCV 2019).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, Literal

from trainables.config import Phase, Sampling, param


@dataclass(frozen=True)
class Data:
    """From a video to the samples that are read as its snippets."""

    sampling: Literal["native", "rescale"] = param(
        "native",
        "every snippet as it is, or linear interpolation to data.length samples",
        source="CleanNet 4.1; rescale: ours",
    )
    length: int = param(192, "samples per video where they are interpolated", bounds=(2, None), source="ours")

    def as_sampling(self) -> Sampling:
        """For training and test alike."""
        return Sampling(self.sampling, self.sampling, self.length)


@dataclass(frozen=True)
class Cls:
    """Snippet classification (SCP) and attention (SAP)."""

    streams: int = param(
        2, "feature streams of one width side by side (appearance, motion); 1 = do not divide", symbol="R",
        bounds=(1, 8), source="CleanNet 3.2",
    )  # fmt: skip
    scp_norm: Literal["softmax", "sigmoid"] = param(
        "softmax", "how class logits of a snippet come to [0, 1]", symbol="Psi", choices=("softmax", "sigmoid"),
        source="wanglimin/UntrimmedNet:matlab/thumos_detection.m; CleanNet does not say",
    )  # fmt: skip
    dropout: float = param(
        0.8, "on the features", search=(0.0, 0.9), bounds=(0.0, 0.95), source="wanglimin/UntrimmedNet:models"
    )
    block_diagonal_init: bool = param(
        True, "a stream's classifier starts blind to the other stream", source="CleanNet Eq. (4)"
    )


@dataclass(frozen=True)
class Warmup:
    """Training of the classifier over all snippets; stands for UntrimmedNet's released weights."""

    optimizer: Literal["adam", "sgd"] = param("adam", "optimiser", source="ours")
    lr: float = param(1e-4, "learning rate", search=(1e-5, 1e-3), log=True, bounds=(0.0, None), source="ours")
    epochs: int = param(50, "passes over the training videos", search=(10, 200), log=True, bounds=(0, None))
    weight_decay: float = param(0.0, "L2 penalty", bounds=(0.0, None))


@dataclass(frozen=True)
class Infer:
    """Detection by a threshold; nothing here needs training again."""

    class_thr: float = param(
        0.1, "classes above this probability, or else the most probable one", search=(0.01, 0.3), log=True,
        bounds=(0.0, 1.0), source="wanglimin/UntrimmedNet:matlab/thumos_detection.m", acts="inference",
    )  # fmt: skip
    tau: float = param(
        0.5, "runs of snippets above this share of the class's highest score", search=(0.1, 0.9), bounds=(0.0, 1.0),
        source="wanglimin/UntrimmedNet:matlab/thumos_detection.m", acts="inference",
    )  # fmt: skip
    cls_weight: float = param(
        0.2, "of the class probability, added to the mean score of a run", symbol="eta", search=(0.0, 1.0),
        bounds=(0.0, None), source="wanglimin/UntrimmedNet:matlab/thumos_detection.m", acts="inference",
    )  # fmt: skip
    smooth: bool = param(
        True, "mean of each snippet and the next one before the threshold",
        source="wanglimin/UntrimmedNet:matlab/score_smooth.m", acts="inference",
    )  # fmt: skip
    top: int = param(200, "detections per video", bounds=(1, None), source="ours", acts="inference")


@dataclass(frozen=True)
class Config:
    """UntrimmedNet with soft selection (attention)."""

    key: ClassVar[str] = "untrimmed_net"
    paper: ClassVar[str] = "clean_net"
    supervision: ClassVar[Literal["none", "video_labels", "segments"]] = "video_labels"
    inputs: ClassVar[str] = "feats"
    views: ClassVar[tuple[str, ...]] = ("feats", "cas_logits", "video_logits")

    data: Data = Data()
    cls: Cls = Cls()
    warmup: Warmup = Warmup()
    infer: Infer = Infer()
    batch_size: int = param(1, "videos per step", bounds=(1, None), source="CleanNet 4.1")

    def sampling(self) -> Sampling:
        """Whole videos."""
        return self.data.as_sampling()

    def phases(self) -> tuple[Phase, ...]:
        """One phase."""
        return (warmup_phase(self.warmup),)

    def build(self, *, feat_dim: int, num_classes: int) -> Any:
        """The module."""
        return import_module("trainables.detectors.untrimmed_net.model").UntrimmedNet(
            feat_dim=feat_dim,
            num_classes=num_classes,
            streams=self.cls.streams,
            norm=self.cls.scp_norm,
            dropout=self.cls.dropout,
            block_diagonal_init=self.cls.block_diagonal_init,
        )


def warmup_phase(warmup: Warmup, frozen: tuple[str, ...] = ()) -> Phase:
    """Training of the classifier alone."""
    return Phase(
        "classify",
        warmup.epochs,
        warmup.lr,
        {"class": 1.0},
        optimizer=warmup.optimizer,
        weight_decay=warmup.weight_decay,
        frozen=frozen,
    )
