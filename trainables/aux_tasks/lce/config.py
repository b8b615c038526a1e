"""Configuration of the task. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, Literal

from trainables.config import param


@dataclass(frozen=True)
class Config:
    """Boundaries of positive regions are predicted as Gaussians (Three Birds 3.2)."""

    key: ClassVar[str] = "lce"
    paper: ClassVar[str] = "three_birds"
    supervision: ClassVar[Literal["none", "video_labels", "segments"]] = "segments"
    requires: ClassVar[tuple[str, ...]] = ("rois",)

    weight: float = param(
        0.7, "of the task's loss", symbol="lambda_lce", search=(0.05, 5.0), log=True, bounds=(0.0, None),
        source="Three Birds 3.3",
    )  # fmt: skip
    mean: Literal["own", "host"] = param(
        "own", "the Gaussian's mean: an output of the task's own, or the host's regression", choices=("own", "host"),
        source="ours; host is nearer to ethanhe42/KL-Loss",
    )  # fmt: skip
    tail: Literal["smooth", "gaussian"] = param(
        "smooth", "linear beyond one deviation, or quadratic everywhere as Eq. (3) has it",
        choices=("smooth", "gaussian"), source="ethanhe42/KL-Loss:fast_rcnn_heads.py",
    )  # fmt: skip
    std: float = param(
        0.1, "offsets are divided by it, shares of a region's length", search=(0.05, 0.5), log=True,
        bounds=(1e-3, None), source="ethanhe42/KL-Loss",
    )  # fmt: skip
    normaliser: Literal["rois", "positives"] = param(
        "rois", "the sum over positive regions is divided by the number of these", symbol="N",
        choices=("rois", "positives"), source="ethanhe42/KL-Loss",
    )  # fmt: skip
    per_class: bool | None = param(
        None, "outputs for each class, or one for all; null = as the host's regression: R-C3D's is for each class, "
        "PBRNet's for all", source="ours",
    )  # fmt: skip
    stop_gradient: bool = param(
        False, "the loss does not reach what the host shares with the task", symbol="stop_gradient",
        choices=(False, True), source="Three Birds Table 7",
    )  # fmt: skip
    voting: bool = param(
        False, "at inference, detections move to the mean of their neighbours, weighted by certainty",
        source="He et al. 2019, arXiv:1809.08545, Section 3.3",
    )  # fmt: skip
    voting_sigma_t: float = param(
        0.02, "how fast a neighbour's vote falls with its distance", symbol="sigma_t", search=(0.005, 0.05), log=True,
        bounds=(1e-6, None), source="ethanhe42/KL-Loss", acts="inference",
    )  # fmt: skip

    def __post_init__(self) -> None:
        if self.voting and self.mean == "host":
            raise ValueError(
                "voting: the votes are Gaussians of the task's own, and mean 'host' has none at inference; "
                "set mean to own, or voting to false"
            )

    def loss_weights(self) -> Mapping[str, float]:
        """The loss; the others are there to be logged."""
        return {"lce": self.weight, "lce_sigma": 0.0, "lce_sigma_error_corr": 0.0}

    def build(self, *, host: Any, feat_channels: int, num_classes: int) -> Any:
        """The module."""
        return import_module("trainables.aux_tasks.lce.task").Lce(host=host, num_classes=num_classes, settings=self)
