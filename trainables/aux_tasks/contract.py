"""What every auxiliary task is: a configuration class without torch, and the module it builds.

A task is found through the entry point group ``tadtune.tasks``; the entry point names its ``Config`` class. A task
knows the host detector only through the views of :class:`trainables.records.Outputs` it requires, and through the
operations the host declares for them (a region-based host's pooling, for instance).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from trainables.detectors.contract import Detector
from trainables.records import Batch, Detections, Outputs, RawOutput, Supervision


class TaskConfig(Protocol):
    """The ``Config`` dataclass of an auxiliary task (frozen, imports no torch at module level)."""

    key: ClassVar[str]
    paper: ClassVar[str]
    #: least supervision the task reads: a task that needs "segments" never runs beside a detector that may not.
    supervision: ClassVar[Supervision]
    #: views of ``Outputs`` the host must offer.
    requires: ClassVar[tuple[str, ...]]

    def loss_weights(self) -> Mapping[str, float]:
        """Loss name -> weight, in every phase of the host."""
        ...

    def build(self, *, host: Detector, feat_channels: int, num_classes: int) -> TaskBase:
        """Make the module.

        Args:
            host: the detector the task is attached to.
            feat_channels: C of the host's ``Outputs.feats``.
            num_classes: K.
        """
        ...


class TaskBase(torch.nn.Module):
    """Base of every task's module: ``losses`` must be given, the other hooks leave things as they are."""

    def losses(self, outputs: Outputs, batch: Batch) -> Mapping[str, Tensor]:
        """Unweighted scalar losses, exactly the names of ``Config.loss_weights``."""
        raise TypeError(f"{type(self).__name__} defines no losses")

    def transform(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Change a training batch before the forward pass (volume augmentation)."""
        return batch

    def refine(self, outputs: Outputs, batch: Batch) -> Outputs:
        """Change the host's outputs at inference, before they are stored (corrected class logits)."""
        return outputs

    def raw(self, outputs: Outputs) -> Mapping[str, Tensor]:
        """Further (B, ...) tensors to store with the host's raw outputs, for ``rescore``."""
        return {}

    def rescore(self, detections: Detections, raw: Sequence[RawOutput]) -> Detections:
        """Change detections at inference, from what ``raw`` stored."""
        return detections
