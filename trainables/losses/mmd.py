"""Maximum mean discrepancy of two sets of vectors under Gaussian kernels (KT-MGFN Eq. (3))."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Kernel = Literal["multi5", "single"]

#: Powers of two around the mean squared distance; jindongwang/transferlearning:code/distance/mmd_pytorch.py.
_POWERS = {"multi5": (-2, -1, 0, 1, 2), "single": (0,)}


def mean_squared_distance(points: Tensor) -> Tensor:
    """Mean of |x_i - x_j|^2 over i != j, without gradient: a bandwidth that follows the data must not be trained.

    Args:
        points: (..., N, D), N > 1.

    Returns:
        (...) at least the smallest normal number.
    """
    distances = _squared_distances(points.detach(), points.detach())
    number = points.shape[-2]
    mean = distances.sum(dim=(-2, -1)) / (number * (number - 1))
    return mean.clamp(min=torch.finfo(points.dtype).tiny)


def mmd2(source: Tensor, target: Tensor, *, bandwidth: Tensor, kernel: Kernel = "multi5") -> Tensor:
    """Squared MMD, the biased estimate with the diagonals: never negative, 0 for equal sets.

    k(x, y) = mean over i of exp(-|x - y|^2 / w_i), w_i = bandwidth 2^i, i = -2..2 ("multi5") or 0 ("single"). Averaged,
    so that the value stays in [0, 2] whatever the number of kernels.

    Args:
        source: (..., N, D).
        target: (..., M, D).
        bandwidth: (...) squared length, see :func:`mean_squared_distance`.
        kernel: see above.

    Returns:
        (...) in [0, 2]; gradient reaches both sets.
    """
    scales = bandwidth[..., None, None, None] * torch.tensor(
        [2.0**power for power in _POWERS[kernel]], dtype=source.dtype, device=source.device
    )

    def mean_kernel(a: Tensor, b: Tensor) -> Tensor:
        values = torch.exp(-_squared_distances(a, b)[..., None] / scales)
        return values.mean(dim=(-3, -2, -1))

    return mean_kernel(source, source) + mean_kernel(target, target) - 2 * mean_kernel(source, target)


def _squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """(..., N, M); by differences, because a root would have no gradient at 0."""
    return (a[..., :, None, :] - b[..., None, :, :]).square().sum(dim=-1)
