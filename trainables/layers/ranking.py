"""The best rows of every group, before suppression (a cheap cut) and after it (detections of a video)."""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def best_per_group(
    scores: Tensor, group: Tensor, *, max_num: int | None = None, min_score: float | None = None
) -> Tensor:
    """Rows of the highest scores in each group.

    After class-wise suppression ``group`` is the video, and the classes of a video compete. Before suppression it is
    whatever is to be suppressed together.

    Args:
        scores: (N,).
        group: (N,) integers.
        max_num: rows of each group, None = all.
        min_score: rows below are left out.

    Returns:
        (n,) rows in falling score within a group, groups ascending; of equal scores the earlier row comes first.

    Raises:
        ValueError: shapes differ, ``max_num`` below 1, or a score is NaN (first bad row is named).
    """
    if scores.shape != group.shape or scores.dim() != 1:
        raise ValueError(f"scores {tuple(scores.shape)} and group {tuple(group.shape)} must be two lists of one length")
    if max_num is not None and max_num < 1:
        raise ValueError(f"max_num: {max_num} must be at least 1; None keeps all")
    if bool(scores.isnan().any()):
        raise ValueError(f"scores: row {int(torch.nonzero(scores.isnan())[0])} is nan, which has no rank")
    order = torch.argsort(scores, descending=True, stable=True)
    if min_score is not None:
        order = order[scores[order] >= min_score]
    sorted_group, by_group = torch.sort(group[order], stable=True)
    order = order[by_group]
    if max_num is None:
        return order
    _, counts = torch.unique_consecutive(sorted_group, return_counts=True)
    first = torch.repeat_interleave(torch.cumsum(counts, 0) - counts, counts)
    rank = torch.arange(len(order), device=order.device) - first
    return order[rank < max_num]
