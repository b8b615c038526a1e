"""Recomputation changes memory alone: outputs, gradients and running statistics are the same."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from trainables.layers.recompute import recomputed


class Counted(nn.Module):
    """Counts how often it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.runs = 0
        self.inner = nn.Sequential(nn.Conv1d(3, 4, 3), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Conv1d(4, 2, 1))

    def forward(self, x: Tensor) -> Tensor:
        self.runs += 1
        result: Tensor = self.inner(x)
        return result


def test_outputs_gradients_and_statistics_are_those_of_the_plain_module() -> None:
    torch.manual_seed(0)
    plain = Counted().train()
    saving = copy.deepcopy(plain)
    x = torch.randn(5, 3, 9)
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    torch.manual_seed(1)
    plain(inputs[0]).square().sum().backward()
    torch.manual_seed(1)
    recomputed(saving, inputs[1]).square().sum().backward()
    assert (plain.runs, saving.runs) == (1, 2)
    assert torch.equal(*(i.grad for i in inputs if i.grad is not None))
    for (name, a), b in zip(plain.named_parameters(), saving.parameters(), strict=True):
        assert a.grad is not None and b.grad is not None
        assert a.grad.any(), name
        assert torch.equal(a.grad, b.grad), name
    for (name, a), b in zip(plain.named_buffers(), saving.buffers(), strict=True):
        assert torch.equal(a, b), name
    assert int(saving.state_dict()["inner.1.num_batches_tracked"]) == 1
    norm = saving.inner[1]
    assert isinstance(norm, nn.BatchNorm1d)
    assert norm.momentum == 0.1
