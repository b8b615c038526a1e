"""Class activation sequences: normalisation and erasing."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

CasNorm = Literal["minmax", "sigmoid", "relu_max", "none"]


def normalise_cas(cas: Tensor, valid_mask: Tensor, how: CasNorm = "minmax") -> Tensor:
    """CAS in [0, 1] ("none": as unbounded as it came), 0 at padding.

    "minmax" per video and class: (H - min) / (max - min), 0 everywhere where max = min, as
    xiaomengyc/ACoL:models/vgg/vgg_v1.py does for images; the extrema carry no gradient, or the peak and the floor would
    receive everybody's. "relu_max": max(H, 0) / max. "sigmoid": the logistic function. "none": H itself.

    Args:
        cas: (B, K, T) unbounded.
        valid_mask: (B, T).
        how: see above.
    """
    valid = valid_mask[:, None]
    if how == "none":
        return torch.where(valid, cas, 0.0)
    if how == "sigmoid":
        return torch.sigmoid(cas) * valid
    constant = cas.detach()
    low = constant.masked_fill(~valid, float("inf")).amin(dim=2, keepdim=True)
    high = constant.masked_fill(~valid, float("-inf")).amax(dim=2, keepdim=True)
    if how == "relu_max":
        cas, low, high = cas.clamp(min=0), torch.zeros_like(low), high.clamp(min=0)
    spread = high - low
    flat = ~(spread > 0)
    scaled = (cas - torch.where(flat, 0.0, low)) / torch.where(flat, 1.0, spread)
    return torch.where(flat | ~valid, 0.0, scaled)


def erased_positions(
    cas_probs: Tensor, classes: Tensor, valid_mask: Tensor, threshold: float, *, max_share: float = 0.9
) -> Tensor:
    """Positions whose evidence for any of the classes has been found (KT-MGFN III-C, the erasing threshold xi_era).

    Args:
        cas_probs: (B, K, T) normalised.
        classes: (B, K) bool, the classes that count.
        valid_mask: (B, T).
        threshold: erased where the CAS reaches it.
        max_share: of the valid positions; where more would go, those with the least evidence stay.

    Returns:
        (B, T) bool, True = erased; no gradient.
    """
    evidence = cas_probs.detach().masked_fill(~classes[:, :, None], 0.0).amax(dim=1)
    erased = (evidence >= threshold) & valid_mask & classes.any(dim=1, keepdim=True)
    num_valid = valid_mask.sum(dim=1)
    too_many = erased.sum(dim=1) > max_share * num_valid
    if bool(too_many.any()):
        rank = evidence.masked_fill(~valid_mask, float("inf")).argsort(dim=1, stable=True).argsort(dim=1)
        kept = rank < (num_valid - (max_share * num_valid).floor())[:, None]
        erased = torch.where(too_many[:, None], erased & ~kept, erased)
    return erased
