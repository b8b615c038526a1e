"""Overlap of segments on tensors; the numpy functions of :mod:`trainables.segments` give the same values.

Letters: N and M segments. Denominators are floored at the smallest normal number of the dtype, so a pair of empty
segments at one place has 0, not NaN.
"""

from __future__ import annotations

import torch
from torch import Tensor


def check_segments(segments: Tensor, *, what: str) -> None:
    """Refuse segments that end before they start, or are not finite.

    Args:
        segments: (N, 2) start, end.
        what: name of the tensor in the complaint.

    Raises:
        ValueError: names the first bad row and its values.
    """
    if segments.dim() != 2 or segments.shape[1] != 2:
        raise ValueError(f"{what}: expected shape (N, 2), got {tuple(segments.shape)}")
    length = segments[:, 1] - segments[:, 0]
    # the length of an infinite segment, or of one at infinity, is infinite or NaN
    if not is_within(length, 0.0):
        row = int(torch.nonzero(~((length >= 0) & torch.isfinite(length)))[0])
        start, end = segments[row].tolist()
        raise ValueError(f"{what}: row {row} is [{start}, {end}]; a segment is finite and ends after its start")


def is_within(values: Tensor, least: float) -> bool:
    """True where all values are finite and at least ``least``; also where there are none."""
    if values.numel() == 0:
        return True
    low, high = torch.aminmax(values)  # a NaN is both
    return bool((low >= least) & (high < float("inf")))


def paired_tiou(a: Tensor, b: Tensor) -> Tensor:
    """Temporal intersection over union of paired segments, differentiable; no check.

    Args:
        a: (..., 2) start, end.
        b: (..., 2), broadcast against ``a``.

    Returns:
        (...) in [0, 1]; 0 where both are empty.
    """
    inter = (torch.minimum(a[..., 1], b[..., 1]) - torch.maximum(a[..., 0], b[..., 0])).clamp(min=0)
    union = (a[..., 1] - a[..., 0]) + (b[..., 1] - b[..., 0]) - inter
    return inter / _floored(union)


def paired_giou(a: Tensor, b: Tensor) -> Tensor:
    """Generalised tIoU of paired segments, differentiable; no check.

    Source: Rezatofighi et al. 2019, arXiv:1902.09630, Algorithm 1. In one dimension the part of the hull that neither
    segment covers is the gap between them, so this is the tIoU where they touch and -gap / hull where they do not.

    Args:
        a: (..., 2) start, end.
        b: (..., 2), broadcast against ``a``.

    Returns:
        (...) in [-1, 1], -1 only for two empty segments apart; 0 for two empty segments at one place.
    """
    gap = (torch.maximum(a[..., 0], b[..., 0]) - torch.minimum(a[..., 1], b[..., 1])).clamp(min=0)
    hull = torch.maximum(a[..., 1], b[..., 1]) - torch.minimum(a[..., 0], b[..., 0])
    return paired_tiou(a, b) - gap / _floored(hull)


def tiou_matrix(pred: Tensor, gt: Tensor) -> Tensor:
    """Temporal intersection over union of every pair.

    Args:
        pred: (N, 2) start, end.
        gt: (M, 2) same unit.

    Returns:
        (N, M) in [0, 1].

    Raises:
        ValueError: a segment ends before it starts, or is not finite (first bad row is named).
    """
    check_segments(pred, what="pred")
    check_segments(gt, what="gt")
    return paired_tiou(pred[:, None], gt[None])


def giou_matrix(pred: Tensor, gt: Tensor) -> Tensor:
    """Generalised tIoU of every pair, see :func:`paired_giou`.

    Args:
        pred: (N, 2) start, end.
        gt: (M, 2) same unit.

    Returns:
        (N, M) in [-1, 1].

    Raises:
        ValueError: a segment ends before it starts, or is not finite (first bad row is named).
    """
    check_segments(pred, what="pred")
    check_segments(gt, what="gt")
    return paired_giou(pred[:, None], gt[None])


def _floored(denominator: Tensor) -> Tensor:
    return denominator.clamp(min=torch.finfo(denominator.dtype).tiny)
