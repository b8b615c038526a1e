"""From offsets to segments that lie in their clip.

Letters: B inputs, N segments. Coordinates are frames, 8 a cell.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.layers.anchors import MAX_LOG_SCALE
from trainables.layers.offsets import decode_centre_length


def decode_inside(reference: Tensor, offsets: Tensor, limit: Tensor) -> Tensor:
    """Segments from centre and length offsets, cut to the clip; at least one frame is left of each.

    Args:
        reference: (N, 2) or (B, N, 2) start, end.
        offsets: (B, N, 2); the second, the logarithm of a ratio of lengths, counts up to +-4.
        limit: (B,) frames of the clip, padding left out; at least 1.

    Returns:
        (B, N, 2) start, end in [0, limit].
    """
    shift, log_scale = offsets.unbind(-1)
    bounded = torch.stack([shift, log_scale.clamp(-MAX_LOG_SCALE, MAX_LOG_SCALE)], dim=-1)
    start, end = decode_centre_length(reference, bounded).unbind(-1)
    last = limit[:, None].to(start.dtype)
    start = torch.minimum(start.clamp(min=0.0), last - 1)
    return torch.stack([start, torch.minimum(torch.maximum(end, start + 1), last)], dim=-1)


def at_frame_centres(segments: Tensor, limit: Tensor) -> Tensor:
    """Both ends moved to the centre of the frame that holds them; the end at least one frame behind the start.

    Source: Qinying-Liu/PBRNet:network.py, ``fgd_anchors``.

    Args:
        segments: (B, N, 2) start, end in [0, limit].
        limit: (B,) frames of the clip.
    """
    last = limit[:, None].to(segments.dtype)
    start, end = segments.floor().unbind(-1)
    start = torch.minimum(start, (last - 2).clamp(min=0))
    end = torch.maximum(torch.minimum(end, last - 1), start + 1)
    return torch.stack([start, end], dim=-1) + 0.5
