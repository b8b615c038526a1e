"""The dilated attention layer: golden values, and a loop over channels and frames."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.layers.dilated_attention import DilatedAttention


def _identity(dilation: int, place: list[float]) -> DilatedAttention:
    layer = DilatedAttention(1, dilation)
    with torch.no_grad():
        for projection in (layer.query, layer.key, layer.value):
            projection.weight.fill_(1.0)
        layer.place.copy_(torch.tensor([place]))
    return layer


@pytest.mark.parametrize(
    ("x", "dilation", "place", "expected"),
    [
        ([1, 2, 3], 1, [0.0, 0.0, 0.0], [1.575210, 2.850937, 2.952227]),
        ([1, 2, 3], 1, [0.5, 0.0, -0.5], [1.287605, 2.425469, 2.975878]),
        ([1, 2, 3, 4, 5], 2, [0.0, 0.0, 0.0], [2.645579, 3.962722, 4.995030, 3.999329, 4.999909]),
    ],
)
def test_golden(x: list[int], dilation: int, place: list[float], expected: list[float]) -> None:
    with torch.no_grad():
        got = _identity(dilation, place)(torch.tensor([[x]], dtype=torch.float32))
    assert got[0, 0].tolist() == pytest.approx(expected, abs=1e-6)


@given(width=st.integers(1, 3), length=st.integers(1, 9), dilation=st.sampled_from([1, 2, 5]), seed=st.integers(0, 99))
def test_it_is_the_loop(width: int, length: int, dilation: int, seed: int) -> None:
    torch.manual_seed(seed)
    layer = DilatedAttention(width, dilation).double()
    x = torch.randn(width, length, dtype=torch.float64)
    q, k, v = (p.weight[:, :, 0].detach() @ x for p in (layer.query, layer.key, layer.value))
    got = layer(x[None])[0].detach()
    for c in range(width):
        for t in range(length):
            at = [t + (j - 1) * dilation for j in range(3)]
            inside = [0 <= s < length for s in at]
            scores = [float(q[c, t] * k[c, s]) if ok else 0.0 for s, ok in zip(at, inside, strict=True)]
            values = [float(v[c, s]) if ok else 0.0 for s, ok in zip(at, inside, strict=True)]
            weights = [math.exp(score - max(scores)) for score in scores]
            places = layer.place[c].tolist()
            total = sum(w * (value + place) for w, value, place in zip(weights, values, places, strict=True))
            assert float(got[c, t]) == pytest.approx(total / sum(weights), abs=1e-9)


def test_everything_is_learnt() -> None:
    torch.manual_seed(0)
    layer = DilatedAttention(2, 2).double()
    x = torch.randn(1, 2, 5, dtype=torch.float64)
    names = dict(layer.named_parameters())
    values = [p.detach().clone().requires_grad_() for p in names.values()]
    assert torch.autograd.gradcheck(
        lambda *v: torch.func.functional_call(layer, dict(zip(names, v, strict=True)), (x,)), values
    )
