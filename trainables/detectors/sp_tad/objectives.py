"""The losses of the stages, and that of the clip's classes.

Letters: S stages, B inputs, N predictions, M instances of the input that has most, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from trainables.detectors.sp_tad.matching import UNMATCHED, Instances
from trainables.detectors.sp_tad.settings import Focal
from trainables.layers.clip_classes import classes_present
from trainables.layers.tiou import paired_giou
from trainables.losses.focal import sigmoid_focal_loss
from trainables.records import SegmentTargets


def focal_class_loss(logits: Tensor, labels: Tensor, focal: Focal) -> Tensor:
    """Sum of focal losses of all rows and classes over the number of positive rows, at least 1.

    Args:
        logits: (..., K).
        labels: (...) int64, 0 = no class, classes from 1; rows below 0 take no part.
        focal: alpha and gamma.
    """
    taken = labels >= 0
    targets = F.one_hot(labels[taken], logits.shape[-1] + 1)[:, 1:]
    loss = sigmoid_focal_loss(logits[taken], targets, alpha=focal.alpha, gamma=focal.gamma)
    return loss.sum() / (labels > 0).sum().clamp(min=1)


def labels_of(matched: Tensor, instances: Instances) -> Tensor:
    """(B, N) labels from 1 of matched predictions, 0 of the others."""
    if instances.total == 0:
        return torch.zeros_like(matched)
    labels = instances.labels.gather(1, matched.clamp(min=0))
    return torch.where(matched == UNMATCHED, 0, labels + 1)


def matched_segments(matched: Tensor, instances: Instances) -> Tensor:
    """(B, N, 2) segments of the predictions' instances; zeros where a prediction has none."""
    found = instances.segments.new_zeros(*matched.shape, 2)
    row, place = torch.nonzero(matched != UNMATCHED, as_tuple=True)
    found[row, place] = instances.segments[row, matched[row, place]]
    return found


def segment_losses(segments: Tensor, matched: Tensor, instances: Instances) -> tuple[Tensor, Tensor]:
    """Distance of ends, and 1 - generalised tIoU: Eq. (3), sums over matched pairs over their number, at least 1.

    Args:
        segments: (B, N, 2) predictions.
        matched: (B, N) index of the instance, ``UNMATCHED`` where there is none.
        instances: of the batch.
    """
    real = matched != UNMATCHED
    own, target = segments[real], matched_segments(matched, instances)[real]
    count = max(instances.total, 1)
    return (own - target).abs().sum() / count, (1 - paired_giou(own, target)).sum() / count


def act_loss(logits: Tensor, targets: Sequence[SegmentTargets]) -> Tensor:
    """Binary cross-entropy of the classes whose instances belong to each clip, mean over (B, K)."""
    return F.binary_cross_entropy_with_logits(logits, classes_present(targets, logits))
