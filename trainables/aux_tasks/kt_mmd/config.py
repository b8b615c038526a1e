"""Configuration of the task. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Literal

from trainables.config import param, require_trimmed


@dataclass(frozen=True)
class Config:
    """The host's features of untrimmed videos follow those of trimmed clips (KT-MGFN III-D as a task)."""

    key: ClassVar[str] = "kt_mmd"
    paper: ClassVar[str] = "kt_mgfn"
    supervision: ClassVar[Literal["none", "video_labels", "segments"]] = "video_labels"
    requires: ClassVar[tuple[str, ...]] = ("feats",)

    weight: float = param(1.0, "of the task's loss", search=(0.01, 30.0), log=True, bounds=(0.0, None), source="ours")
    length: int = param(32, "samples per clip", bounds=(4, None), source="ours")
    n_trimmed: int = param(
        8, "clips drawn per class and step", symbol="N_T", search=(2, 32), log=True, bounds=(1, None), source="ours"
    )
    kernel: Literal["multi5", "single"] = param(
        "multi5", "five Gaussian kernels around the mean distance, or one", symbol="kappa",
        choices=("multi5", "single"), source="KT-MGFN Eq. (3)",
    )  # fmt: skip
    scope: Literal["class", "batch"] = param(
        "class", "clips against videos of the same class, or of the whole batch", source="KT-MGFN III-D"
    )

    def check_data(self, dataset: Any, data_root: Path) -> None:
        """Refuse a data set without trimmed clips.

        Raises:
            ValueError: it has none.
        """
        require_trimmed("task kt_mmd", "leave the task out, or build it with clips", dataset, data_root)

    def loss_weights(self) -> Mapping[str, float]:
        """One loss."""
        return {"kt_mmd": self.weight}

    def build(self, *, host: Any, feat_channels: int, num_classes: int) -> Any:
        """The module; it has no weights."""
        return import_module("trainables.aux_tasks.kt_mmd.task").KtMmd(
            length=self.length, num_trimmed=self.n_trimmed, kernel=self.kernel, scope=self.scope
        )
