"""Grid Pool and Grid Unpool: golden values, and numpy's interpolation as the reference."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from trainables.detectors.coarse_fine.grid_pool import (
    GridPool,
    grid_points,
    grid_unpool,
    inverse_points,
    linear_weights,
    sample_frames,
)


def confidences(scores: list[float]) -> Tensor:
    return torch.sigmoid(torch.tensor([scores], dtype=torch.float64) / 2)


def ramp(length: int) -> Tensor:
    return torch.arange(length, dtype=torch.float64).reshape(1, 1, length, 1, 1)


def test_golden_grid_of_two_steps() -> None:
    confidence = confidences([0.0, 2 * math.log(3)])
    torch.testing.assert_close(confidence, torch.tensor([[0.5, 0.75]], dtype=torch.float64))
    points = grid_points(confidence)
    torch.testing.assert_close(points, torch.tensor([[0.0, 2 / 3, 1.0]], dtype=torch.float64))
    pooled = sample_frames(ramp(8), points)
    torch.testing.assert_close(pooled.flatten(), torch.tensor([0.0, 14 / 3, 7.0], dtype=torch.float64))
    back = linear_weights(inverse_points(points) * 2, 3) @ pooled.reshape(1, 3, 1)
    torch.testing.assert_close(back.flatten(), torch.tensor([0.0, 3.5, 7.0], dtype=torch.float64))
    unpooled = grid_unpool(pooled.flatten(2), points, 4)
    torch.testing.assert_close(unpooled.flatten(), torch.arange(8, dtype=torch.float64))


def test_golden_grid_of_equal_scores() -> None:
    pooled = sample_frames(ramp(16), grid_points(confidences([0.3] * 4)))
    assert pooled.flatten().tolist() == pytest.approx([0.0, 3.75, 7.5, 11.25, 15.0])


def test_confident_parts_are_seen_in_small_steps() -> None:
    steps = grid_points(confidences([-1.0, 0.0, 3.0])).diff(dim=1)[0].tolist()
    assert steps[0] > steps[1] > steps[2] > 0


SCORES = st.lists(st.floats(-6, 6), min_size=1, max_size=9)


@given(scores=SCORES, length=st.integers(1, 40))
def test_sampling_and_its_inverse_against_numpy(scores: list[float], length: int) -> None:
    points = grid_points(confidences(scores))
    n = len(scores)
    own = points[0].numpy()
    assert own[0] == 0
    assert own[-1] == 1
    assert (np.diff(own) > 0).all()
    values = np.random.default_rng(length).standard_normal(length)
    found = sample_frames(torch.from_numpy(values).reshape(1, 1, -1, 1, 1), points).flatten().numpy()
    np.testing.assert_allclose(found, np.interp(own * (length - 1), np.arange(length), values), atol=1e-9)
    inverse = inverse_points(points)[0].numpy()
    np.testing.assert_allclose(inverse, np.interp(np.arange(n + 1) / n, own, np.arange(n + 1) / n), atol=1e-7)


@given(scores=SCORES, factor=st.sampled_from([2, 4, 8]))
def test_a_ramp_comes_back_as_a_ramp(scores: list[float], factor: int) -> None:
    points = grid_points(confidences(scores))
    found = grid_unpool(points[:, None], points, factor).flatten()
    expected = torch.linspace(0, 1, factor * len(scores), dtype=torch.float64)
    if len(scores) > 1:  # with one step any way of filling in is a ramp
        inner = linear_weights(inverse_points(points) * len(scores), len(scores) + 1) @ points[..., None]
        torch.testing.assert_close(inner.flatten(), torch.linspace(0, 1, len(scores) + 1, dtype=torch.float64))
    torch.testing.assert_close(found, expected)


def test_gradients_reach_the_grid() -> None:
    scores = torch.tensor([[0.4, -0.3, 0.9, 0.1]], dtype=torch.float64, requires_grad=True)
    x = torch.randn(1, 2, 9, 1, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)

    def there_and_back(scores: Tensor, x: Tensor) -> Tensor:
        points = grid_points(torch.sigmoid(scores))
        return grid_unpool(sample_frames(x, points).flatten(2), points, 4)

    assert torch.autograd.gradcheck(there_and_back, (scores, x))


@pytest.mark.parametrize(("length", "halvings", "steps"), [(64, 2, 16), (32, 2, 8), (9, 2, 3), (9, 1, 5), (1, 3, 1)])
def test_number_of_grid_points(length: int, halvings: int, steps: int) -> None:
    with torch.device("meta"):
        pooled, points = GridPool(24, num_halvings=halvings)(torch.empty(2, 24, length, 8, 8))
    assert pooled.shape == (2, 24, steps + 1, 8, 8)
    assert points.shape == (2, steps + 1)


def test_the_temperature_scales_the_score() -> None:
    torch.manual_seed(0)
    x = torch.rand(1, 4, 8, 6, 6)
    layers = [GridPool(4, temperature=t).eval() for t in (0.5, 1e-6)]
    layers[1].load_state_dict(layers[0].state_dict())
    scores = layers[0].score(layers[0].trunk(x)).mean(dim=(1, 3, 4))
    torch.testing.assert_close(layers[0](x)[1], grid_points(torch.sigmoid(0.5 * scores)))
    torch.testing.assert_close(layers[1](x)[1], torch.tensor([[0.0, 0.5, 1.0]]), atol=1e-5, rtol=0)
