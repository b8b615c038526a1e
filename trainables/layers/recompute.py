"""Memory for time: activations that are computed again in the backward pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def recomputed(module: nn.Module, x: Tensor) -> Tensor:
    """The module's output; of what lies inside, only the input is kept for the backward pass.

    Batch normalisation counts a batch once: its running statistics stay as they are when it is computed again.

    Args:
        module: draws random numbers from torch's global generators alone; its batch normalisation averages with a
            momentum.
        x: its only input.
    """

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _statistics_kept(module)

    result: Tensor = checkpoint(module, x, use_reentrant=False, context_fn=contexts)
    return result


@contextmanager
def _statistics_kept(module: nn.Module) -> Iterator[None]:
    """Momentum 0 leaves the averages as they are; only the count of batches has to be set back."""
    norms = [part for part in module.modules() if isinstance(part, _BatchNorm)]
    counts = [norm.num_batches_tracked for norm in norms]
    before = [
        (norm.momentum, count, None if count is None else count.clone())
        for norm, count in zip(norms, counts, strict=True)
    ]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, (momentum, count, value) in zip(norms, before, strict=True):
            norm.momentum = momentum
            if count is not None and value is not None:
                count.copy_(value)
