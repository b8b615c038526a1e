"""Windows around a region, from what is near to what is far.

Letters: R regions, N_t windows of each, B inputs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def windows_to_clip(segments: Tensor, clip_len: Tensor, *, num_windows: int) -> Tensor:
    """(s - i s / n, e + i (L - e) / n) for i = 0 .. n with n = N_t - 1; a single window is the region itself.

    Source: wonheeML/mtl-ssl:object_detection/meta_architectures/faster_rcnn_meta_arch.py, for the N_t = 5 windows of
    Three Birds 3.2.

    Args:
        segments: (R, 2) start, end.
        clip_len: (R,) L of each region's input, without padding, same unit.
        num_windows: N_t.

    Returns:
        (R, N_t, 2), the region first, the whole input last.
    """
    step = torch.linspace(0, 1, num_windows).to(segments) if num_windows > 1 else segments.new_zeros(1)
    start, end = segments[:, :1], segments[:, 1:]
    return torch.stack([start * (1 - step), end * (1 - step) + clip_len[:, None] * step], dim=-1)


def windows_scaled(segments: Tensor, clip_len: Tensor, *, scales: Sequence[float]) -> Tensor:
    """Windows of one centre, cut to the input.

    Args:
        segments: (R, 2) start, end.
        clip_len: (R,) length of each region's input, same unit.
        scales: N_t lengths in lengths of the region.

    Returns:
        (R, N_t, 2) in the order of ``scales``.
    """
    centre = segments.mean(dim=1, keepdim=True)
    half = 0.5 * (segments[:, 1:] - segments[:, :1]) * segments.new_tensor(scales)
    ends = torch.stack([centre - half, centre + half], dim=-1)
    return torch.minimum(ends.clamp(min=0), clip_len[:, None, None])
