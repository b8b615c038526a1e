"""Variance voting: segments that survived suppression move to the mean of what their neighbours are sure of."""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.layers.groups import Groups
from trainables.layers.tiou import check_segments, paired_tiou

#: Pairs of kept segment and voter at once.
_PAIRS = 1 << 20


@torch.no_grad()
def variance_vote(
    kept: Tensor,
    kept_group: Tensor,
    voters: Tensor,
    sigmas: Tensor,
    voter_group: Tensor,
    *,
    sigma_t: float,
    min_tiou: float = 0.01,
) -> Tensor:
    """Each end becomes sum_j p_j b_j / sigma_j^2 over sum_j p_j / sigma_j^2, with p_j = exp(-(1 - tIoU)^2 / sigma_t).

    Source: He et al. 2019, arXiv:1809.08545, Eqs. (11) and (12), as ethanhe42/KL-Loss:detectron/utils/py_cpu_nms.py
    has it. Differs: a segment without a voter stays where it is, and so does one that would end before its start.

    Args:
        kept: (n, 2) start, end.
        kept_group: (n,) integers; only voters of the same group count.
        voters: (N, 2) start, end, same unit; the kept segments themselves where they are to have a vote.
        sigmas: (N, 2) deviation of each end, above 0.
        voter_group: (N,) integers.
        sigma_t: see above; smaller = nearer neighbours only.
        min_tiou: voters at or below it have none.

    Returns:
        (n, 2) double.

    Raises:
        ValueError: a bad segment or deviation (first bad row is named).
    """
    check_segments(kept, what="kept")
    check_segments(voters, what="voters")
    if not bool((sigmas > 0).all()):
        row = int(torch.nonzero(~(sigmas > 0).all(dim=1))[0])
        raise ValueError(f"sigmas: row {row} is {sigmas[row].tolist()}; a deviation is above 0")
    moved = kept.double().clone()
    if len(voters) == 0:
        return moved
    groups = Groups.of(voter_group)
    order = torch.arange(len(voters), device=voters.device) if groups.order is None else groups.order
    names = voter_group[order[groups.first]]
    place = torch.searchsorted(names, kept_group).clamp(max=len(names) - 1)
    rows = torch.nonzero(names[place] == kept_group)[:, 0]
    step = max(1, _PAIRS // int(groups.counts.max()))
    for part in (rows[k : k + step] for k in range(0, len(rows), step)):
        position, real = groups.positions(place[part], int(groups.counts[place[part]].max()))
        near = order[position]  # (D, n)
        own, ends = moved[part], voters[near].double()
        tiou = paired_tiou(ends, own)
        vote = torch.where(real & (tiou > min_tiou), torch.exp(-(1 - tiou).square() / sigma_t), 0.0)
        weight = vote[:, :, None] / sigmas[near].double().square()
        total = weight.sum(dim=0)
        mean = (weight * ends).sum(dim=0) / total
        sound = (total > 0).all(dim=1, keepdim=True) & (mean[:, 1:] > mean[:, :1])
        moved[part] = torch.where(sound, mean, own)
    return moved
