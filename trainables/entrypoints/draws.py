"""Random draws of a forward pass that do not depend on how a batch is spread over processes.

The modules of detectors and tasks draw from torch's global generator; inside :class:`JointDraws` those draws that have
a row for every input are made for the joint batch, on every process alike, and each process keeps its own rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


class JointDraws(TorchFunctionMode):
    """``F.dropout`` and ``torch.rand`` draw for all inputs of the joint batch.

    A tensor whose first dimension is not the inputs (regions, for instance) draws from torch's global generator as
    ever, which is another one in every process.

    Args:
        generator: in the same state on every process.
        rank: this process; its rows of the joint batch are ``rank``, ``rank + world_size``...
        world_size: number of processes.
    """

    def __init__(self, generator: torch.Generator, rank: int, world_size: int) -> None:
        super().__init__()
        self._generator = generator
        self._rank, self._world_size = rank, world_size
        self._own, self._joint = 0, 0

    def of(self, own: int, joint: int) -> JointDraws:
        """The same for a batch of ``own`` inputs here and ``joint`` inputs altogether."""
        self._own, self._joint = own, joint
        return self

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Called by torch in place of every function."""
        if func is F.dropout:
            return self._dropout(*args, **(kwargs or {}))
        if func is torch.rand:
            return self._rand(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _dropout(self, input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        if not training or p in (0.0, 1.0) or input.dim() == 0 or len(input) != self._own:
            return F.dropout(input, p, training, inplace)
        shape = (self._joint, *input.shape[1:])
        kept = torch.empty(shape, device=input.device).bernoulli_(1 - p, generator=self._generator)
        scale = self._rows(kept).div_(1 - p).to(input.dtype)
        return input.mul_(scale) if inplace else input * scale

    def _rand(self, *size: Any, **options: Any) -> Tensor:
        shape = tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else size
        if not shape or shape[0] != self._own or "generator" in options:
            return torch.rand(*size, **options)
        # the generator is bound to its device
        drawn = torch.rand((self._joint, *shape[1:]), generator=self._generator, device=self._generator.device)
        return self._rows(drawn).to(options.get("device") or "cpu", options.get("dtype") or torch.get_default_dtype())

    def _rows(self, joint: Tensor) -> Tensor:
        return joint[self._rank :: self._world_size]
