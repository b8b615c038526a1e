"""The module of the task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from trainables.contracts import TaskBase
from trainables.layers.cas import erased_positions, normalise_cas
from trainables.layers.dilated import DilatedBranch
from trainables.records import Batch, Outputs

#: Where a host keeps the normalised (B, K, T) sequence that its inference reads.
_CAS = "cas"


class Oae(TaskBase):
    """A classifier on erased features, and the union of both sequences at inference.

    Args:
        feat_channels: C of the host's features.
        num_classes: K.
        xi_era: erasing threshold.
        test_class_prob: at test, classes whose evidence is erased.
    """

    def __init__(self, *, feat_channels: int, num_classes: int, xi_era: float, test_class_prob: float) -> None:
        super().__init__()
        self.branch = DilatedBranch(width=feat_channels, num_classes=num_classes, dilation=1)
        self._xi_era, self._test_class_prob = xi_era, test_class_prob

    def losses(self, outputs: Outputs, batch: Batch) -> Mapping[str, Tensor]:
        """``oae``: binary cross-entropy of the second classifier, mean over videos and classes."""
        if batch.video_labels is None:
            raise ValueError("oae needs video labels; the batch has none")
        logits, _ = self._second(outputs, batch.video_labels > 0)
        target = batch.video_labels.to(logits.dtype)
        return {"oae": nn.functional.binary_cross_entropy_with_logits(logits, target)}

    def refine(self, outputs: Outputs, batch: Batch) -> Outputs:
        """The host's normalised sequence becomes the larger of its own and the second classifier's, where it has one.

        Args:
            outputs: ``raw["cas"]`` is the (B, K, T) sequence in [0, 1] that the host's inference reads.
            batch: its labels are not read.
        """
        if _CAS not in outputs.raw:
            return outputs
        _, cas = self._second(outputs, self._likely(outputs))
        found = normalise_cas(cas, outputs.valid_mask)
        return replace(outputs, raw={**outputs.raw, _CAS: torch.maximum(outputs.raw[_CAS], found)})

    def _second(self, outputs: Outputs, classes: Tensor) -> tuple[Tensor, Tensor]:
        """(B, K) logits and (B, K, T) map of the features without what the host has found of these classes."""
        feats, cas, valid = outputs.feats, outputs.cas_logits, outputs.valid_mask
        if feats is None or cas is None:
            raise ValueError("oae needs the host's feats and cas_logits")
        erased = erased_positions(normalise_cas(cas, valid), classes, valid, self._xi_era)
        logits, second, _ = self.branch(feats * ~erased[:, None], valid)
        return logits, second

    def _likely(self, outputs: Outputs) -> Tensor:
        """(B, K) probable classes, at least the best one, by the host's video logits or the mean of its sequence."""
        logits = outputs.video_logits
        if logits is None:
            if outputs.cas_logits is None:
                raise ValueError("oae needs the host's feats and cas_logits")
            weight = outputs.valid_mask[:, None].to(outputs.cas_logits.dtype)
            logits = (outputs.cas_logits * weight).sum(dim=2) / weight.sum(dim=2).clamp(min=1)
        probs = torch.sigmoid(logits)
        best = nn.functional.one_hot(probs.argmax(dim=1), probs.shape[1]).bool()
        return (probs >= self._test_class_prob) | best
