"""Anchors of the pyramid: a few lengths at every cell of every level."""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.detectors.pbrnet.settings import FRAMES_PER_CELL

#: Lengths of every level, frames; over 32 cells they make 142 anchors. Source: Qinying-Liu/PBRNet:config.py.
ANCHOR_FRAMES = ((8, 15), (16, 24, 32), (32, 50), (64, 84), (128, 160), (200, 256))


def pyramid_anchors(num_cells: int) -> Tensor:
    """Anchors of all levels, fine to coarse, cell by cell.

    Level l has a cell every 2**l cells of the map, and its anchors are centred in its cells. Source:
    Qinying-Liu/PBRNet:utils.py, ``anchors_all_layers``.

    Args:
        num_cells: of the first level.

    Returns:
        (N, 2) start, end in frames; those at the borders reach out of the clip.
    """
    parts = []
    for level, lengths in enumerate(ANCHOR_FRAMES):
        step = FRAMES_PER_CELL * 2**level
        centre = (torch.arange(num_cells // 2**level) + 0.5) * step
        half = 0.5 * torch.tensor(lengths, dtype=centre.dtype)
        parts.append(torch.stack([centre[:, None] - half, centre[:, None] + half], dim=-1).flatten(0, 1))
    return torch.cat(parts)
