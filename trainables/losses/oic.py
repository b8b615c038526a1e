"""The outer-inner-contrastive loss: a good segment is hot inside and cold around.

Source: AutoLoc (Shou et al., ECCV 2018); KT-MGFN Eq. (2). The printed Eq. (2) subtracts the two parts of the rim from
each other, which makes the denominator 0 for a symmetric rim; the sum, as zhengshou/AutoLoc:lib/layers/oic_loss.py has
it, is used here. Differs from AutoLoc: continuous ends, value in [-1, 1].
"""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.layers.integral import integral


def inflate(start: Tensor, end: Tensor, gamma: float, outer_min: float) -> tuple[Tensor, Tensor]:
    """Outer ends S = s - max(gamma w, outer_min), E = e + max(gamma w, outer_min) of segments of length w."""
    rim = (gamma * (end - start)).clamp(min=outer_min)
    return start - rim, end + rim


def oic_loss(
    cas_probs: Tensor, start: Tensor, end: Tensor, *, gamma: float, outer_min: float, eps: float = 1e-6
) -> Tensor:
    """Mean of the rim minus mean of the inside, one value a segment.

    Args:
        cas_probs: (S, T) sequences in [0, 1], 0 at padding; cells outside [0, T) count as 0.
        start: (S, n) in cells.
        end: (S, n), > start.
        gamma: rim on each side as a share of the length.
        outer_min: least rim on each side, cells.
        eps: floor of both lengths, cells.

    Returns:
        (S, n) in [-1, 1]; gradient reaches the ends, and the sequences unless they are detached.
    """
    outer_start, outer_end = inflate(start, end, gamma, outer_min)
    at = integral(cas_probs, torch.cat([start, end, outer_start, outer_end], dim=1))
    c_start, c_end, c_outer_start, c_outer_end = at.chunk(4, dim=1)
    inside = (c_end - c_start) / (end - start).clamp(min=eps)
    ring_length = (start - outer_start) + (outer_end - end)
    ring = ((c_start - c_outer_start) + (c_outer_end - c_end)) / ring_length.clamp(min=eps)
    return ring - inside
