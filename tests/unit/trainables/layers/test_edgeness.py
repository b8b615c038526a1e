"""Temporal contrast and edgeness: worked examples, an independent slow version, ties, padding."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.layers.edgeness import Tie, edgeness, window_maximum

PSI = [0.05, 0.10, 0.20, 0.80, 0.95, 0.90, 0.70, 0.30, 0.15, 0.08, 0.04, 0.02]
STEP = [0.0] * 5 + [1.0] * 5


def row(values: list[float]) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor([values], dtype=torch.float64), torch.ones(1, len(values), dtype=torch.bool)


def test_pooling_golden() -> None:
    psi, valid = row(PSI)
    high, at_high = window_maximum(psi, valid, window=7, tie="first")
    low, at_low = window_maximum(-psi, valid, window=7, tie="first")
    assert high[0].tolist() == [0.8, 0.95, 0.95, 0.95, 0.95, 0.95, 0.95, 0.95, 0.9, 0.7, 0.3, 0.15]
    assert at_high[0].tolist() == [3, 4, 4, 4, 4, 4, 4, 4, 5, 6, 7, 8]
    assert (-low[0]).tolist() == [0.05, 0.05, 0.05, 0.05, 0.1, 0.15, 0.08, 0.04, 0.02, 0.02, 0.02, 0.02]
    assert at_low[0].tolist() == [0, 0, 0, 0, 1, 8, 9, 10, 11, 11, 11, 11]


def test_edgeness_golden() -> None:
    psi, valid = row(PSI)
    expected = [0.25, 0.225, 0.225, 0.225, 0, -0.2, -0.174, -0.151667, -0.146667, -0.136, -0.07, 0]
    assert edgeness(psi, valid, window=7)[0].tolist() == pytest.approx(expected, abs=1e-6)


def test_a_constant_sequence_has_no_edges() -> None:
    psi, valid = row([0.3] * 9)
    for tie in ("first", "nearest"):
        assert edgeness(psi, valid, window=7, tie=tie)[0].tolist() == [0.0] * 9  # type: ignore[arg-type]


def test_a_step_with_ties_golden() -> None:
    psi, valid = row(STEP)
    _, at_high = window_maximum(psi, valid, window=7, tie="first")
    _, at_low = window_maximum(-psi, valid, window=7, tie="first")
    assert at_high[0].tolist() == [0, 0, 5, 5, 5, 5, 5, 5, 5, 6]
    assert at_low[0].tolist() == [0, 0, 0, 0, 1, 2, 3, 4, 5, 6]
    assert edgeness(psi, valid, window=7)[0].tolist() == pytest.approx([0, 0, 0.2, 0.2, 0.25, 0, 0, 0, 0, 0])


def test_the_nearest_of_equal_extrema_does_not_depend_on_the_direction_of_time() -> None:
    (psi, valid), (back, _) = row(STEP), row(STEP[::-1])

    def mirrored(tie: Tie) -> bool:
        _, there = window_maximum(psi, valid, window=7, tie=tie)
        _, and_back = window_maximum(back, valid, window=7, tie=tie)
        return torch.equal(there, 9 - and_back.flip(1))

    assert mirrored("nearest")
    assert not mirrored("first")
    assert edgeness(psi, valid, window=7, tie="nearest")[0].tolist() == pytest.approx(
        [0, 0, 1 / 3, 1 / 2, 1, 0, 0, 0, 0, 0]
    )


def slow_extremum(values: list[float], t: int, window: int, tie: Tie, sign: float) -> int:
    places = [i for i in range(t - window // 2, t + window // 2 + 1) if 0 <= i < len(values)]
    best = max(sign * values[i] for i in places)
    equal = [i for i in places if sign * values[i] == best]
    return equal[0] if tie == "first" else min(equal, key=lambda i: (abs(i - t), i))


def slow_edgeness(values: list[float], window: int, tie: Tie) -> list[float]:
    result = []
    for t in range(len(values)):
        high, low = (slow_extremum(values, t, window, tie, sign) for sign in (1.0, -1.0))
        steep = 0.0 if high == low else (values[high] - values[low]) / abs(high - low)
        sign = 1.0 if low <= t < high else -1.0 if high <= t < low else 0.0
        result.append(sign * steep)
    return result


@given(
    values=st.lists(st.sampled_from([0.0, 0.1, 0.5, 0.5, 0.9, 1.0]) | st.floats(0, 1), min_size=1, max_size=25),
    window=st.sampled_from([3, 5, 7, 11]),
    tie=st.sampled_from(["first", "nearest"]),
)
def test_edgeness_against_a_loop(values: list[float], window: int, tie: Tie) -> None:
    psi, valid = row(values)
    found = edgeness(psi, valid, window=window, tie=tie)[0].tolist()
    assert found == pytest.approx(slow_edgeness(values, window, tie), abs=1e-12)
    assert all(-1.0 <= value <= 1.0 for value in found)


@given(values=st.lists(st.floats(0, 1), min_size=1, max_size=25), window=st.sampled_from([3, 7]))
def test_first_is_what_max_pooling_gives(values: list[float], window: int) -> None:
    psi, valid = row(values)
    high, index = window_maximum(psi, valid, window=window, tie="first")
    pooled, at = torch.nn.functional.max_pool1d(psi, window, stride=1, padding=window // 2, return_indices=True)
    assert torch.equal(high, pooled)
    assert torch.equal(index, at)


@pytest.mark.parametrize("tie", ["first", "nearest"])
def test_padding_changes_nothing_and_has_no_edges(tie: Tie) -> None:
    psi, valid = row(PSI)
    padded = torch.cat([psi, torch.zeros(1, 5, dtype=torch.float64)], dim=1)
    mask = torch.arange(17)[None] < 12
    found = edgeness(padded, mask, window=7, tie=tie)
    assert torch.equal(found[:, :12], edgeness(psi, valid, window=7, tie=tie))
    assert not found[:, 12:].any()


def test_gradient_reaches_the_extrema() -> None:
    psi, valid = row(PSI)
    psi.requires_grad_()
    edgeness(psi, valid, window=7)[0, 3].backward()
    assert psi.grad is not None
    expected = torch.zeros(12, dtype=torch.float64)
    expected[4], expected[0] = 0.25, -0.25
    assert torch.allclose(psi.grad[0], expected)
