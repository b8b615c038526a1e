"""The learnt proposals that every clip begins with."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

#: Shortest length a learnt segment may have, share of the clip: a segment is never empty or reversed.
_LEAST = 1e-3


class Proposals(nn.Module):
    """N segments (centre, length; shares of the clip) and their features.

    Args:
        number: N.
        width: D.
        init: see :func:`initial_segments`.
    """

    def __init__(self, *, number: int, width: int, init: str) -> None:
        super().__init__()
        self.segments = nn.Parameter(initial_segments(number, init))
        self.features = nn.Parameter(torch.randn(number, width))

    def forward(self, num_inputs: int) -> tuple[Tensor, Tensor]:
        """(B, N, 2) start, end and (B, N, D), the same for every input."""
        centre, length = self.segments.unbind(-1)
        half = 0.5 * length.clamp(min=_LEAST)
        ends = torch.stack([centre - half, centre + half], dim=-1)
        return ends.expand(num_inputs, -1, -1), self.features.expand(num_inputs, -1, -1)


def initial_segments(number: int, init: str) -> Tensor:
    """(N, 2) centre and length.

    Args:
        number: N.
        init: "full": the whole clip; "random": uniform centre and length; "grid": the clip, its halves, their halves,
            and so on, the last ones spread evenly.
    """
    if init == "full":
        return torch.tensor([0.5, 1.0]).repeat(number, 1)
    if init == "random":
        return torch.stack([torch.rand(number), torch.rand(number).clamp(min=_LEAST)], dim=1)
    rows: list[tuple[float, float]] = []
    while len(rows) < number:
        depth = round(math.log2(len(rows) + 1))
        count = min(2**depth, number - len(rows))
        rows += [((k + 0.5) / count, 0.5**depth) for k in range(count)]
    return torch.tensor(rows)
