"""The TGM layer: golden kernels, counts, and a loop over channels, features and frames."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.layers.structure_filters import gaussian_kernels
from trainables.layers.tgm import Shape, TgmLayer, mixed_kernels, shape_kernels


def test_golden_mixture() -> None:
    kernels = gaussian_kernels(torch.tensor([2.0, 0.0]), torch.ones(2), 5)
    mixed = mixed_kernels(torch.tensor([math.log(3), 0.0]), kernels)
    assert mixed.tolist() == pytest.approx([0.183454, 0.269635, 0.321262, 0.184735, 0.040914], abs=1e-6)


def test_counts() -> None:
    """Published: 176 and 1144, of which 16 have no effect."""
    first = TgmLayer((1, 8), num_kernels=16, taps=5, shape="cauchy")
    later = TgmLayer((8, 8), num_kernels=16, taps=5, shape="cauchy")
    assert [sum(p.numel() for p in layer.parameters()) + 16 for layer in (first, later)] == [176, 1144]


@given(
    channels=st.tuples(st.sampled_from([1, 2, 3]), st.integers(1, 3)),
    taps=st.integers(1, 8),
    shape=st.sampled_from(["cauchy", "gaussian"]),
    length=st.integers(1, 7),
    seed=st.integers(0, 1000),
)
def test_it_is_the_loop(channels: tuple[int, int], taps: int, shape: Shape, length: int, seed: int) -> None:
    torch.manual_seed(seed)
    layer = TgmLayer(channels, num_kernels=3, taps=taps, shape=shape).double()
    valid = torch.arange(7) < length
    x = torch.randn(channels[0], 2, 7, dtype=torch.float64) * valid
    with torch.no_grad():
        got = layer(x[None], valid[None])[0]
        kernels = shape_kernels(layer.centres, layer.widths, taps, shape)
        before = (taps - 1) // 2
        for o in range(channels[1]):
            for d in range(2):
                for t in range(7):
                    total = 0.0
                    for i in range(channels[0]):
                        kernel = torch.softmax(layer.mixing[o, i], dim=0) @ kernels
                        reached = [(tap, t + tap - before) for tap in range(taps) if 0 <= t + tap - before < 7]
                        value = sum(float(kernel[tap] * x[i, d, at]) for tap, at in reached)
                        total += value if layer.weight is None else float(layer.weight[o, i]) * value
                    if layer.bias is not None:
                        total = max(total + float(layer.bias[o]), 0.0)
                    assert float(got[o, d, t]) == pytest.approx(total if t < length else 0.0, abs=1e-9)


@pytest.mark.parametrize("shape", ["cauchy", "gaussian"])
def test_everything_is_learnt(shape: Shape) -> None:
    torch.manual_seed(0)
    layer = TgmLayer((2, 2), num_kernels=2, taps=4, shape=shape).double()
    x, valid = torch.randn(1, 2, 2, 5, dtype=torch.float64), torch.ones(1, 5, dtype=torch.bool)
    names = dict(layer.named_parameters())

    def run(*values: torch.Tensor) -> torch.Tensor:
        given = dict(zip(names, values, strict=True))
        result: torch.Tensor = torch.func.functional_call(layer, given, (x, valid))
        return result

    assert torch.autograd.gradcheck(run, [p.detach().clone().requires_grad_() for p in names.values()])
