"""Non-maximum suppression in one dimension, over many groups at once, with deterministic ties."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Decay = Literal["hard", "truncated_gaussian"]


def tiou_1d(a: Tensor, b: Tensor) -> Tensor:
    """tIoU of broadcast pairs.

    Args:
        a: (..., 2) start, end.
        b: (..., 2).

    Returns:
        (...) in [0, 1]; 0 where both are empty.
    """
    inter = (torch.minimum(a[..., 1], b[..., 1]) - torch.maximum(a[..., 0], b[..., 0])).clamp(min=0)
    union = (a[..., 1] - a[..., 0]) + (b[..., 1] - b[..., 0]) - inter
    return inter / union.clamp(min=torch.finfo(union.dtype).tiny)


def pad_groups(group: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of each group side by side.

    Args:
        group: (N,) group of each row, any integers.

    Returns:
        (G, D) row indices, padded with 0, and (G, D) bool mask of the real ones; rows keep their order.
    """
    order = torch.argsort(group, stable=True)
    _, counts = torch.unique_consecutive(group[order], return_counts=True)
    num_groups, depth = len(counts), int(counts.max()) if len(counts) else 0
    row_of = torch.repeat_interleave(torch.arange(num_groups, device=group.device), counts)
    first = torch.cumsum(counts, 0) - counts
    column = torch.arange(len(group), device=group.device) - first[row_of]
    index = torch.zeros(num_groups, depth, dtype=torch.long, device=group.device)
    mask = torch.zeros(num_groups, depth, dtype=torch.bool, device=group.device)
    index[row_of, column] = order
    mask[row_of, column] = True
    return index, mask


def suppress(
    segments: Tensor,
    scores: Tensor,
    group: Tensor,
    *,
    decay: Decay,
    tiou_threshold: float,
    epsilon: float = 0.75,
    max_picks: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Pick the best remaining segment of every group, weaken the others, repeat: all groups in one loop.

    "truncated_gaussian" is Soft-NMS as KT-MGFN Eq. (7) has it: score <- score exp(-v^2 / epsilon) where the tIoU v with
    the picked segment is at least the threshold. "hard" removes where v >= threshold.

    Args:
        segments: (N, 2) start, end.
        scores: (N,) positive.
        group: (N,) only segments of one group see each other.
        decay: what happens to the overlapping ones.
        tiou_threshold: see above.
        epsilon: width of the decay.
        max_picks: stop after so many picks of each group.

    Returns:
        Indices of the kept segments and their final scores, in falling score within a group, groups ascending; of equal
        scores the earlier comes first.
    """
    if len(scores) == 0:
        return torch.zeros(0, dtype=torch.long, device=scores.device), scores
    index, real = pad_groups(group)
    left = torch.where(real, scores[index], torch.full_like(scores[index], -1.0))
    boxes = segments[index]
    rows = torch.arange(len(index), device=scores.device)
    picks = min(index.shape[1], max_picks or index.shape[1])
    chosen, values = [], []
    for _ in range(picks):
        best, at = left.max(dim=1)
        at = _first_of_equals(left, best)
        alive = best > 0
        if not bool(alive.any()):
            break
        chosen.append(torch.where(alive, index[rows, at], -1))
        values.append(best)
        overlap = tiou_1d(boxes, boxes[rows, at][:, None])
        near = overlap >= tiou_threshold
        if decay == "hard":
            left = torch.where(near, torch.full_like(left, -1.0), left)
        else:
            left = torch.where(near & (left > 0), left * torch.exp(-(overlap**2) / epsilon), left)
        left[rows, at] = -1.0
    kept, final = torch.stack(chosen, 1).reshape(-1), torch.stack(values, 1).reshape(-1)
    return kept[kept >= 0], final[kept >= 0]


def _first_of_equals(left: Tensor, best: Tensor) -> Tensor:
    """Position of the first maximum of each row: ``max`` alone does not promise which."""
    return (left == best[:, None]).to(torch.uint8).argmax(dim=1)
