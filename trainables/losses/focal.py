"""Focal loss of independent binary decisions."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def sigmoid_focal_loss(logits: Tensor, targets: Tensor, *, alpha: float, gamma: float) -> Tensor:
    """alpha_t (1 - p_t)^gamma times the binary cross-entropy; no reduction.

    Source: Lin et al. 2017, arXiv:1708.02002, Eq. (5). Powers are taken of exponents, so that no gradient is NaN where
    p_t is 1 and gamma below 1.

    Args:
        logits: any shape.
        targets: same shape, 0 or 1.
        alpha: weight of positives; negatives have 1 - alpha.
        gamma: how fast sure decisions lose weight.
    """
    right = torch.where(targets > 0, logits, -logits)  # logit of the decision being right: p_t is its sigmoid
    weight = torch.where(targets > 0, alpha, 1 - alpha)
    return weight * torch.exp(-gamma * F.softplus(right)) * F.softplus(-right)
