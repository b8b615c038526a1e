"""Which classes a clip shows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from trainables.records import SegmentTargets


def classes_present(targets: Sequence[SegmentTargets], like: Tensor) -> Tensor:
    """Multi-hot classes of the instances that belong to each of B clips.

    Args:
        targets: B of them.
        like: (B, K) logits, whose type and device the result has.
    """
    present = torch.zeros_like(like)
    for row, own in zip(present, targets, strict=True):
        row[own.labels] = 1.0
    return present
