"""Random numbers that belong to an input."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import kstest
from torch import Tensor

from trainables.entrypoints.draws import JointDraws
from trainables.layers.input_draws import dropout_of_inputs, uniform_of_inputs


def drawn(counts: list[int], rank: int = 0, world_size: int = 1, joint: int | None = None) -> list[list[float]]:
    with JointDraws(torch.Generator().manual_seed(1), rank, world_size).of(len(counts), joint or len(counts)):
        numbers = uniform_of_inputs(torch.tensor(counts))
    return [part.tolist() for part in numbers.split(counts)]


def test_the_numbers_of_an_input_are_its_own() -> None:
    alone = drawn([3, 0, 5, 2])
    assert [len(part) for part in alone] == [3, 0, 5, 2]
    other = drawn([3, 7, 5, 1])
    assert [other[0], other[2]] == [alone[0], alone[2]]
    for world_size in (2, 3):
        for rank in range(world_size):
            assert drawn([3, 0, 5, 2][rank::world_size], rank, world_size, joint=4) == alone[rank::world_size]


def test_numbers_are_uniform_within_and_across_inputs() -> None:
    torch.manual_seed(0)
    numbers = uniform_of_inputs(torch.full((200,), 50)).reshape(200, 50)
    assert kstest(numbers.flatten().numpy(), "uniform").pvalue > 0.01
    assert kstest(numbers[:, 0].numpy(), "uniform").pvalue > 0.01
    assert float((numbers[:-1] - numbers[1:]).abs().max(dim=1).values.min()) > 0.3, "no two inputs draw alike"


def test_the_global_seed_decides() -> None:
    found = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        found.append(uniform_of_inputs(torch.tensor([2, 3])).tolist())
    assert found[0] == found[1]
    assert found[0] != found[2]


def dropped(owner: list[int], num_inputs: int, rank: int = 0, world_size: int = 1, joint: int | None = None) -> Tensor:
    x = torch.ones(len(owner), 64, requires_grad=True)
    with JointDraws(torch.Generator().manual_seed(1), rank, world_size).of(num_inputs, joint or num_inputs):
        found = dropout_of_inputs(x, torch.tensor(owner, dtype=torch.long), num_inputs, p=0.25, training=True)
    found.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, found.detach())
    return found.detach()


def test_the_rows_of_an_input_are_dropped_alike_whatever_is_beside_it() -> None:
    alone = dropped([0, 0, 2, 2, 2], 3)
    assert torch.equal(dropped([2, 0, 2, 0, 2], 3), alone[[2, 0, 3, 1, 4]])
    assert torch.equal(dropped([0, 0, 1, 1], 2, rank=0, world_size=2, joint=3), alone[[0, 1, 2, 3]])
    assert dropped([], 1, rank=1, world_size=2, joint=3).shape == (0, 64)
    assert not torch.equal(alone[0], alone[1])


def test_dropout_keeps_the_mean_and_scales() -> None:
    torch.manual_seed(0)
    x = torch.ones(400, 50)
    found = dropout_of_inputs(x, torch.arange(400) % 4, 4, p=0.25, training=True)
    assert found.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    assert abs(float(found.mean()) - 1) < 4 * (0.25 / 0.75 / x.numel()) ** 0.5
    assert dropout_of_inputs(x, torch.zeros(400, dtype=torch.long), 1, p=0.25, training=False) is x
