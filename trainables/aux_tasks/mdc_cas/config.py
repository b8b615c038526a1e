"""Configuration of the task. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, Literal

from trainables.config import param


@dataclass(frozen=True)
class Config:
    """Dilated branches classify the video from the host's features (KT-MGFN III-C as a task)."""

    key: ClassVar[str] = "mdc_cas"
    paper: ClassVar[str] = "kt_mgfn"
    supervision: ClassVar[Literal["none", "video_labels", "segments"]] = "video_labels"
    requires: ClassVar[tuple[str, ...]] = ("feats",)

    weight: float = param(0.5, "of the task's loss", search=(0.05, 5.0), log=True, bounds=(0.0, None), source="ours")
    dilations: tuple[int, ...] = param(
        (1, 2, 3, 5), "rate of each branch", symbol="d", choices=((1,), (1, 2), (1, 2, 3), (1, 2, 3, 5)), source="III-C"
    )

    def __post_init__(self) -> None:
        if not self.dilations or min(self.dilations) < 1:
            raise ValueError(f"dilations: {self.dilations} must be whole numbers from 1")

    def loss_weights(self) -> Mapping[str, float]:
        """One loss."""
        return {"mdc_cas": self.weight}

    def build(self, *, host: Any, feat_channels: int, num_classes: int) -> Any:
        """The module; it needs nothing of the host but its features."""
        return import_module("trainables.aux_tasks.mdc_cas.task").MdcCas(
            feat_channels=feat_channels, num_classes=num_classes, dilations=self.dilations
        )
