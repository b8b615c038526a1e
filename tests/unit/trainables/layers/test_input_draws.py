"""Random numbers that belong to an input."""

from __future__ import annotations

import torch
from scipy.stats import kstest

from trainables.entrypoints.draws import JointDraws
from trainables.layers.input_draws import uniform_of_inputs


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
