"""Anchors at every snippet: segments from offsets, and where an anchor reads its features.

Letters: B videos, M anchor lengths, T snippets, P parts of an anchor. Snippet t covers [t, t + 1), its centre is
t + 1/2.
"""

from __future__ import annotations

import torch
from torch import Tensor

#: Largest magnitude of a logarithmic length offset: lengths stay within a factor of 55 of their anchor.
MAX_LOG_SCALE = 4.0


def decode_anchors(offsets: Tensor, anchors: Tensor) -> Tensor:
    """Centre x = t + 1/2 + a r_c, length w = a exp(r_w) (KT-MGFN III-E; CleanNet 3.3.1, which prints x for w).

    Args:
        offsets: (..., 2, M, T) r_c, r_w; r_w is clamped to +-4.
        anchors: (M,) lengths a in snippets.

    Returns:
        (..., M, T, 2) start, end in snippets, not clipped.
    """
    centre = torch.arange(offsets.shape[-1], device=offsets.device, dtype=offsets.dtype) + 0.5
    shift, log_scale = offsets.unbind(dim=-3)
    middle = centre + anchors[:, None] * shift
    half = 0.5 * anchors[:, None] * torch.exp(log_scale.clamp(-MAX_LOG_SCALE, MAX_LOG_SCALE))
    return torch.stack([middle - half, middle + half], dim=-1)


def clip_to_video(ends: Tensor, lengths: Tensor) -> Tensor:
    """Ends in [0, length of their video]; the gradient is that of the ends before, so that a segment can come back.

    Args:
        ends: (B, ...) in snippets.
        lengths: (B,) snippets.
    """
    limit = lengths.view(-1, *([1] * (ends.dim() - 1))).to(ends.dtype)
    clipped = torch.minimum(ends.detach().clamp(min=0.0), limit)
    return clipped + (ends - ends.detach())


def anchor_samples(anchors: tuple[int, ...], lengths: Tensor, num_snippets: int, parts: int, *, random: bool) -> Tensor:
    """Snippets that stand for each anchor: one of every part of it (TSN sampling, CleanNet 3.3.1).

    The anchor [t + 1/2 - a/2, t + 1/2 + a/2) is cut into P equal parts; of each its centre is taken, as
    yjxiong/tsn-pytorch:dataset.py does at test, or a position drawn uniformly.

    Args:
        anchors: M lengths a in snippets.
        lengths: (B,) snippets of each video; positions outside it read its first or last one.
        num_snippets: T.
        parts: P.
        random: draw, from torch's global generator.

    Returns:
        (B, P, M, T) int64 indices.
    """
    device = lengths.device
    size = torch.tensor(anchors, dtype=torch.float64, device=device)[:, None]
    start = torch.arange(num_snippets, dtype=torch.float64, device=device) + 0.5 - size / 2  # (M, T)
    shape = (len(lengths), parts, len(anchors), num_snippets)
    within = torch.rand(shape, device=device).double() if random else torch.full(shape, 0.5, dtype=torch.float64)
    part = torch.arange(parts, dtype=torch.float64, device=device)[:, None, None]
    position = start + size * (part + within.to(device)) / parts
    last = (lengths - 1).view(-1, 1, 1, 1)
    return torch.minimum(position.floor().long().clamp(min=0), last)
