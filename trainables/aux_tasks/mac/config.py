"""Configuration of the task. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, Literal

from trainables.config import param


@dataclass(frozen=True)
class Config:
    """Random windows of the host's clip are classified by how much of each action they hold (Three Birds 3.1)."""

    key: ClassVar[str] = "mac"
    paper: ClassVar[str] = "three_birds"
    supervision: ClassVar[Literal["none", "video_labels", "segments"]] = "segments"
    requires: ClassVar[tuple[str, ...]] = ("rois",)

    weight: float = param(
        1.0, "of the task's loss", symbol="lambda_mac", search=(0.05, 5.0), log=True, bounds=(0.0, None),
        source="Three Birds 3.3",
    )  # fmt: skip
    windows: int = param(
        5, "windows drawn in each input (gt_expand takes all it has instead)", symbol="N_t", search=(4, 64), log=True,
        bounds=(1, None), source="Three Birds 3.1; 64 in wonheeML/mtl-ssl",
    )  # fmt: skip
    min_len: float = param(
        1.0, "shortest window, cells of the host's shared map (8 frames for C3D)", search=(1.0, 8.0), log=True,
        bounds=(0.01, None), source="ours",
    )  # fmt: skip
    sampler: Literal["start_length", "centre_length", "gt_expand"] = param(
        "start_length", "how windows are drawn", choices=("start_length", "centre_length", "gt_expand"),
        source="Three Birds 3.1; the others wonheeML/mtl-ssl:create_pascal_tf_record.py",
    )  # fmt: skip
    label: Literal["sqrt", "area", "area_plus_one"] = param(
        "sqrt", "what becomes of the covered share before normalisation", choices=("sqrt", "area"),
        source="Three Birds Algorithm 1; area_plus_one wonheeML/mtl-ssl",
    )  # fmt: skip
    normaliser: Literal["sum", "softmax"] = param(
        "sum", "how the shares become a distribution", source="Three Birds Algorithm 1; softmax wonheeML/mtl-ssl"
    )
    trunk: Literal["own", "shared"] = param(
        "own", "a copy of the host's trunk, which then shares the map alone (on pre-extracted features nothing that "
        "learns), or the host's trunk itself", choices=("own", "shared"),
        source="wonheeML/mtl-ssl:faster_rcnn_meta_arch.py",
    )  # fmt: skip
    stop_gradient: bool = param(
        False, "the loss does not reach what the host shares with the task", symbol="stop_gradient",
        choices=(False, True), source="Three Birds Table 7",
    )  # fmt: skip

    def loss_weights(self) -> Mapping[str, float]:
        """The loss; ``mac_divergence``, how far it is above its least value, is there to be logged."""
        return {"mac": self.weight, "mac_divergence": 0.0}

    def build(self, *, host: Any, feat_channels: int, num_classes: int) -> Any:
        """The module, with a trunk that starts from the host's weights."""
        return import_module("trainables.aux_tasks.mac.task").Mac(host=host, num_classes=num_classes, settings=self)
