"""Segment-of-interest pooling: every segment of a map becomes a volume of one size.

Letters: B inputs, C channels, T cells of the map, M segments, P_t x P_h x P_w bins.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
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
    any run, so the cost does not depend on how long a segment is; bins over the same cells are computed once. Where
    several cells of a bin share the maximum, the first of them gets the gradient; it cannot be differentiated twice.

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
    planes = feats.transpose(1, 2).flatten(0, 1)
    if planes.shape[2:] != (bins_h, bins_w):
        planes = F.adaptive_max_pool2d(planes, (bins_h, bins_w))
    rows = planes.reshape(num_inputs, num_cells, channels * bins_h * bins_w)
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

    The backward pass goes the same way back, from bins to runs and from long runs to short ones: whole rows are added,
    where following every single maximum to its cell would add number after number.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, owner: Tensor, low: Tensor, high: Tensor) -> Tensor:
        runs, which = _distinct(torch.stack([owner, low, high]).flatten(1), rows.shape[1])
        table = _table(rows, int((runs[2] - runs[1]).max()) if runs.numel() else 1)
        left, right = _places(_levels(table, rows.shape), *runs)
        before, after = table.index_select(0, left), table.index_select(0, right)
        maxima = torch.maximum(before, after)
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(left, right, which, torch.ge(before, after, out=before), table)
            ctx.shape = rows.shape
        return maxima.index_select(0, which)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        left, right, which, is_left, table = ctx.saved_tensors
        of_runs = gradient.new_zeros(is_left.shape).index_add_(0, which, gradient.contiguous())
        of_left = is_left * of_runs
        total = torch.zeros_like(table).index_add_(0, left, of_left).index_add_(0, right, of_runs.sub_(of_left))
        levels, totals = _levels(table, ctx.shape), _levels(total, ctx.shape)
        for k in range(len(levels) - 1, 0, -1):
            run = 2 ** (k - 1)
            first, second = levels[k - 1][:, :-run], levels[k - 1][:, run:]
            # truth as numbers: a product with truth values takes several times as long
            chosen = torch.ge(first, second, out=torch.empty_like(totals[k]))
            totals[k - 1][:, :-run].addcmul_(chosen, totals[k])
            totals[k - 1][:, run:].addcmul_(torch.lt(first, second, out=chosen), totals[k])
        return totals[0], None, None, None


def _distinct(runs: Tensor, num_cells: int) -> tuple[Tensor, Tensor]:
    """Runs without repetition, and which of them each one is.

    Args:
        runs: (3, N) input, first cell, cell after the last one.
        num_cells: T.

    Returns:
        (3, U) and (N,).
    """
    owner, low, high = runs
    keys, which = torch.unique((owner * num_cells + low) * (num_cells + 1) + high, return_inverse=True)
    starts = torch.div(keys, num_cells + 1, rounding_mode="floor")
    parts = (torch.div(starts, num_cells, rounding_mode="floor"), starts % num_cells, keys % (num_cells + 1))
    return torch.stack(parts), which


def _table(rows: Tensor, longest: int) -> Tensor:
    """Maxima over runs of 1, 2, 4, ... up to ``longest`` cells of (B, T, D) rows, one level after another."""
    num_inputs, num_cells, width = rows.shape
    sizes = [num_cells - 2**k + 1 for k in range(longest.bit_length())]
    table = rows.new_empty(num_inputs * sum(sizes), width)
    levels = _levels(table, rows.shape)
    levels[0].copy_(rows)
    for k, (shorter, level) in enumerate(pairwise(levels)):
        torch.maximum(shorter[:, : -(2**k)], shorter[:, 2**k :], out=level)
    return table


def _levels(table: Tensor, shape: Sequence[int]) -> list[Tensor]:
    """(B, T - 2^k + 1, D) views of the levels of a table that was made of rows of ``shape``."""
    num_inputs, num_cells, width = shape
    levels: list[Tensor] = []
    start = 0
    while start < len(table):
        end = start + num_inputs * (num_cells - 2 ** len(levels) + 1)
        levels.append(table[start:end].view(num_inputs, -1, width))
        start = end
    return levels


def _places(levels: Sequence[Tensor], owner: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Two rows of the table whose runs cover [low, high)."""
    device = low.device
    widths = torch.tensor([level.shape[1] for level in levels], device=device)
    bases = torch.tensor([0, *(level.shape[0] * level.shape[1] for level in levels)], device=device).cumsum(0)
    level = sum(((high - low) >= 2**k).long() for k in range(1, len(levels))) + torch.zeros_like(low)
    start = bases[level] + owner * widths[level]
    return start + low, start + high - 2**level
