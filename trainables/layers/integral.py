"""The running integral of a sequence on a continuous axis, differentiable in its ends.

Snippet t covers [t, t + 1) of the axis [0, T]; outside, every sequence is 0. dC/dx = a[floor(x)], which is the boundary
gradient that zhengshou/AutoLoc:lib/layers/oic_loss.py writes by hand.
"""

from __future__ import annotations

import torch
from torch import Tensor


def cumulative(a: Tensor) -> Tensor:
    """C at whole positions.

    Args:
        a: (..., T) sequence.

    Returns:
        (..., T + 1), starting with 0.
    """
    return torch.nn.functional.pad(a.cumsum(dim=-1), (1, 0))


def integral(a: Tensor, x: Tensor) -> Tensor:
    """C(x) = sum of a_i over i < floor(x), plus (x - floor(x)) a_floor(x), with x clamped to [0, T].

    Gradient flows to ``x`` (inside the axis) and to ``a``.

    Args:
        a: (S, T) sequences.
        x: (S, n) positions.

    Returns:
        (S, n).
    """
    length = a.shape[-1]
    clamped = x.clamp(0, length)
    low = clamped.detach().floor().clamp(max=length - 1).long()
    whole = torch.gather(cumulative(a), 1, low)
    return whole + (clamped - low) * torch.gather(a, 1, low)


def mean_between(a: Tensor, start: Tensor, end: Tensor, *, eps: float = 1e-6) -> Tensor:
    """Mean of the sequences over [start, end).

    Args:
        a: (S, T).
        start: (S, n).
        end: (S, n), >= start.
        eps: floor of the length, in snippets.

    Returns:
        (S, n).
    """
    return (integral(a, end) - integral(a, start)) / (end - start).clamp(min=eps)
