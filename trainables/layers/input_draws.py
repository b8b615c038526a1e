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
    high, low = (torch.rand(len(counts), 2) * 2**24).long().unbind(1)  # as many bits as a float32 has
    own = [torch.Generator().manual_seed(seed) for seed in (high * 2**24 + low).tolist()]
    rows = zip(counts.tolist(), own, strict=True)
    return torch.cat([torch.rand(count, dtype=torch.float64, generator=generator) for count, generator in rows])
