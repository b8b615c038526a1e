"""Configuration of the task. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, Literal

from trainables.config import param


@dataclass(frozen=True)
class Config:
    """The host's segments are pushed to a high contrast score, and rescored with it (CleanNet 3.3.2 to 3.4)."""

    key: ClassVar[str] = "contrast_eval"
    paper: ClassVar[str] = "clean_net"
    supervision: ClassVar[Literal["none", "video_labels", "segments"]] = "video_labels"
    requires: ClassVar[tuple[str, ...]] = ("feats", "segments")

    weight: float = param(
        0.1, "of the margin loss on the host's segments", search=(0.01, 10.0), log=True, bounds=(0.0, None)
    )
    cas: Literal["own", "host"] = param(
        "own", "class scores of the judge: a classifier of the task's own on the host's features, or the host's",
        choices=("own", "host"),
    )  # fmt: skip
    cas_weight: float = param(
        0.5, "of the own classifier's loss", search=(0.05, 5.0), log=True,
        bounds=(0.0, None),
    )  # fmt: skip
    margin: float = param(
        2.0, "segments are pushed up to this score", symbol="m", search=(0.8, 2.0), bounds=(0.0, None),
        source="Eq. (13); ours, the paper gives no value",
    )  # fmt: skip
    top: int = param(50, "segments of an input that count, by the host's score", symbol="q", bounds=(1, None))
    window_s: float = param(
        3.5, "window of maximum and minimum pooling, seconds", search=(1.5, 7.5), bounds=(0.1, None),
        source="3.3.2: 7 snippets of 15 frames at 30 frames/s",
    )  # fmt: skip
    ratio: float = param(
        0.25, "a boundary's region on each side as a share of the length", search=(0.1, 0.5), bounds=(0.01, 0.5),
        source="Eq. (8)",
    )  # fmt: skip
    rescore: Literal["gate", "add", "none"] = param(
        "gate", "host score x sigmoid(kappa (s - 1/2)), host score + eta s, or unchanged",
        choices=("gate", "add", "none"),
    )  # fmt: skip
    kappa: float = param(4.0, "steepness of the gate", search=(1.0, 16.0), log=True, bounds=(0.0, None))
    eta: float = param(0.5, "weight of the contrast score where it is added", search=(0.0, 2.0), bounds=(0.0, None))

    def loss_weights(self) -> Mapping[str, float]:
        """The margin loss, and that of the own classifier."""
        own = {"contrast_eval_class": self.cas_weight} if self.cas == "own" else {}
        return {"contrast_eval": self.weight, **own}

    def build(self, *, host: Any, feat_channels: int, num_classes: int) -> Any:
        """The module; it needs nothing of the host but its views."""
        return import_module("trainables.aux_tasks.contrast_eval.task").ContrastEval(
            feat_channels=feat_channels, num_classes=num_classes, settings=self
        )
