"""Boundary regression (III-E): offsets of the anchors at every sample, from a small convolutional net."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from trainables.layers.norms import make_norm


class BoundaryRegressor(nn.Module):
    """Three convolutions and an output layer that starts at zero offsets.

    Args:
        feat_dim: C of the input features.
        width: channels.
        num_anchors: M.
        batch_norm: after each convolution but the output, as AutoLoc has it.
    """

    def __init__(self, *, feat_dim: int, width: int, num_anchors: int, batch_norm: bool) -> None:
        super().__init__()
        sizes = [feat_dim, width, width, width]
        self.convs = nn.ModuleList(nn.Conv1d(a, b, 3, padding=1, bias=not batch_norm) for a, b in pairwise(sizes))
        self.norms = nn.ModuleList(make_norm("bn" if batch_norm else "none", width) for _ in self.convs)
        self.output = nn.Conv1d(width, 2 * num_anchors, 3, padding=1)
        # as AutoLoc: segments start as their anchors
        nn.init.normal_(self.output.weight, std=0.01)
        assert self.output.bias is not None, "a convolution with bias"
        nn.init.zeros_(self.output.bias)

    def forward(self, feats: Tensor, valid_mask: Tensor) -> Tensor:
        """(B, 2, M, T) offsets p_x, p_w from (B, C, T) features."""
        mask = valid_mask[:, None]
        x = feats * mask
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = torch.relu(norm(conv(x), valid_mask)) * mask
        offsets = self.output(x)
        return offsets.unflatten(1, (2, -1))
