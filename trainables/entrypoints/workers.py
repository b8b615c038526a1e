"""Several processes that train one trial as one process would: joint batches, joint losses, joint random draws.

Every process has its own rows of each batch (row i is with process i modulo their number). What follows holds up to
the rounding of sums: a loss that is a mean over inputs, or over what ``loss_counts`` names, or is made of joint rows,
has the value and the gradient of the joint batch, and dropout draws what one process would draw. Works on
``torch.distributed`` as Ray Train sets it up; with one process everything is the identity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from trainables.layers.joint_rows import Others, beside


def same_weights(module: nn.Module, world_size: int) -> None:
    """Every process starts from rank 0's weights."""
    if world_size > 1:
        _from_first(module.state_dict().values())


def same_buffers(module: nn.Module, world_size: int) -> None:
    """Every process takes over rank 0's buffers: running statistics, which each gathered on its own rows."""
    if world_size > 1:
        _from_first(module.buffers())


def joint_size(num_inputs: int, world_size: int) -> int:
    """Inputs of all processes in this step; 0 = the epoch is over everywhere."""
    return num_inputs if world_size == 1 else int(_sum(torch.tensor([float(num_inputs)]))[0])


def joint_losses(
    values: Mapping[str, float], counts: Mapping[str, float], names: Sequence[str], world_size: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Losses of the joint batch, in one reduction.

    Args:
        values: this process's losses by name; none where it has no inputs.
        counts: how many things each of them is the mean of.
        names: every loss, in the same order everywhere.
        world_size: number of processes.

    Returns:
        The joint losses, and this process's share of each joint mean; the gradient of the joint loss is the sum over
        processes of share times gradient.
    """
    if world_size == 1:
        return dict(values), dict.fromkeys(names, 1.0)
    rows = [(counts.get(name, 0.0), counts.get(name, 0.0) * values.get(name, 0.0)) for name in names]
    total = _sum(torch.tensor(rows, dtype=torch.float64)).tolist()
    joint = {name: weighted / count if count else 0.0 for name, (count, weighted) in zip(names, total, strict=True)}
    shares = {n: counts.get(n, 0.0) / count if count else 0.0 for n, (count, _) in zip(names, total, strict=True)}
    return joint, shares


@contextmanager
def sharing(own: int, joint: int, rank: int, world_size: int) -> Iterator[None]:
    """Within it the losses of a step reach each other's rows, see :mod:`trainables.layers.joint_rows`.

    A process without inputs takes part in every exchange of the others, however many these are.

    Args:
        own: inputs of this process.
        joint: inputs of all processes, at least 1.
        rank: this process.
        world_size: number of processes.
    """
    if world_size == 1:
        yield
        return
    present = min(joint, world_size)  # rows go round: who has inputs comes first
    if own == 0:
        yield
        while _gather(None, world_size)[0] is not None:
            pass
        return

    def gather(rows: Tensor) -> list[Tensor]:
        parts = _gather(rows.cpu(), world_size)[:present]
        return [part.to(rows.device) for part in parts]

    with beside(Others(gather, rank, own / joint)):
        yield
    if present < world_size:
        _gather(None, world_size)  # those without inputs wait for no more


def add_gradients(module: nn.Module, world_size: int) -> None:
    """Every gradient becomes the sum over processes, in one reduction.

    A parameter without a gradient anywhere keeps none, so that an optimiser passes it over as with one process.
    """
    if world_size == 1:
        return
    parameters = [p for p in module.parameters() if p.requires_grad]
    has = torch.tensor([float(p.grad is not None) for p in parameters], device=parameters[0].device)
    parts = [(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in parameters]
    flat = _sum(torch.cat([*parts, has]))
    somewhere = flat[-len(parameters) :].tolist()
    offset = 0
    for parameter, number in zip(parameters, somewhere, strict=True):
        size = parameter.numel()
        parameter.grad = flat[offset : offset + size].view_as(parameter).clone() if number else None
        offset += size


def gather_list(own: list[Any], world_size: int) -> list[Any]:
    """Everybody's items, on every process."""
    return own if world_size == 1 else [item for part in _gather(own, world_size) for item in part]


def _gather(own: Any, world_size: int) -> list[Any]:
    parts: list[Any] = [None] * world_size
    _reach(partial(dist.all_gather_object, parts, own))
    return parts


def _from_first(tensors: Iterable[Tensor]) -> None:
    for tensor in tensors:
        _reach(partial(dist.broadcast, tensor, src=0))


def _sum(tensor: Tensor) -> Tensor:
    """Sum over processes, in place; on the device of the process group's backend."""
    there = tensor.cuda() if dist.get_backend() == "nccl" else tensor
    _reach(partial(dist.all_reduce, there))
    return there.to(tensor.device)


def _reach(collective: Callable[[], Any]) -> None:
    """Run a collective operation.

    Raises:
        ConnectionError: another process of the group is gone. It is not this one's failure, and nothing it did.
        RuntimeError: there is no memory for it, on the device or the host, which is this one's failure.
    """
    try:
        collective()
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error):
            raise
        raise ConnectionError(f"a process of the trial's group is gone: {error}") from error
