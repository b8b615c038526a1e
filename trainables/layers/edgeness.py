"""Temporal contrast and edgeness of class score sequences (CleanNet 3.3.2, Eqs. 6 and 7).

Letters: S sequences, T snippets, W window.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Tie = Literal["first", "nearest"]


def window_maximum(values: Tensor, valid_mask: Tensor, *, window: int, tie: Tie) -> tuple[Tensor, Tensor]:
    """Maximum of the window around every snippet, and where it lies.

    Args:
        values: (S, T).
        valid_mask: (S, T); what is not valid is never chosen.
        window: W, odd; at the ends of the sequence it is cut.
        tie: of equal values the "first", as max pooling has it, or the one "nearest" to the snippet (of two equally
            near ones the earlier), a choice that does not depend on the direction of time.

    Returns:
        (S, T) values with gradient and (S, T) indices into T; without meaning where a snippet is not valid.
    """
    half = window // 2
    offset = torch.arange(-half, half + 1, device=values.device)
    order = offset if tie == "first" else 2 * offset.abs() + (offset > 0)
    hidden = values.detach().masked_fill(~valid_mask, float("-inf"))
    around = torch.nn.functional.pad(hidden, (half, half), value=float("-inf")).unfold(1, window, 1)  # (S, T, W)
    best = around == around.amax(dim=2, keepdim=True)
    chosen = torch.where(best, order, order.amax() + 1).argmin(dim=2)
    last = values.shape[1] - 1
    index = (torch.arange(last + 1, device=values.device) + offset[chosen]).clamp(0, last)
    return values.gather(1, index), index


def edgeness(cas_probs: Tensor, valid_mask: Tensor, *, window: int, tie: Tie = "first") -> Tensor:
    """e = m c: how sharply the sequence rises (positive) or falls (negative) around each snippet.

    Eq. (6): c = (maximum - minimum) / distance of the two in the window, 0 where they coincide. The paper prints m on
    its left side; m is the sign of Eq. (7): +1 from the minimum up to before a later maximum, -1 from the maximum up to
    before a later minimum, otherwise 0.

    Args:
        cas_probs: (S, T).
        valid_mask: (S, T).
        window: W, odd, snippets.
        tie: see :func:`window_maximum`.

    Returns:
        (S, T), in [-1, 1] for sequences in [0, 1], 0 at padding; gradient reaches the values, not the places.
    """
    high, at_high = window_maximum(cas_probs, valid_mask, window=window, tie=tie)
    low, at_low = window_maximum(-cas_probs, valid_mask, window=window, tie=tie)
    # maximum and minimum coincide only where the window is constant, and then the numerator is 0
    contrast = (high + low) / (at_high - at_low).abs().clamp(min=1)
    here = torch.arange(cas_probs.shape[1], device=cas_probs.device)
    rising = (at_low <= here) & (here < at_high)
    falling = (at_high <= here) & (here < at_low)
    return contrast * (rising.to(contrast.dtype) - falling.to(contrast.dtype)) * valid_mask
