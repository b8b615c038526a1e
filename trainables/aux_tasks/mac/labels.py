"""Soft labels of windows: which share of a window each action fills.

Letters: M windows, n annotated segments, K classes, I pieces between neighbouring ends of segments.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F


def intersects(windows: Tensor, segments: Tensor) -> Tensor:
    """(...,) True where a window shares more than a point with some segment.

    Args:
        windows: (..., 2) start, end.
        segments: (n, 2) start, end.
    """
    start = torch.maximum(windows[..., None, 0], segments[:, 0])
    end = torch.minimum(windows[..., None, 1], segments[:, 1])
    return (end > start).any(dim=-1)


def covered_shares(windows: Tensor, segments: Tensor, labels: Tensor, *, num_classes: int) -> Tensor:
    """q_0, ..., q_K of every window: the share that no segment covers, then that of each class's union.

    Source: Three Birds Algorithm 1. Differs: the background is what the union leaves of the window itself, and a class
    has one slot, filled by the union of its segments; both as in wonheeML/mtl-ssl:create_pascal_tf_record.py.

    Args:
        windows: (M, 2) start, end, longer than 0.
        segments: (n, 2) start, end; n at least 1; they may overlap.
        labels: (n,) class ids from 0.
        num_classes: K.

    Returns:
        (M, K + 1) double; columns may sum to more than 1 where segments of two classes overlap.

    Raises:
        ValueError: a window has no length (first bad row is named).
    """
    windows, segments = windows.double(), segments.double()
    length = windows[:, 1] - windows[:, 0]
    if not bool((length > 0).all()):
        row = int(torch.nonzero(~(length > 0))[0])
        raise ValueError(f"windows: row {row} is {windows[row].tolist()}; a window ends after its start")
    points = segments.flatten().sort().values
    left, right = points[:-1], points[1:]
    inside = ((segments[:, :1] <= left) & (right <= segments[:, 1:])).double()  # (n, I)
    by_class = F.one_hot(labels, num_classes).double().T @ inside  # (K, I) segments of the class over each piece
    covered = torch.cat([inside.sum(dim=0)[None], by_class]) > 0
    piece = (torch.minimum(windows[:, 1:], right) - torch.maximum(windows[:, :1], left)).clamp(min=0)
    shares = piece @ covered.double().T / length[:, None]
    return torch.cat([(1 - shares[:, :1]).clamp(min=0), shares[:, 1:]], dim=1)


def soft_labels(
    windows: Tensor,
    segments: Tensor,
    labels: Tensor,
    *,
    num_classes: int,
    transform: Literal["sqrt", "area", "area_plus_one"],
    normaliser: Literal["sum", "softmax"],
) -> Tensor:
    """Distribution over background and classes that each window is to be classified as.

    Args:
        windows: (M, 2) start, end, longer than 0, each of them touching some segment.
        segments: (n, 2) start, end; n at least 1.
        labels: (n,) class ids from 0.
        num_classes: K.
        transform: of the covered shares. "area_plus_one" leaves classes that the input does not show at 0.
        normaliser: makes the shares sum to 1.

    Returns:
        (M, K + 1) double, background first, rows sum to 1.
    """
    shares = covered_shares(windows, segments, labels, num_classes=num_classes)
    if transform == "sqrt":
        shares = shares.sqrt()
    elif transform == "area_plus_one":
        shown = torch.zeros(num_classes + 1, dtype=torch.bool, device=shares.device)
        shown[0] = True
        shown[labels + 1] = True
        shares = shares + shown
    return shares.softmax(dim=1) if normaliser == "softmax" else shares / shares.sum(dim=1, keepdim=True)
