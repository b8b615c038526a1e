"""Losses of per-frame class logits against multi-hot frame labels.

Letters: B inputs, T frames of the labels, S frames of the logits, K classes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def resampled(logits: Tensor, length: int) -> Tensor:
    """(B, S, K) -> (B, length, K), linear with ``align_corners=False``; as they are where S is the length already."""
    if logits.shape[1] == length:
        return logits
    return F.interpolate(logits.transpose(1, 2), size=length, mode="linear", align_corners=False).transpose(1, 2)


def localisation_loss(logits: Tensor, labels: Tensor, valid_mask: Tensor) -> Tensor:
    """Binary cross-entropy, the mean over valid frames and classes.

    Source: SSDet; kkahatapitiya/SSDet:train_x3d_charades_loc.py (``loc_loss``). Differs: padding takes no part.

    Args:
        logits: (B, S, K), brought to T frames by :func:`resampled`.
        labels: (B, T, K) in [0, 1].
        valid_mask: (B, T).
    """
    return F.binary_cross_entropy_with_logits(resampled(logits, labels.shape[1])[valid_mask], labels[valid_mask])


def summed_loss(logits: Tensor, labels: Tensor, valid_mask: Tensor) -> Tensor:
    """The same summed over classes: what is divided by is the number of valid frames alone.

    Source: piergiaj/super-events-cvpr18, piergiaj/tgm-icml19, dairui01/PDAN (their training scripts).
    """
    return labels.shape[2] * localisation_loss(logits, labels, valid_mask)


def presence_loss(logits: Tensor, labels: Tensor, valid_mask: Tensor) -> Tensor:
    """Binary cross-entropy of every class's highest logit against its highest label, the mean over inputs and classes.

    Source: SSDet; kkahatapitiya/SSDet:train_x3d_charades_loc.py (``cls_loss``). Differs: the maxima are over valid
    frames alone.

    Args:
        logits: as above.
        labels: as above.
        valid_mask: (B, T), with a valid frame in every row.
    """
    outside = ~valid_mask[:, :, None]
    best = resampled(logits, labels.shape[1]).masked_fill(outside, -torch.inf).amax(dim=1)
    return F.binary_cross_entropy_with_logits(best, labels.masked_fill(outside, 0.0).amax(dim=1))
