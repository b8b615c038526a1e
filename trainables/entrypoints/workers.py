"""Several processes that train one trial: same weights, averaged gradients, gathered outputs.

Works on ``torch.distributed`` as Ray Train sets it up; with one process everything is the identity.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import nn


def same_weights(module: nn.Module, world_size: int) -> None:
    """Every process starts from rank 0's weights."""
    if world_size > 1:
        for tensor in module.state_dict().values():
            dist.broadcast(tensor, src=0)


def average_gradients(module: nn.Module, world_size: int, num_inputs: int) -> int:
    """Mean of the processes' gradients weighted by their inputs, in one reduction.

    With losses that are means over the batch this is the gradient of the joined batch. A process that has run out of
    inputs takes part with none, so that uneven shards neither hang nor bias.

    Args:
        module: its gradients are replaced.
        world_size: number of processes.
        num_inputs: this process's inputs in this step.

    Returns:
        Inputs of all processes in this step; 0 = the epoch is over everywhere.
    """
    if world_size == 1:
        return num_inputs
    parameters = [p for p in module.parameters() if p.requires_grad]
    parts = [(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) * num_inputs for p in parameters]
    flat = torch.cat([*parts, torch.full((1,), float(num_inputs), device=parameters[0].device)])
    dist.all_reduce(flat)
    total = int(flat[-1].item())
    flat /= max(total, 1)
    offset = 0
    for parameter in parameters:
        size = parameter.numel()
        parameter.grad = flat[offset : offset + size].view_as(parameter).clone()
        offset += size
    return total


def mean_over_workers(sums: Mapping[str, float], num_inputs: int, world_size: int) -> dict[str, float]:
    """Means of an epoch from every process's sums over inputs."""
    parts = gather_list([(dict(sums), num_inputs)], world_size)
    total = sum(count for _, count in parts)
    names = sorted({name for part, _ in parts for name in part})
    return {name: sum(part.get(name, 0.0) for part, _ in parts) / total for name in names} if total else {}


def gather_list(own: list[Any], world_size: int) -> list[Any]:
    """Everybody's items, on every process."""
    if world_size == 1:
        return own
    parts: list[Any] = [None] * world_size
    dist.all_gather_object(parts, own)
    return [item for part in parts for item in part]
