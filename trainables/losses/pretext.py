"""Losses of pretraining per-frame predictions on trimmed clips, augmented or as they are."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from trainables.layers.volume.clips import Clips
from trainables.losses.frame_level import resampled

Kind = Literal["soft_ce", "bce"]
Norm = Literal["frames", "components"]


def volume_loss(frame_logits: Tensor, clips: Clips, *, kind: Kind, norm: Norm = "frames") -> Tensor:
    """Loss against the labels of a mixture.

    Source: SSDet names none for pretraining. "soft_ce" with "components" is kkahatapitiya/SSDet:
    train_x3d_kinetics_multigrid.py, where every part has a denominator of its own, so that mixed clips weigh more.

    Args:
        frame_logits: (B, T', K); resampled linearly to the clips' T where T' is another.
        clips: their labels have the same K.
        kind: "soft_ce": cross-entropy with the labels as a distribution; "bce": of each class by itself, mean over
            classes.
        norm: of "soft_ce": mean over real frames, or of each part over the frames where it is visible, summed.

    Returns:
        scalar.

    Raises:
        ValueError: other numbers of clips or classes.
    """
    batch, width, columns = clips.labels.shape[1:]
    if frame_logits.shape[0] != batch or frame_logits.shape[2] != columns:
        raise ValueError(f"frame logits {tuple(frame_logits.shape)} do not fit labels ({batch}, {width}, {columns})")
    logits = resampled(frame_logits, width)
    if kind == "bce":
        each = F.binary_cross_entropy_with_logits(logits, clips.frame_labels, reduction="none").mean(dim=2)
        return _mean(each, clips.weights.sum(dim=0))
    log_probs = logits.log_softmax(dim=2)
    if norm == "frames":
        return _mean(-(clips.frame_labels * log_probs).sum(dim=2), clips.weights.sum(dim=0))
    each = -(clips.labels * log_probs).sum(dim=3)
    parts = (clips.weights * each).sum(dim=(1, 2)) / clips.visible.sum(dim=(1, 2)).clamp(min=1)
    return parts.sum()


def clip_loss(frame_logits: Tensor, frame_labels: Tensor, valid_mask: Tensor) -> Tensor:
    """Cross-entropy of whole clips: plain classification, which detection pretraining is compared with.

    Source: SSDet's baseline; there time is pooled before the last layer, here logits are averaged over it.

    Args:
        frame_logits: (B, S, K), resampled to T frames where S is another number.
        frame_labels: (B, T, K), of one class in every frame of a clip.
        valid_mask: (B, T), with a valid frame in every row.
    """
    weights = valid_mask[:, :, None].to(frame_labels.dtype)
    logits = (resampled(frame_logits, frame_labels.shape[1]) * weights).sum(dim=1) / weights.sum(dim=1)
    shown = (frame_labels * weights).sum(dim=1)
    return F.cross_entropy(logits, shown / shown.sum(dim=1, keepdim=True).clamp(min=1e-6))


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean; what has no weight is not looked at."""
    return torch.where(weights > 0, values * weights, 0.0).sum() / weights.sum()
