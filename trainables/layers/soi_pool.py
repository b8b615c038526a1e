"""Segment-of-interest pooling: every segment of a map becomes a volume of one size.

Letters: B inputs, C channels, T cells of the map, M segments, P_t x P_h x P_w bins.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


def segment_cells(segments: Tensor, *, samples_per_cell: int, num_cells: int) -> tuple[Tensor, Tensor]:
    """First and last cell of each segment: round(s / stride) and round(e / stride), both inclusive, halves upwards.

    Source: VisionLearningGroup/R-C3D:caffe3d (SoI pooling layer); at least one cell, inside the map.

    Args:
        segments: (M, 2) start, end in samples of the input.
        samples_per_cell: stride of the map.
        num_cells: T.

    Returns:
        two (M,) int64 tensors.
    """
    cells = torch.floor(segments / samples_per_cell + 0.5).long().clamp(0, num_cells - 1)
    return cells[:, 0], torch.maximum(cells[:, 0], cells[:, 1])


def soi_pool(feats: Tensor, segments: Tensor, *, samples_per_cell: int, bins: tuple[int, int, int]) -> Tensor:
    """Adaptive max pooling of every segment, all of them at once; differentiable in ``feats``.

    Source: R-C3D (Xu et al. 2017) 3.3. Bin i of n over m cells spans floor(i m / n) up to, not including,
    ceil((i + 1) m / n). A maximum over cells is read from maxima over runs of 1, 2, 4, ... cells: two of them cover
    any run, so the cost does not depend on how long a segment is. Where several cells of a bin share the maximum, one
    of them gets the gradient; it cannot be differentiated twice.

    Args:
        feats: (B, C, T, h, w).
        segments: (M, 3) input, start, end in samples of the input.
        samples_per_cell: stride of the map.
        bins: P_t, P_h, P_w.

    Returns:
        (M, C, P_t, P_h, P_w).
    """
    num_inputs, channels, num_cells = feats.shape[:3]
    bins_t, bins_h, bins_w = bins
    first, last = segment_cells(segments[:, 1:], samples_per_cell=samples_per_cell, num_cells=num_cells)
    plane = F.adaptive_max_pool2d(feats.transpose(1, 2).flatten(0, 1), (bins_h, bins_w))
    rows = plane.reshape(num_inputs, num_cells, channels * bins_h * bins_w)
    low, high = _bin_cells(first, last, bins_t)
    owner = segments[:, 0].long()[:, None].expand_as(low)
    pooled: Tensor = _RunMaxima.apply(rows, owner, low, high)  # type: ignore[no-untyped-call]
    return pooled.reshape(-1, bins_t, channels, bins_h, bins_w).transpose(1, 2)


def _bin_cells(first: Tensor, last: Tensor, bins: int) -> tuple[Tensor, Tensor]:
    """(M, P_t) first cell of every bin and the cell after its last one."""
    count = (last - first + 1)[:, None]
    part = torch.arange(bins, device=first.device)
    low = torch.div(part * count, bins, rounding_mode="floor")
    high = -torch.div(-(part + 1) * count, bins, rounding_mode="floor")
    return first[:, None] + low, first[:, None] + high


class _RunMaxima(torch.autograd.Function):
    """Maxima over [low, high) of (B, T, D) rows: (M P_t, D).

    The backward pass adds every gradient to the cell it came from. Differentiating the maxima one by one instead takes
    several passes over all of them.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, owner: Tensor, low: Tensor, high: Tensor) -> Tensor:
        num_inputs, num_cells, _ = rows.shape
        levels = [rows]
        cells = [
            torch.arange(num_inputs * num_cells, dtype=torch.int32, device=rows.device)
            .view(num_inputs, num_cells, 1)
            .expand_as(rows)
        ]
        longest = int((high - low).max()) if low.numel() else 1
        needs_cells = ctx.needs_input_grad[0]
        while 2 ** len(levels) <= longest:
            run = 2 ** (len(levels) - 1)
            before, after = levels[-1][:, :-run], levels[-1][:, run:]
            levels.append(torch.maximum(before, after))
            if needs_cells:
                cells.append(torch.where(before >= after, cells[-1][:, :-run], cells[-1][:, run:]))
        left, right = _places(levels, owner, low, high)
        table = torch.cat([level.flatten(0, 1) for level in levels])
        before, after = table.index_select(0, left), table.index_select(0, right)
        if needs_cells:
            origins = torch.cat([level.flatten(0, 1) for level in cells])
            first, second = origins.index_select(0, left), origins.index_select(0, right)
            ctx.save_for_backward(torch.where(before >= after, first, second))
            ctx.shape = rows.shape
        return torch.maximum(before, after)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (origin,) = ctx.saved_tensors
        num_inputs, num_cells, width = ctx.shape
        total = gradient.new_zeros(num_inputs * num_cells, width).scatter_add_(0, origin.long(), gradient)
        return total.view(ctx.shape), None, None, None


def _places(levels: Sequence[Tensor], owner: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Two rows, in the table of all levels, whose runs cover [low, high)."""
    device = low.device
    widths = torch.tensor([level.shape[1] for level in levels], device=device)
    bases = torch.tensor([0, *(level.shape[0] * level.shape[1] for level in levels)], device=device).cumsum(0)
    level = sum(((high - low) >= 2**k).long() for k in range(1, len(levels))) + torch.zeros_like(low)
    start = bases[level] + owner * widths[level]
    return (start + low).flatten(), (start + high - 2**level).flatten()
