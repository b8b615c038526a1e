"""Configuration of the task. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, Literal

from trainables.config import param


@dataclass(frozen=True)
class Config:
    """The action classification head of SP-TAD (3.1.4) on the host's features."""

    key: ClassVar[str] = "video_cls"
    paper: ClassVar[str] = "sp_tad"
    supervision: ClassVar[Literal["none", "video_labels", "segments"]] = "video_labels"
    requires: ClassVar[tuple[str, ...]] = ("feats",)

    weight: float = param(
        1.0, "of the task's loss", symbol="lambda_act", search=(0.1, 10.0), log=True, bounds=(0.0, None), source="ours"
    )
    power: float = param(
        1.0, "a detection's score is multiplied with this power of its class's probability in the clip; 0 = unused",
        search=(0.0, 2.0), bounds=(0.0, None), source="SP-TAD 3.2.2", acts="inference",
    )  # fmt: skip

    def loss_weights(self) -> Mapping[str, float]:
        """One loss."""
        return {"video_cls": self.weight}

    def build(self, *, host: Any, feat_channels: int, num_classes: int) -> Any:
        """The module; it needs nothing of the host but its features."""
        return import_module("trainables.aux_tasks.video_cls.task").VideoCls(
            feat_channels=feat_channels, num_classes=num_classes
        )
