"""The multi-dilated classifier of KT-MGFN (III-C): base network, dilated branches, class activation maps.

Letters: B videos, C input channels, W width, T samples, K classes, N branches.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Classified:
    """What a classifier stage gives.

    Attributes:
        logits: (N, B, K) of each branch.
        cas: (B, K, T) fused class activation sequence, unbounded.
        feats: (B, W, T) of the base network.
        pooled: (N, B, W) mean over valid positions of each branch, what its head reads.
    """

    logits: Tensor
    cas: Tensor
    feats: Tensor
    pooled: Tensor


def masked_mean(x: Tensor, valid_mask: Tensor) -> Tensor:
    """(B, C) mean of (B, C, T) over valid positions."""
    weight = valid_mask[:, None].to(x.dtype)
    return (x * weight).sum(dim=2) / weight.sum(dim=2).clamp(min=1)


def fuse_branches(cas: Tensor, dilations: tuple[int, ...]) -> Tensor:
    """H = H_1 + mean of the dilated branches (KT-MGFN III-C).

    Args:
        cas: (N, B, K, T), one per dilation.
        dilations: N rates; those of 1 are the plain branch.
    """
    plain = [h for h, d in zip(cas, dilations, strict=True) if d == 1]
    dilated = [h for h, d in zip(cas, dilations, strict=True) if d > 1]
    parts = [torch.stack(group).mean(dim=0) for group in (plain, dilated) if group]
    return torch.stack(parts).sum(dim=0)


class DilatedBranch(nn.Module):
    """Convolution with one dilation rate, and a linear head on its mean.

    Args:
        width: W.
        num_classes: K.
        dilation: rate; the padding keeps T.
    """

    def __init__(self, *, width: int, num_classes: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.head = nn.Linear(width, num_classes)

    def forward(self, x: Tensor, valid_mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, K) logits, (B, K, T) activation map whose mean over T plus the bias is the logit, (B, W) pooled."""
        z = torch.relu(self.conv(x)) * valid_mask[:, None]
        pooled = masked_mean(z, valid_mask)
        return self.head(pooled), torch.einsum("kc,bct->bkt", self.head.weight, z), pooled


class DilatedClassifier(nn.Module):
    """One stage: base network, branches, fusion.

    Args:
        feat_dim: C.
        num_classes: K.
        width: W.
        layers: convolutions of the base network.
        kernel: their size, odd.
        dropout: on the input.
        dilations: a branch each.
        per_branch_head: every branch has a linear head of its own, or all share one.
    """

    def __init__(
        self,
        *,
        feat_dim: int,
        num_classes: int,
        width: int,
        layers: int,
        kernel: int,
        dropout: float,
        dilations: tuple[int, ...],
        per_branch_head: bool = True,
    ) -> None:
        super().__init__()
        self.dilations = dilations
        self.dropout = nn.Dropout(dropout)
        sizes = [feat_dim] + [width] * layers
        self.base = nn.ModuleList(nn.Conv1d(a, b, kernel, padding=kernel // 2) for a, b in pairwise(sizes))
        self.branches = nn.ModuleList(
            DilatedBranch(width=width, num_classes=num_classes, dilation=d) for d in dilations
        )
        if not per_branch_head:
            for branch in self.branches:
                branch.head = self.branches[0].head

    def forward(self, feats: Tensor, valid_mask: Tensor) -> Classified:
        """Classify (B, C, T) features; padding influences nothing."""
        mask = valid_mask[:, None]
        x = self.dropout(feats) * mask
        for conv in self.base:
            x = torch.relu(conv(x)) * mask
        logits, cas, pooled = (
            torch.stack(part) for part in zip(*(b(x, valid_mask) for b in self.branches), strict=True)
        )
        return Classified(logits, fuse_branches(cas, self.dilations), x, pooled)
