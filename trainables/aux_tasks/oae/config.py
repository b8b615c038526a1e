"""Configuration of the task. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, Literal

from trainables.config import param


@dataclass(frozen=True)
class Config:
    """A second classifier sees the host's features without what the host has found (KT-MGFN III-C as a task)."""

    key: ClassVar[str] = "oae"
    paper: ClassVar[str] = "kt_mgfn"
    supervision: ClassVar[Literal["none", "video_labels", "segments"]] = "video_labels"
    requires: ClassVar[tuple[str, ...]] = ("feats", "cas_logits")

    weight: float = param(0.5, "of the task's loss", search=(0.05, 5.0), log=True, bounds=(0.0, None), source="ours")
    xi_era: float = param(
        0.8, "erase where the host's CAS reaches this", symbol="xi_era", search=(0.5, 0.95), bounds=(0.0, 1.0),
        source="KT-MGFN IV, Fig. 6",
    )  # fmt: skip
    test_class_prob: float = param(0.1, "classes whose evidence is erased at test", bounds=(0.0, 1.0), source="ours")

    def loss_weights(self) -> Mapping[str, float]:
        """One loss."""
        return {"oae": self.weight}

    def build(self, *, host: Any, feat_channels: int, num_classes: int) -> Any:
        """The module; it needs nothing of the host but its views."""
        return import_module("trainables.aux_tasks.oae.task").Oae(
            feat_channels=feat_channels,
            num_classes=num_classes,
            xi_era=self.xi_era,
            test_class_prob=self.test_class_prob,
        )
