"""Random numbers of the inputs of a batch, such that those of an input do not depend on the other inputs.

Letters: B inputs.
"""

from __future__ import annotations

import torch
from torch import Tensor


def uniform_of_inputs(counts: Tensor) -> Tensor:
    """Uniform numbers in [0, 1), so many of each input, in the order of the inputs.

    Every input has a generator of its own. Their seeds are drawn with ``torch.rand``, a row for every input, which
    processes that train together share: whoever has the input, and beside which others, it draws the same.

    Args:
        counts: (B,) how many; B at least 1.

    Returns:
        (sum of ``counts``,) float64, on the CPU.
    """
    rows = zip(counts.tolist(), _generators(len(counts), torch.device("cpu")), strict=True)
    return torch.cat([torch.rand(count, dtype=torch.float64, generator=generator) for count, generator in rows])


def dropout_of_inputs(x: Tensor, owner: Tensor, num_inputs: int, *, p: float, training: bool) -> Tensor:
    """Dropout of rows that are no inputs but belong to some, drawn for each input as above.

    Args:
        x: (M, D).
        owner: (M,) int64 the input of each row.
        num_inputs: B.
        p: share that is dropped, below 1.
        training: leaves ``x`` as it is where not.
    """
    if not training or p == 0:
        return x
    order = torch.argsort(owner, stable=True)
    counts = torch.bincount(owner, minlength=num_inputs).tolist()
    kept = x.new_empty(x.shape)
    for rows, generator in zip(torch.split(order, counts), _generators(num_inputs, x.device), strict=True):
        kept[rows] = x.new_empty(len(rows), x.shape[1]).bernoulli_(1 - p, generator=generator)
    return x * kept / (1 - p)


def _generators(num_inputs: int, device: torch.device) -> list[torch.Generator]:
    """One for each input, seeded by a row of a draw that processes share."""
    high, low = (torch.rand(num_inputs, 2) * 2**24).long().unbind(1)  # as many bits as a float32 has
    return [torch.Generator(device).manual_seed(seed) for seed in (high * 2**24 + low).tolist()]
