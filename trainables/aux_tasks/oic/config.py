"""Configuration of the task. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, Literal

from trainables.config import param


@dataclass(frozen=True)
class Config:
    """The host's segments are drawn to where its class evidence begins and ends (KT-MGFN III-E as a task)."""

    key: ClassVar[str] = "oic"
    paper: ClassVar[str] = "kt_mgfn"
    supervision: ClassVar[Literal["none", "video_labels", "segments"]] = "none"
    requires: ClassVar[tuple[str, ...]] = ("segments", "cas_logits")

    weight: float = param(0.1, "of the task's loss", search=(0.01, 10.0), log=True, bounds=(0.0, None), source="ours")
    gamma: float = param(
        0.25, "rim of a segment as a share of its length", symbol="gamma", search=(0.1, 0.75), bounds=(0.0, 4.0),
        source="zhengshou/AutoLoc:lib/config.py OUTER_INFLATE_RATIO",
    )  # fmt: skip
    outer_min: float = param(
        1.0, "least rim on each side, samples", bounds=(0.0, None), source="zhengshou/AutoLoc OUTER_MIN"
    )
    top: int = param(50, "best segments of each input that take part", bounds=(1, None), source="ours")
    grad_to_cas: bool = param(False, "the loss also trains the host's class evidence", source="ours")
    eta: float = param(
        0.5, "at inference the confidence is multiplied by (1 - L_OIC) ** eta; 0 = left alone",
        symbol="eta", search=(0.0, 2.0), bounds=(0.0, None), source="ours",
    )  # fmt: skip

    def loss_weights(self) -> Mapping[str, float]:
        """One loss."""
        return {"oic_task": self.weight}

    def build(self, *, host: Any, feat_channels: int, num_classes: int) -> Any:
        """The module; it has no weights."""
        return import_module("trainables.aux_tasks.oic.task").Oic(
            gamma=self.gamma, outer_min=self.outer_min, top=self.top, grad_to_cas=self.grad_to_cas, eta=self.eta
        )
