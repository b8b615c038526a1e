"""Windows that multi-action classification learns from.

Letters: M windows, n annotated segments.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from trainables.aux_tasks.mac.labels import intersects

#: Candidates of each window; where none of them meets an action, the window is put around one.
_CANDIDATES = 50
#: Random numbers that a window is made of: two of each candidate, three of the way out.
NUM_DRAWS = 2 * _CANDIDATES + 3

Sampler = Literal["start_length", "centre_length", "gt_expand"]


def draw_windows(segments: Tensor, length: float, draws: Tensor, *, sampler: Sampler, min_len: float) -> Tensor:
    """Windows of one input, each of which shares something with an annotated segment.

    Source: Three Birds 3.1; "centre_length" and "gt_expand" as wonheeML/mtl-ssl:create_pascal_tf_record.py has them.

    * "start_length": the start is uniform in [0, length - min_len], then the length in [min_len, length - start].
    * "centre_length": the length is uniform in [min_len, length], the centre in [0, length]; the window is cut to the
      input, and extended inwards where less than ``min_len`` is left.
    * "gt_expand": the whole input, and every segment stretched about its centre by 2, 4, 8, ..., cut to the input, as
      long as it does not cover all of it. Nothing is random.

    A drawn window without any action is drawn again, up to 50 times; then it is a random segment g with a margin on
    each side that is uniform in [0, |g|].

    Args:
        segments: (n, 2) start, end, inside the input; n at least 1.
        length: of the input without its padding, same unit.
        draws: (NUM_DRAWS, M) uniform in [0, 1), for the drawn kinds.
        sampler: see above.
        min_len: see above; an input shorter than this is one window.

    Returns:
        (M, 2) start, end in [0, length], of the segments' dtype and device.
    """
    if sampler == "gt_expand":
        return _expanded(segments, length)
    least = min(min_len, length)
    draws = draws.to(segments)
    both = draws[: 2 * _CANDIDATES].reshape(2, _CANDIDATES, -1)
    candidates = _from_start(both, length, least) if sampler == "start_length" else _from_centre(both, length, least)
    accepted = intersects(candidates, segments)
    first = accepted.int().argmax(dim=0)
    chosen = candidates[first, torch.arange(draws.shape[1], device=segments.device)]
    around = _around_one(segments, length, draws[2 * _CANDIDATES :])
    return torch.where(accepted.any(dim=0)[:, None], chosen, around)


def count_windows(segments: Tensor, length: float, *, sampler: Sampler, num_windows: int) -> int:
    """How many windows an input has; arguments as of :func:`draw_windows`, ``num_windows``: M of the drawn kinds."""
    return len(_expanded(segments, length)) if sampler == "gt_expand" else num_windows


def _from_start(draws: Tensor, length: float, least: float) -> Tensor:
    start = draws[0] * (length - least)
    end = start + least + draws[1] * (length - start - least)
    return torch.stack([start, end.clamp(max=length)], dim=-1)


def _from_centre(draws: Tensor, length: float, least: float) -> Tensor:
    size, centre = least + draws[0] * (length - least), draws[1] * length
    start, end = (centre - size / 2).clamp(min=0), (centre + size / 2).clamp(max=length)
    # only a window cut at a border can be too short, and then it touches that border
    short = end - start < least
    at_start = start <= 0
    end = torch.where(short & at_start, least, end)
    start = torch.where(short & ~at_start, length - least, start)
    return torch.stack([start, end], dim=-1)


def _around_one(segments: Tensor, length: float, draws: Tensor) -> Tensor:
    """From (3, M) draws: which segment, then both margins."""
    chosen = segments[(draws[0].double() * len(segments)).long()]
    margin = draws[1:].T * (chosen[:, 1:] - chosen[:, :1])
    outwards = chosen.new_tensor([-1.0, 1.0])
    return (chosen + outwards * margin).clamp(0.0, length)


def _expanded(segments: Tensor, length: float) -> Tensor:
    centre, half = segments.mean(dim=1, keepdim=True), (segments[:, 1:] - segments[:, :1]) / 2
    # a stretched segment reaches both borders once its half is as long as the input
    doublings = max(1, math.ceil(math.log2(length / float(half.min()))))
    reach = half * 2.0 ** torch.arange(1, doublings + 1).to(segments)
    stretched = torch.stack([(centre - reach).clamp(min=0), (centre + reach).clamp(max=length)], dim=-1).flatten(0, 1)
    partial = (stretched[:, 0] > 0) | (stretched[:, 1] < length)
    return torch.cat([segments.new_tensor([[0.0, length]]), stretched[partial]])
