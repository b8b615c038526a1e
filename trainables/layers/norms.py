"""Normalisation of sequences of different lengths: padding influences nothing.

Letters: B videos, W width, T samples.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

Norm = Literal["none", "bn", "gn"]


def make_norm(kind: Norm, width: int) -> nn.Module:
    """Module from (B, W, T) and (B, T) valid mask to (B, W, T): none, batch or group normalisation."""
    if kind == "gn":
        return GroupNorm(width)
    return BatchNorm(width) if kind == "bn" else Identity()


class GroupNorm(nn.Module):
    """Group normalisation over the valid snippets of a video (Wu and He 2018, arXiv:1803.08494).

    Args:
        width: W; there are up to 32 groups.
        eps: added to the variance.
    """

    def __init__(self, width: int, *, eps: float = 1e-5) -> None:
        super().__init__()
        self._groups, self._eps = math.gcd(32, width), eps
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor, valid_mask: Tensor) -> Tensor:
        """(B, W, T); values at padding have no meaning."""
        grouped = x.reshape(len(x), self._groups, -1, x.shape[2])
        mask = valid_mask[:, None, None].to(x.dtype)
        count = mask.sum(dim=(2, 3), keepdim=True) * grouped.shape[2]
        mean = (grouped * mask).sum(dim=(2, 3), keepdim=True) / count
        variance = ((grouped - mean).square() * mask).sum(dim=(2, 3), keepdim=True) / count
        scaled = ((grouped - mean) * torch.rsqrt(variance + self._eps)).flatten(1, 2)
        return scaled * self.weight[:, None] + self.bias[:, None]


class BatchNorm(nn.Module):
    """Batch normalisation over the valid snippets of all videos.

    Args:
        width: W.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(width)

    def forward(self, x: Tensor, valid_mask: Tensor) -> Tensor:
        """(B, W, T), 0 at padding."""
        rows = self.norm(x.transpose(1, 2)[valid_mask])
        result = x.new_zeros(x.shape[0], x.shape[2], x.shape[1], dtype=rows.dtype)
        result[valid_mask] = rows
        return result.transpose(1, 2)


class Identity(nn.Module):
    """No normalisation."""

    def forward(self, x: Tensor, valid_mask: Tensor) -> Tensor:
        """As it came."""
        return x
