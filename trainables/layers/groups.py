"""Rows that belong to groups (videos, or classes of videos), and how many groups are worked on at once.

Letters: N rows, G groups, D rows of the largest group of a block.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

#: Rows of one block. On a CPU the half dozen arrays of a block should stay in the cache, yet be long enough to hide the
#: cost of a call; a GPU wants as many at once as its memory takes.
_BLOCK_ROWS_CPU = 1 << 17
_BLOCK_ROWS_GPU = 1 << 24


@dataclass(frozen=True)
class Groups:
    """Rows sorted by group, ascending; rows of one group keep their order.

    Attributes:
        order: (N,) row at each sorted position, or None where the rows came sorted.
        first: (G,) sorted position of the group's first row.
        counts: (G,) rows of each group, at least 1.
    """

    order: Tensor | None
    first: Tensor
    counts: Tensor

    @classmethod
    def of(cls, group: Tensor) -> Groups:
        """Sort (N,) integer group numbers."""
        order = None
        if bool((group[1:] < group[:-1]).any()):
            group, order = torch.sort(group, stable=True)
        counts = torch.unique_consecutive(group, return_counts=True)[1]
        return cls(order, torch.cumsum(counts, 0) - counts, counts)

    def blocks(self) -> Iterator[tuple[Tensor, int]]:
        """Groups of similar size together.

        Yields:
            (G',) groups and D, the size of the largest. Every group comes once; padded to D, a block stays small
            unless one group is large, and no group is padded to more than about twice its size.
        """
        counts, groups = torch.sort(self.counts, descending=True, stable=True)
        sizes = counts.tolist()
        budget = _BLOCK_ROWS_CPU if counts.device.type == "cpu" else _BLOCK_ROWS_GPU
        start = 0
        while start < len(sizes):
            depth = sizes[start]
            similar = bisect_right(sizes, -(depth // 2), key=lambda size: -size)
            stop = min(similar, start + max(1, budget // depth))
            yield groups[start:stop], depth
            start = stop

    def positions(self, groups: Tensor, depth: int) -> tuple[Tensor, Tensor]:
        """(D, G') sorted positions of the rows of some groups, a column each, and (D, G') True where there is one."""
        step = torch.arange(depth, device=groups.device)[:, None]
        real = step < self.counts[groups]
        return torch.where(real, self.first[groups] + step, 0), real
