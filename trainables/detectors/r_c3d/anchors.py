"""Anchors and the two ways to count a segment's length.

Continuous: a segment [s, e] has length e - s. Inclusive, as in the released Caffe network: it holds both its end
samples, length e - s + 1. Letters: T cells, A anchor lengths, N = T A anchors, the lengths of a cell side by side.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def make_anchors(
    scales: Sequence[float], num_cells: int, *, samples_per_cell: int, inclusive: bool, device: torch.device | str
) -> Tensor:
    """(T A, 2) float64 start, end in samples of the input: every length centred at every cell.

    Source: VisionLearningGroup/R-C3D:lib/rpn/generate_anchors.py.

    Args:
        scales: A lengths in cells.
        num_cells: T.
        samples_per_cell: stride of the map.
        inclusive: see the module.
        device: of the result.
    """
    cell = torch.arange(num_cells, dtype=torch.float64, device=device)
    centre = (samples_per_cell * (cell + 0.5) - 0.5 * inclusive)[:, None]
    reach = 0.5 * (samples_per_cell * torch.tensor(scales, dtype=torch.float64, device=device) - float(inclusive))
    return torch.stack([centre - reach, centre + reach], dim=-1).flatten(0, 1)


def inside(segments: Tensor, lengths: Tensor, *, inclusive: bool) -> Tensor:
    """(B, N) True where a segment leaves its input on neither side.

    Args:
        segments: (N, 2) or (B, N, 2), samples.
        lengths: (B,) of the inputs, samples.
        inclusive: see the module.
    """
    last = lengths[:, None] - int(inclusive)
    return (segments[..., 0] >= 0) & (segments[..., 1] <= last)


def cut(segments: Tensor, lengths: Tensor, *, inclusive: bool) -> Tensor:
    """Segments cut to their inputs; one that lies outside has its ends at one place.

    Args:
        segments: (B, N, 2), samples.
        lengths: (B,) of the inputs, samples.
        inclusive: see the module.
    """
    last = (lengths - int(inclusive)).to(segments.dtype)[:, None, None]
    return torch.minimum(segments.clamp(min=0), last)


def half_open(segments: Tensor, *, inclusive: bool) -> Tensor:
    """The same segments as [start, end), on which lengths and overlaps are the continuous ones."""
    if not inclusive:
        return segments
    return torch.stack([segments[..., 0], segments[..., 1] + 1], dim=-1)
