"""Configuration of the task. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, Literal

from trainables.config import param


@dataclass(frozen=True)
class Config:
    """Snippets of the host's features are classified and weighed by attention (CleanNet 3.2 as a task)."""

    key: ClassVar[str] = "scp_sap_cls"
    paper: ClassVar[str] = "clean_net"
    supervision: ClassVar[Literal["none", "video_labels", "segments"]] = "video_labels"
    requires: ClassVar[tuple[str, ...]] = ("feats",)

    weight: float = param(0.5, "of the task's loss", search=(0.05, 5.0), log=True, bounds=(0.0, None), source="ours")
    eta: float = param(
        1.0, "power of the class's probability in the video that a detection's score is multiplied with; 0 = unused",
        symbol="eta", search=(0.0, 2.0), bounds=(0.0, None), source="ours",
    )  # fmt: skip

    def loss_weights(self) -> Mapping[str, float]:
        """One loss."""
        return {"scp_sap_cls": self.weight}

    def build(self, *, host: Any, feat_channels: int, num_classes: int) -> Any:
        """The module; it needs nothing of the host but its features."""
        return import_module("trainables.aux_tasks.scp_sap_cls.task").ScpSapCls(
            feat_channels=feat_channels, num_classes=num_classes
        )
