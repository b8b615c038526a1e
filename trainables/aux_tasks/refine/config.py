"""Configuration of the task. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, Literal

from trainables.config import param


@dataclass(frozen=True)
class Config:
    """Regions are classified with the help of windows around them (Three Birds 3.2, Eq. (5))."""

    key: ClassVar[str] = "refine"
    paper: ClassVar[str] = "three_birds"
    supervision: ClassVar[Literal["none", "video_labels", "segments"]] = "segments"
    requires: ClassVar[tuple[str, ...]] = ("rois",)
    beside: ClassVar[tuple[str, ...]] = ("mac",)

    weight: float = param(
        1.0, "of the loss on the corrected logits", symbol="lambda_ref", search=(0.1, 3.0), log=True,
        bounds=(0.0, None), source="wonheeML/mtl-ssl",
    )  # fmt: skip
    windows: Literal["to_clip", "scaled"] = param(
        "to_clip", "from the region to the whole input in equal steps on each side, or scaled about its centre",
        choices=("to_clip", "scaled"), source="wonheeML/mtl-ssl:faster_rcnn_meta_arch.py; scaled is ours",
    )  # fmt: skip
    n_t: int = param(
        5, "windows of a region, itself and the whole input included (to_clip)", symbol="N_t", search=(1, 9),
        bounds=(1, None), source="Three Birds 3.2",
    )  # fmt: skip
    scales: tuple[float, ...] = param(
        (0.5, 1.0, 1.5, 2.0, 3.0), "lengths of the windows in lengths of the region (scaled)", source="ours"
    )
    detach: bool = param(
        True, "the loss does not reach what the correction is computed from", choices=(True, False),
        source="wonheeML/mtl-ssl",
    )  # fmt: skip
    loss: Literal["both", "refined_only"] = param(
        "both", "trained on beside the host's classification loss, or in its place", choices=("both", "refined_only"),
        source="wonheeML/mtl-ssl; refined_only is Three Birds Eq. (9) to the letter",
    )  # fmt: skip

    def __post_init__(self) -> None:
        if not self.scales or min(self.scales) <= 0:
            raise ValueError(f"scales: {self.scales} must be one or more numbers above 0")

    @property
    def num_windows(self) -> int:
        """Windows of a region."""
        return self.n_t if self.windows == "to_clip" else len(self.scales)

    def loss_weights(self) -> Mapping[str, float]:
        """One loss."""
        return {"refine": self.weight}

    def build(self, *, host: Any, feat_channels: int, num_classes: int) -> Any:
        """The module."""
        return import_module("trainables.aux_tasks.refine.task").Refine(
            host=host, num_classes=num_classes, settings=self
        )
