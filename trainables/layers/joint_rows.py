"""Rows of the joint batch, for losses that compare inputs of a step which several processes share.

Most losses are means over things of single inputs and need none of this. A loss that seeks the hardest rows, balances
two sets, or measures how far two sets are apart, is made of :func:`joint_rows`: it then is that of the joint batch, the
same number on every process, and the gradients of the processes add up to its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Others:
    """How the processes that share a step reach each other.

    Attributes:
        gather: one process's tensor, without gradient -> those of all processes that have inputs, in their order.
        position: of this process among these.
        share: of the joint batch's inputs, how many are with this process; above 0.
    """

    gather: Callable[[Tensor], list[Tensor]]
    position: int
    share: float


_others: ContextVar[Others | None] = ContextVar("others", default=None)


@contextmanager
def beside(others: Others | None) -> Iterator[None]:
    """Within it, rows are those of all processes; None = this is the only one."""
    token = _others.set(others)
    try:
        yield
    finally:
        _others.reset(token)


def joint_rows(rows: Tensor) -> Tensor:
    """The rows of all processes, one process after the other; with one process the rows themselves.

    Every process that has inputs must come to the call, whatever its rows (none included), and as often as the others.
    A loss made of them is the mean over inputs as ``loss_counts`` understands it: each process counts for its share of
    the inputs, which the gradient of its own rows makes up for.

    Args:
        rows: (N, ...); N may differ between processes.

    Returns:
        (sum of N, ...), with gradient in this process's rows.
    """
    others = _others.get()
    if others is None:
        return rows
    own = rows.clone()
    if own.requires_grad:
        share = others.share
        own.register_hook(lambda gradient: gradient / share)  # type: ignore[no-untyped-call, unused-ignore]
    parts = others.gather(rows.detach())
    parts[others.position] = own
    return torch.cat(parts)


def of_first(rows: Tensor) -> Tensor:
    """The first process's rows, for draws that all of them have to share; every process must come to the call."""
    others = _others.get()
    return rows if others is None else others.gather(rows)[0]
