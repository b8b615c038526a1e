"""The contrast score of segments of many inputs.

Letters: B inputs, K classes, T samples, n segments.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from trainables.layers.edgeness import edgeness
from trainables.losses.contrast import contrast_parts, contrast_score


def window_snippets(window_s: float, seconds_per_sample: float) -> int:
    """The odd number of samples, at least 3, nearest to a window in seconds."""
    return max(3, 2 * round((window_s / seconds_per_sample - 1.0) / 2.0) + 1)


def judge_segments(
    scp: Tensor,
    valid_mask: Tensor,
    index: Tensor,
    labels: Tensor,
    ends: Tensor,
    *,
    windows: Sequence[int],
    ratio: float,
) -> Tensor:
    """Eq. (12) of CleanNet, in double precision.

    Args:
        scp: (B, K, T) class scores in [0, 1], 0 at padding.
        valid_mask: (B, T).
        index: (n,) input of each segment.
        labels: (n,) class of each segment.
        ends: (n, 2) start, end in samples.
        windows: B pooling windows, samples, odd.
        ratio: of the regions at the boundaries.

    Returns:
        (n,), with gradient to the ends.
    """
    num_classes = scp.shape[1]
    pairs, row = torch.unique(index * num_classes + labels, return_inverse=True)
    video, label = pairs // num_classes, pairs % num_classes
    sequences = scp[video, label].double()
    edges = torch.zeros_like(sequences)
    window_of = torch.tensor(windows, device=scp.device)[video]
    for window in sorted(set(window_of.tolist())):
        own = window_of == window
        edges[own] = edgeness(sequences[own], valid_mask[video[own]], window=window)
    start, end = ends.double().unbind(dim=1)
    parts = contrast_parts(sequences[row], edges[row], start[:, None], end[:, None], ratio=ratio)
    return contrast_score(parts)[:, 0]
