"""The outer-inner-contrastive loss: a good segment is hot inside and cold around.

Source: AutoLoc (Shou et al., ECCV 2018); KT-MGFN Eq. (2). The printed Eq. (2) subtracts the two parts of the rim from
each other, which makes the denominator 0 for a symmetric rim; the sum, as zhengshou/AutoLoc:lib/layers/oic_loss.py has
it, is used here. Differs from AutoLoc: value in [-1, 1], ends of cells [t, t + 1), outer ends are never clipped, and,
unless ``mode`` says "discrete", continuous ends.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from trainables.layers.integral import integral

OicMode = Literal["continuous", "discrete"]


def inflate(start: Tensor, end: Tensor, gamma: float, outer_min: float) -> tuple[Tensor, Tensor]:
    """Outer ends S = s - max(gamma w, outer_min), E = e + max(gamma w, outer_min) of segments of length w."""
    rim = _rim(start, end, gamma, outer_min)
    return start - rim, end + rim


def _rim(start: Tensor, end: Tensor, gamma: float, outer_min: float) -> Tensor:
    return (gamma * (end - start)).clamp(min=outer_min)


def oic_loss(
    cas_probs: Tensor,
    start: Tensor,
    end: Tensor,
    *,
    gamma: float,
    outer_min: float,
    mode: OicMode = "continuous",
    eps: float = 1e-6,
) -> Tensor:
    """Mean of the rim minus mean of the inside, one value a segment.

    "continuous" takes shares of the cells at the ends, and its gradient is that of its value. "discrete" is AutoLoc's:
    whole cells, from that of the start to that which ends last before the end, with the gradient that AutoLoc writes by
    hand, see :func:`_on_whole_cells`.

    Args:
        cas_probs: (S, T) sequences in [0, 1], 0 at padding; cells outside [0, T) count as 0.
        start: (S, n) in cells.
        end: (S, n), > start.
        gamma: rim on each side as a share of the length.
        outer_min: least rim on each side, cells.
        mode: see above.
        eps: floor of both lengths of "continuous", cells.

    Returns:
        (S, n) in [-1, 1] for sequences in [0, 1]; gradient reaches the ends, and the sequences unless they are
        detached.
    """
    if mode == "discrete":
        return _on_whole_cells(cas_probs, start, end, _rim(start, end, gamma, outer_min).detach())
    outer_start, outer_end = inflate(start, end, gamma, outer_min)
    at = integral(cas_probs, torch.cat([start, end, outer_start, outer_end], dim=1))
    c_start, c_end, c_outer_start, c_outer_end = at.chunk(4, dim=1)
    inside = (c_end - c_start) / (end - start).clamp(min=eps)
    ring_length = (start - outer_start) + (outer_end - end)
    ring = ((c_start - c_outer_start) + (c_outer_end - c_end)) / ring_length.clamp(min=eps)
    return ring - inside


def _on_whole_cells(cas_probs: Tensor, start: Tensor, end: Tensor, rim: Tensor) -> Tensor:
    """The loss with all four ends on whole cells, and the gradient of zhengshou/AutoLoc:lib/layers/oic_loss.py.

    Cells run from floor(start) to floor(end - 1) inclusive, outside from floor(start - rim) to floor(end - 1 + rim); a
    segment shorter than a cell is the cell of its start. Where the rim has no cell the loss is 1, its worst, and has no
    gradient. The gradient takes an end for a continuous one within its cell, and lets an outer end move exactly as its
    inner end does, whatever gamma is.

    Args:
        cas_probs: (S, T).
        start: (S, n).
        end: (S, n).
        rim: (S, n), no gradient.
    """
    left = start.detach()
    right = torch.maximum(end.detach() - 1, left)
    first, last, outer_first, outer_last = (x.floor() for x in (left, right, left - rim, right + rim))
    below = integral(cas_probs, torch.cat([first, last + 1, outer_first, outer_last + 1], dim=1))
    c_first, c_last, c_outer_first, c_outer_last = below.chunk(4, dim=1)
    num_inside = last - first + 1
    num_ring = (first - outer_first) + (outer_last - last)
    has_ring = num_ring > 0
    inside = (c_last - c_first) / num_inside
    ring = ((c_first - c_outer_first) + (c_outer_last - c_last)) / num_ring.clamp(min=1)
    value = torch.where(has_ring, ring - inside, 1.0)

    at_first, at_last, at_outer_first, at_outer_last = _cells(
        cas_probs.detach(), torch.cat([first, last, outer_first, outer_last], dim=1)
    ).chunk(4, dim=1)
    mean, share = inside.detach(), has_ring / num_ring.clamp(min=1)
    by_start = (at_first - mean) / num_inside * has_ring + (at_first - at_outer_first) * share
    by_end = (mean - at_last) / num_inside * has_ring + (at_outer_last - at_last) * share
    return value + by_start * (start - start.detach()) + by_end * (end - end.detach())


def _cells(a: Tensor, index: Tensor) -> Tensor:
    """(S, n) values of (S, T) sequences at whole positions; 0 outside."""
    inside = (index >= 0) & (index < a.shape[1])
    return torch.gather(a, 1, index.clamp(0, a.shape[1] - 1).long()) * inside
