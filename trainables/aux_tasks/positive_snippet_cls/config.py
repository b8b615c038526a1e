"""Configuration of the task. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, Literal

from trainables.config import param


@dataclass(frozen=True)
class Config:
    """The video is classified from the snippets inside the host's best segments alone (CleanNet 3.4 as a task)."""

    key: ClassVar[str] = "positive_snippet_cls"
    paper: ClassVar[str] = "clean_net"
    supervision: ClassVar[Literal["none", "video_labels", "segments"]] = "video_labels"
    requires: ClassVar[tuple[str, ...]] = ("feats", "segments")
    detached: ClassVar[tuple[str, ...]] = ("segments",)

    weight: float = param(0.5, "of the task's loss", search=(0.05, 5.0), log=True, bounds=(0.0, None), source="ours")
    top: int = param(50, "segments of an input that count, by the host's score", symbol="q", bounds=(1, None))

    def loss_weights(self) -> Mapping[str, float]:
        """One loss."""
        return {"positive_snippet_cls": self.weight}

    def build(self, *, host: Any, feat_channels: int, num_classes: int) -> Any:
        """The module; it needs nothing of the host but its views."""
        return import_module("trainables.aux_tasks.positive_snippet_cls.task").PositiveSnippetCls(
            feat_channels=feat_channels, num_classes=num_classes, top=self.top
        )
