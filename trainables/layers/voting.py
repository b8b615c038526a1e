"""Score voting: segments that survived suppression move to the mean of their neighbours."""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.layers.groups import Groups
from trainables.layers.tiou import check_segments, paired_tiou

#: Pairs of kept segment and candidate at once.
_PAIRS = 1 << 20


@torch.no_grad()
def vote_segments(segments: Tensor, scores: Tensor, group: Tensor, kept: Tensor, *, tiou_threshold: float) -> Tensor:
    """Ends of the kept segments, averaged over all candidates that overlap them enough, weighted by original scores.

    Source: box voting of Gidaris and Komodakis 2015, arXiv:1505.01749, Section 5, as
    happyharrycn/actionformer_release:libs/utils/nms.py has it for class-agnostic suppression. Differs: a kept segment
    that nothing overlaps enough, not even itself because it is empty, stays where it is instead of becoming NaN.

    Args:
        segments: (N, 2) all candidates, start and end, as they went into suppression.
        scores: (N,) their scores before any decay, not negative.
        group: (N,) integers; only candidates of the same group vote.
        kept: (n,) rows that suppression kept, any order.
        tiou_threshold: a candidate votes where its tIoU with the kept segment is at least this.

    Returns:
        (n, 2) new start, end of the kept rows.

    Raises:
        ValueError: a bad segment (first bad row is named), or a score below 0.
    """
    check_segments(segments, what="segments")
    if bool((scores < 0).any()):
        raise ValueError(f"scores: row {int(torch.nonzero(scores < 0)[0])} is negative and cannot weigh a mean")
    if len(kept) == 0:
        return segments[kept]
    groups = Groups.of(group)
    order = torch.arange(len(group), device=group.device) if groups.order is None else groups.order
    of_kept = torch.searchsorted(group[order[groups.first]], group[kept])
    step = max(1, _PAIRS // int(groups.counts.max()))
    voted = [
        _voted(segments, scores, order, groups, kept[k : k + step], of_kept[k : k + step], tiou_threshold)
        for k in range(0, len(kept), step)
    ]
    return torch.cat(voted)


def _voted(
    segments: Tensor, scores: Tensor, order: Tensor, groups: Groups, kept: Tensor, members: Tensor, threshold: float
) -> Tensor:
    """(n, 2) new ends of some kept rows, whose groups are ``members``."""
    position, real = groups.positions(members, int(groups.counts[members].max()))
    rows = order[position]  # (D, n)
    own, near = segments[kept], segments[rows]
    weight = torch.where(real & (paired_tiou(near, own) >= threshold), scores[rows], 0.0)
    total = weight.sum(dim=0)[:, None]
    mean = (weight[:, :, None] * near).sum(dim=0) / total
    return torch.where(total > 0, mean, own)
