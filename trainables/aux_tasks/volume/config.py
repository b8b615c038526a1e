"""Configurations of the tasks. Imports no torch.

Source: Kahatapitiya et al. 2023, "Weakly-Guided Self-Supervised Pretraining for Temporal Activity Detection" (SSDet),
and kkahatapitiya/SSDet, where a field says nothing else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Literal

from trainables.config import param, require_trimmed
from trainables.layers.volume.settings import KINDS, Cutmix, Freeze, Kind, Mixup, Scheme

_FREEZE, _MIXUP, _CUTMIX = Freeze(), Mixup(), Cutmix()
_KINDS = (("vf", "vm"), ("vf", "vc"), ("vm", "vc"), KINDS)


@dataclass(frozen=True)
class Pretext(ABC):
    """Base of the tasks: a host's frame logits are right also for augmented clips."""

    key: ClassVar[str]
    paper: ClassVar[str] = "ssdet"
    supervision: ClassVar[Literal["none", "video_labels", "segments"]] = "segments"
    requires: ClassVar[tuple[str, ...]] = ("frame_logits",)

    weight: float = param(1.0, "of the task's loss", search=(0.05, 2.0), log=True, bounds=(0.0, None), source="ours")
    use: Literal["auxiliary", "pretrain"] = param(
        "auxiliary", "pretrain: the only loss while the host learns from trimmed clips (detector.pretrain.epochs), and "
        "gone afterwards, as in the paper; auxiliary: beside the host's loss on the detection data",
        source="Pretraining stage; auxiliary: ours",
    )  # fmt: skip
    loss: Literal["soft_ce", "bce"] | None = param(
        None, "cross-entropy with mixed labels, frozen frames being a class of their own, or of each class by itself, "
        "frozen frames having none; null = soft_ce in pretraining, bce beside the host's loss",
        choices=(None, "soft_ce", "bce"), source="kkahatapitiya/SSDet: soft_ce; the paper names none",
    )  # fmt: skip
    norm: Literal["frames", "components"] = param(
        "frames", "of soft_ce: mean over frames, or of each mixed clip over the frames where it is seen, summed",
        choices=("frames", "components"), source="ours; components: kkahatapitiya/SSDet",
    )  # fmt: skip

    def __post_init__(self) -> None:
        if self.use == "auxiliary" and self.loss == "soft_ce":
            raise ValueError(
                "loss: soft_ce takes frames with one class each, as those of trimmed clips; frames of the detection "
                "data have any number. Use bce or null, or use: pretrain"
            )
        if self.norm == "components" and self.kind_of_loss != "soft_ce":
            raise ValueError("norm: components belongs to soft_ce; use frames with bce")

    @property
    def kind_of_loss(self) -> Literal["soft_ce", "bce"]:
        """``loss``, where it is null as well."""
        return self.loss or ("soft_ce" if self.use == "pretrain" else "bce")

    def check_host(self, detector: Any) -> None:
        """Pretraining needs a host that has such a stage.

        Raises:
            ValueError: it has none.
        """
        pretrain = getattr(detector, "pretrain", None)
        if self.use == "pretrain" and (pretrain is None or pretrain.epochs == 0):
            raise ValueError(
                f"use: pretrain needs a detector that learns from trimmed clips first, and '{detector.key}' "
                + ("has no such stage" if pretrain is None else "does not: set detector.pretrain.epochs above 0")
                + ", or use: auxiliary"
            )

    def check_data(self, dataset: Any, data_root: Path) -> None:
        """Pretraining needs trimmed clips.

        Raises:
            ValueError: the data set has none.
        """
        if self.use == "pretrain":
            require_trimmed(f"task {self.key}", "use: auxiliary does without", dataset, data_root)

    def loss_weights(self) -> Mapping[str, float]:
        """One loss."""
        return {self.key: self.weight}

    @abstractmethod
    def scheme(self, inputs: str) -> Scheme:
        """What is drawn for clips that are "feats" or "frames"."""

    def build(self, *, host: Any, feat_channels: int, num_classes: int) -> Any:
        """The module; it has no weights."""
        return import_module("trainables.aux_tasks.volume.task").VolumeTask(
            name=self.key, host=host, scheme=self.scheme, pretrain=self.use == "pretrain", loss=self.kind_of_loss,
            norm=self.norm,
        )  # fmt: skip


