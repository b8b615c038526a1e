"""Volume augmentations written frame by frame and column by column, for comparison."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor


def clip01(z: float) -> float:
    return min(max(z, 0.0), 1.0)


def slow_freeze(video: Tensor, labels: Tensor, segments: list[tuple[int, int]]) -> tuple[Tensor, Tensor]:
    """(C, T, ...) and (T, K); a list of frames, in which one is repeated and the end is cut off."""
    frames = [(video[:, t], labels[t], False) for t in range(video.shape[1])]
    for r, m in segments:
        held = [(frames[r][0], frames[r][1], True)] * m
        frames = [*frames[:r], *held, *frames[r + 1 :]][: len(frames)]
    zero = torch.zeros_like(labels[0])
    return torch.stack([f[0] for f in frames], 1), torch.stack([zero if f[2] else f[1] for f in frames])


def slow_weight(t: int, n1: int, n2: int, r: int, variant: str) -> float:
    """Weight of clip 1 in frame t, 0-based."""
    tau = t + 1
    if variant == "paper":
        if n2 + r < n1:
            return clip01(abs(n2 + 2 * r - 2 * tau) / n2)
        return clip01((n1 - tau) / (n1 - r)) if r < n1 else float(t < n1)
    k = tau - r
    if n2 + r < n1:
        return abs(2 * k - n2) / (n2 + 1) if 1 <= k <= n2 else 1.0
    if k < 1:
        return 1.0
    return 1 - k / (n1 - r + 1) if k <= n1 - r else 0.0


def slow_mask(t: int, x: int, n1: int, n2: int, r: int, width: int, band: float, variant: str) -> float:
    """Share of clip 1 in column x of frame t."""
    a = slow_weight(t, n1, n2, r, variant)
    if variant == "paper":
        return a if a in (0.0, 1.0) else clip01(0.5 + (a * width - (x + 0.5)) / max(1.0, band * width))
    if not r <= t < min(n1, n2 + r):
        return a
    border, delta = a * width, width // 16
    columns = [c for c in range(width) if border - delta <= c < border + delta]
    if x in columns:
        return 1 - (x + 1 - max(0.0, border - delta)) / (len(columns) + 1)
    return float(x < border)


def slow_mix(
    one: tuple[Tensor, Tensor],
    two: tuple[Tensor, Tensor],
    n1: int,
    n2: int,
    r: int,
    total: int,
    mask: Callable[[int, int], float],
    *,
    shift_content: bool = True,
) -> tuple[Tensor, Tensor]:
    """(C, T, H, W) and (T, K) of a mixture; ``mask(t, x)`` is the share of clip 1. Reads no frame that is not shown."""
    video = torch.zeros(one[0].shape[0], total, *one[0].shape[2:])
    labels = torch.zeros(total, one[1].shape[1])
    width = video.shape[-1]
    for t in range(total):
        for x in range(width):
            share = mask(t, x)
            if t < n1:
                video[:, t, :, x] += share * one[0][:, t, :, x]
                labels[t] += share / width * one[1][t]
            if r <= t < r + n2:
                source = t - r if shift_content else t
                video[:, t, :, x] += (1 - share) * two[0][:, source, :, x]
                labels[t] += (1 - share) / width * two[1][source]
    return video, labels


def runs(values: list[float]) -> list[tuple[float, int]]:
    """Value and length of each run."""
    edges = [0, *[i + 1 for i, (a, b) in enumerate(pairwise(values)) if a != b], len(values)]
    return [(values[a], b - a) for a, b in pairwise(edges)]
