"""The module of the task."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from trainables.contracts import TaskBase
from trainables.layers.dilated import DilatedBranch
from trainables.records import Batch, Outputs


class MdcCas(TaskBase):
    """Branches with different dilation rates on the host's features, trained on video labels.

    Args:
        feat_channels: C of the host's features.
        num_classes: K.
        dilations: a branch each.
    """

    def __init__(self, *, feat_channels: int, num_classes: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            DilatedBranch(width=feat_channels, num_classes=num_classes, dilation=d) for d in dilations
        )

    def losses(self, outputs: Outputs, batch: Batch) -> Mapping[str, Tensor]:
        """``mdc_cas``: binary cross-entropy, mean over branches, videos and classes."""
        if outputs.feats is None or batch.video_labels is None:
            raise ValueError("mdc_cas needs the host's feats and video labels")
        feats = outputs.feats
        logits = torch.stack([branch(feats, outputs.valid_mask)[0] for branch in self.branches])
        target = batch.video_labels.to(logits.dtype).expand_as(logits)
        return {"mdc_cas": nn.functional.binary_cross_entropy_with_logits(logits, target)}