def _p_apply(default: float | None, doc: str) -> Any:
    return param(default, doc, search=(0.3, 1.0), bounds=(0.0, 1.0), source="kkahatapitiya/SSDet")


@dataclass(frozen=True)
class VolumeFreeze(Pretext):
    """A frame stands still for a while: there the host has to see background."""

    key: ClassVar[str] = "volume_freeze"

    p_apply: float = _p_apply(1.0, "chance that a clip is frozen")
    vf: Freeze = _FREEZE

    def scheme(self, inputs: str) -> Scheme:
        """Volume Freeze alone."""
        return Scheme(("vf",), p_apply=self.p_apply, vf=self.vf)


@dataclass(frozen=True)
class VolumeMixup(Pretext):
    """One clip fades into another: where both are seen the host has to see both, in their shares."""

    key: ClassVar[str] = "volume_mixup"

    p_apply: float = _p_apply(1.0, "chance that a clip is mixed")
    vm: Mixup = _MIXUP

    def scheme(self, inputs: str) -> Scheme:
        """Volume MixUp alone."""
        return Scheme(("vm",), p_apply=self.p_apply, vm=self.vm)


@dataclass(frozen=True)
class VolumeCutmix(Pretext):
    """Two clips side by side: the host has to see both, in their shares of the picture."""

    key: ClassVar[str] = "volume_cutmix"
    inputs: ClassVar[str] = "frames"

    p_apply: float = _p_apply(1.0, "chance that a clip is cut")
    vc: Cutmix = _CUTMIX

    def scheme(self, inputs: str) -> Scheme:
        """Volume CutMix alone."""
        return Scheme(("vc",), p_apply=self.p_apply, vc=self.vc)


@dataclass(frozen=True)
class VolumeJoint(Pretext):
    """Several volume augmentations in one training."""

    key: ClassVar[str] = "volume_joint"

    kinds: tuple[Kind, ...] | None = param(
        None, "which of vf, vm and vc; null = all three on frames, vf and vm on features, which have no columns to cut",
        choices=(None, *_KINDS), source="Combining augmentations",
    )  # fmt: skip
    combine: Literal["one_of", "multi"] = param(
        "one_of", "each clip gets one of them, or each of them by chance", choices=("one_of", "multi"),
        source="Table 2a: joint train (single), joint train",
    )  # fmt: skip
    granularity: Literal["clip", "iteration"] = param(
        "clip", "chances are of each clip, or of the whole batch together (of each worker's, where there are several)",
        choices=("clip", "iteration"), source="ours; iteration: kkahatapitiya/SSDet",
    )  # fmt: skip
    p_apply: float | None = _p_apply(
        None, "chance that an augmentation is applied once it is its turn; null = 1, with multi 0.5"
    )
    vf: Freeze = _FREEZE
    vm: Mixup = _MIXUP
    vc: Cutmix = _CUTMIX

    def __post_init__(self) -> None:
        super().__post_init__()
        self.scheme("frames")  # refuses kinds that are none

    def check_host(self, detector: Any) -> None:
        """Features have no columns to cut.

        Raises:
            ValueError: ``kinds`` has vc and the host reads features; or see :meth:`Pretext.check_host`.
        """
        super().check_host(detector)
        if self.kinds is not None and "vc" in self.kinds and detector.inputs != "frames":
            raise ValueError(
                f"kinds: vc cuts columns of frames, detector '{detector.key}' reads {detector.inputs}; leave vc out"
            )

    def scheme(self, inputs: str) -> Scheme:
        """As configured."""
        kinds = self.kinds if self.kinds is not None else (KINDS if inputs == "frames" else ("vf", "vm"))
        p_apply = self.p_apply if self.p_apply is not None else {"one_of": 1.0, "multi": 0.5}[self.combine]
        return Scheme(kinds, self.combine, self.granularity, p_apply, self.vf, self.vm, self.vc)
