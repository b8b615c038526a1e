"""The module of the task."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from trainables.config import Sampling
from trainables.contracts import Inputs, TaskBase, View
from trainables.layers.dilated import masked_mean
from trainables.losses.mmd import Kernel
from trainables.losses.transfer import Scope, TransferLoss
from trainables.records import Batch, Outputs


class KtMmd(TaskBase):
    """Discrepancy between the host's pooled features of a batch and of trimmed clips.

    The reference is what the host's weights at the beginning of the epoch make of the clips: a host trained from
    scratch has no other classifier of clips to follow.

    Args:
        length: samples per clip.
        num_trimmed: clips drawn per class and step.
        kernel: of the discrepancy.
        scope: clips against videos of the same class, or of the whole batch.
    """

    def __init__(self, *, length: int, num_trimmed: int, kernel: Kernel, scope: Scope) -> None:
        super().__init__()
        self._sampling = Sampling("uniform", "uniform", length)
        self._transfer = TransferLoss(num_trimmed=num_trimmed, kernel=kernel, scope=scope)

    @torch.no_grad()
    def begin_epoch(self, host: View, inputs: Inputs) -> None:
        """Take the reference anew."""
        self._transfer.fill_from(inputs("trimmed", self._sampling), lambda batch: self._pool(host(batch)))

    def losses(self, outputs: Outputs, batch: Batch) -> Mapping[str, Tensor]:
        """``kt_mmd``: squared MMD, mean over the classes of the batch that have clips."""
        if batch.video_labels is None:
            raise ValueError("kt_mmd needs video labels; the batch has none")
        return {"kt_mmd": self._transfer(self._pool(outputs), batch.video_labels)}

    @staticmethod
    def _pool(outputs: Outputs) -> Tensor:
        """(B, 1, C) mean over time."""
        if outputs.feats is None:
            raise ValueError("kt_mmd needs the host's feats")
        return masked_mean(outputs.feats, outputs.valid_mask)[:, None]
