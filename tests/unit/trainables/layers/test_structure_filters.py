"""Temporal structure filters and what is pooled with them: golden values, and loops over single frames."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.layers.structure_filters import gaussian_kernels, places, spreads, structure_filters
from trainables.layers.super_events import SuperEvents, pooled_events


def _filters(c: float, g: float, length: int, frames: int | None = None, valid: int | None = None) -> list[float]:
    mask = torch.arange(frames or length) < (valid or frames or length)
    centre, width = torch.tensor([c]), torch.tensor([g])
    return structure_filters(centre, width, torch.tensor([length]), mask[None])[0, 0].tolist()


@pytest.mark.parametrize(
    ("c", "g", "expected"),
    [
        (0.0, 0.0, [0.182358, 0.208303, 0.218674, 0.208303, 0.182358]),
        (0.0, 1.0, [0.081570, 0.206761, 0.423337, 0.206761, 0.081570]),
        (-50.0, 0.0, [0.247912, 0.236154, 0.206740, 0.171200, 0.137990]),
    ],
)
def test_golden(c: float, g: float, expected: list[float]) -> None:
    assert _filters(c, g, 5) == pytest.approx(expected, abs=1e-6)


def test_golden_places_and_spreads() -> None:
    assert places(torch.tensor([0.0, -50.0, 50.0]), torch.tensor([5, 1])).tolist() == [[2, 0, 4], [0, 0, 0]]
    assert spreads(torch.tensor([0.0, 1.0, -1.0])).tolist() == pytest.approx([4.481689, 0.977078, 0.977078], abs=1e-6)


def test_with_padding_in_the_sum_it_is_the_released_one() -> None:
    released = [0.174351, 0.191498, 0.191498, 0.174351, 0.147869, 0.120431]
    assert _filters(0.0, 0.0, 4, frames=6) == pytest.approx(released, abs=1e-6)
    own = _filters(0.0, 0.0, 4, frames=6, valid=4)
    assert own == pytest.approx([*_filters(0.0, 0.0, 4), 0.0, 0.0])


@given(
    centres=st.lists(st.floats(-3, 3), min_size=1, max_size=4),
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=3),
    g=st.floats(-3, 3),
)
def test_every_filter_is_a_density_over_valid_frames(centres: list[float], lengths: list[int], g: float) -> None:
    valid = torch.arange(30) < torch.tensor(lengths)[:, None]
    c, w = torch.tensor(centres), torch.full((len(centres),), g)
    filters = structure_filters(c, w, torch.tensor(lengths), valid)
    assert filters.shape == (len(lengths), len(centres), 30)
    assert torch.allclose(filters.sum(dim=2), torch.ones(()), atol=2e-5)
    assert not filters.masked_select(~valid[:, None]).any()
    width = math.exp(1.5 - 2 * abs(math.tanh(g)))
    for video, length in zip(filters.tolist(), lengths, strict=True):
        for row, centre in zip(video, centres, strict=True):
            place = (length - 1) * (math.tanh(centre) + 1) / 2
            slow = [1 / (1 + ((t - place) / width) ** 2) for t in range(length)]
            assert row[:length] == pytest.approx([x / sum(slow) for x in slow], abs=1e-4)


def test_golden_gaussian_kernels() -> None:
    kernels = gaussian_kernels(torch.tensor([2.0, 0.0]), torch.ones(2), 5)
    assert kernels[0].tolist() == pytest.approx([0.054489, 0.244201, 0.402620, 0.244201, 0.054489], abs=1e-6)
    assert kernels[1].tolist() == pytest.approx([0.570350, 0.345935, 0.077188, 0.006336, 0.000191], abs=1e-6)


def test_golden_super_event_pooling() -> None:
    feats = torch.arange(5.0)[None, None]
    valid = torch.ones(1, 5, dtype=torch.bool)
    filters = structure_filters(torch.tensor([-10.0, 0.0, 10.0]), torch.full((3,), 10.0), torch.tensor([5]), valid)
    assert (filters[0] @ feats[0, 0]).tolist() == pytest.approx([0.455931, 1.999998, 3.544064], abs=2e-6)
    assert pooled_events(feats, filters[:, None]).item() == pytest.approx(3.544064, abs=2e-6)


def test_classes_mix_the_two_sets() -> None:
    torch.manual_seed(0)
    events = SuperEvents(width=4, num_classes=3, num_filters=2, dropout=0.0)
    with torch.no_grad():
        events.mixing.copy_(torch.tensor([0.0, 50.0, -50.0]))
    feats, valid = torch.randn(1, 4, 7), torch.ones(1, 7, dtype=torch.bool)
    sets = [
        structure_filters(c, w, torch.tensor([7]), valid)[0] @ feats[0].T
        for c, w in zip(events.centres, events.widths, strict=True)
    ]
    first, second = (s.amax(dim=0) @ events.weight.T for s in sets)
    expected = torch.stack([(first[0] + second[0]) / 2, first[1], second[2]])
    assert torch.allclose(events(feats, valid)[0], expected, atol=1e-6)


def test_places_and_spreads_can_be_learnt() -> None:
    torch.manual_seed(0)
    valid = torch.arange(9) < torch.tensor([9, 6])[:, None]
    target = torch.randn(2, 2, 9, dtype=torch.float64)
    parts = torch.tensor([0.3, -0.8], dtype=torch.float64), torch.tensor([0.4, -0.2], dtype=torch.float64)

    def loss(c: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return (structure_filters(c, w, torch.tensor([9, 6]), valid) * target).sum()

    assert torch.autograd.gradcheck(loss, [p.requires_grad_() for p in parts])
