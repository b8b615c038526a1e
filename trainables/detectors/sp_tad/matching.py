"""Which prediction stands for which instance: one each, at the least total cost.

Letters: B inputs, N predictions, M instances of the input that has most, K classes. Segments are (start, end) in shares
of the clip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from trainables.detectors.sp_tad.settings import Focal
from trainables.layers.tiou import paired_giou
from trainables.records import SegmentTargets

#: Matched to nothing.
UNMATCHED = -1

_EPS = 1e-8


@dataclass(frozen=True)
class Instances:
    """Annotated instances of a batch, padded.

    Attributes:
        segments: (B, M, 2) shares of the clip.
        labels: (B, M) int64 class ids, 0 where there is none.
        counts: number of instances of each input.
    """

    segments: Tensor
    labels: Tensor
    counts: tuple[int, ...]

    @classmethod
    def of(cls, targets: Sequence[SegmentTargets], num_samples: int) -> Instances:
        """From targets in samples of clips of ``num_samples``."""
        return cls(
            pad_sequence([t.segments_grid / num_samples for t in targets], batch_first=True),
            pad_sequence([t.labels for t in targets], batch_first=True),
            tuple(len(t.labels) for t in targets),
        )

    @property
    def total(self) -> int:
        """Instances of all inputs."""
        return sum(self.counts)


@torch.no_grad()
def match_cost(
    logits: Tensor, segments: Tensor, instances: Instances, *, weights: tuple[float, float, float], focal: Focal
) -> Tensor:
    """(B, N, M) cost of every pair.

    The class costs what the focal loss of a positive exceeds that of a negative by.

    Source: PeizeSun/SparseR-CNN:projects/SparseRCNN/sparsercnn/loss.py, ``HungarianMatcher``.

    Args:
        logits: (B, N, K).
        segments: (B, N, 2).
        instances: of the batch.
        weights: of class, distance of ends, generalised tIoU.
        focal: alpha and gamma.
    """
    index = instances.labels[:, None].expand(-1, logits.shape[1], -1)
    prob = logits.sigmoid().gather(2, index)
    positive = focal.alpha * (1 - prob) ** focal.gamma * -torch.log(prob + _EPS)
    negative = (1 - focal.alpha) * prob**focal.gamma * -torch.log(1 - prob + _EPS)
    pairs = segments[:, :, None], instances.segments[:, None]
    distance = (pairs[0] - pairs[1]).abs().sum(dim=-1)
    cost_class, cost_l1, cost_giou = weights
    return cost_class * (positive - negative) + cost_l1 * distance - cost_giou * paired_giou(*pairs)


def assign(cost: Tensor, counts: Sequence[int]) -> Tensor:
    """(B, N) index of each prediction's instance, ``UNMATCHED`` where it has none.

    Args:
        cost: (B, N, M).
        counts: of the instances of each input.

    Raises:
        ValueError: an input has more instances than there are predictions.
    """
    found = np.full(cost.shape[:2], UNMATCHED)
    if max(counts) > cost.shape[1]:
        raise ValueError(
            f"num_proposals: {cost.shape[1]} are fewer than the {max(counts)} instances of a clip; raise it, or "
            "shorten the clips"
        )
    # a cost that is not finite comes from a network that diverged, which the losses say
    costs = torch.nan_to_num(cost.double()).cpu().numpy()
    for row, own, count in zip(found, costs, counts, strict=True):
        predictions, matches = linear_sum_assignment(own[:, :count])
        row[predictions] = matches
    return torch.from_numpy(found).to(cost.device)
