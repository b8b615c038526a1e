"""Snippets that lie inside segments."""

from __future__ import annotations

import torch
from torch import Tensor


def covered_snippets(video: Tensor, ends: Tensor, num_videos: int, num_snippets: int) -> Tensor:
    """Snippets whose centre t + 1/2 lies in a segment [start, end) of their video (CleanNet 3.4).

    Args:
        video: (n,) index.
        ends: (n, 2) in snippets.
        num_videos: B.
        num_snippets: T.

    Returns:
        (B, T) bool.
    """
    first, last = (ends - 0.5).ceil().clamp(0, num_snippets).long().unbind(dim=1)
    steps = torch.zeros(num_videos, num_snippets + 1, dtype=torch.long, device=ends.device)
    ones = torch.ones_like(first)
    steps.index_put_((video, first), ones, accumulate=True)
    steps.index_put_((video, last), -ones, accumulate=True)
    return steps.cumsum(dim=1)[:, :-1] > 0
