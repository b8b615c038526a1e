"""Suppression over many groups at once, against one group at a time in plain Python."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.layers.nms import suppress, tiou_1d

FOUR = torch.tensor([[0, 10], [1, 10], [6, 12], [20, 30]], dtype=torch.float64)
SCORES = torch.tensor([0.9, 0.8, 0.7, 0.6], dtype=torch.float64)


def test_overlaps_of_the_golden_example() -> None:
    assert float(tiou_1d(FOUR[0], FOUR[1])) == pytest.approx(0.9)
    assert float(tiou_1d(FOUR[0], FOUR[2])) == pytest.approx(1 / 3)
    assert float(tiou_1d(FOUR[1], FOUR[2])) == pytest.approx(0.363636, abs=1e-6)
    assert float(tiou_1d(FOUR[0], FOUR[3])) == 0.0


@pytest.mark.parametrize(
    ("theta", "order", "final"),
    [(0.5, [0, 2, 3, 1], [0.9, 0.7, 0.6, 0.271676]), (0.3, [0, 2, 3, 1], [0.9, 0.603612, 0.6, 0.227762])],
)
def test_truncated_gaussian_golden(theta: float, order: list[int], final: list[float]) -> None:
    kept, scores = suppress(
        FOUR, SCORES, torch.zeros(4, dtype=torch.long), decay="truncated_gaussian", tiou_threshold=theta, epsilon=0.75
    )
    assert kept.tolist() == order
    assert scores.tolist() == pytest.approx(final, abs=1e-6)


def test_hard_golden() -> None:
    kept, _ = suppress(FOUR, SCORES, torch.zeros(4, dtype=torch.long), decay="hard", tiou_threshold=0.5)
    assert kept.tolist() == [0, 2, 3]


def _slow(items: list[tuple[float, float, float]], decay: str, theta: float, epsilon: float) -> list[tuple[int, float]]:
    left = {i: score for i, (_, _, score) in enumerate(items)}
    picked = []
    while left:
        best = min(left, key=lambda i: (-left[i], i))
        picked.append((best, left.pop(best)))
        a = items[best]
        for i in list(left):
            b = items[i]
            inter = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
            v = inter / ((a[1] - a[0]) + (b[1] - b[0]) - inter)
            if v >= theta:
                if decay == "hard":
                    del left[i]
                else:
                    left[i] *= math.exp(-v * v / epsilon)
    return picked


ITEM = st.tuples(st.integers(0, 20), st.integers(1, 8), st.sampled_from([0.1, 0.3, 0.3, 0.5, 0.9]), st.integers(0, 3))


@settings(max_examples=400, deadline=None)
@given(
    items=st.lists(ITEM, min_size=1, max_size=25),
    decay=st.sampled_from(["hard", "truncated_gaussian"]),
    theta=st.sampled_from([0.2, 0.5, 0.8]),
)
def test_all_groups_at_once_equal_one_by_one(
    items: list[tuple[int, int, float, int]], decay: str, theta: float
) -> None:
    segments = torch.tensor([[s, s + n] for s, n, _, _ in items], dtype=torch.float64)
    scores = torch.tensor([p for _, _, p, _ in items], dtype=torch.float64)
    group = torch.tensor([g for *_, g in items])
    kept, final = suppress(segments, scores, group, decay=decay, tiou_threshold=theta, epsilon=0.5)  # type: ignore[arg-type]
    expected: list[tuple[int, float]] = []
    for g in sorted(set(group.tolist())):
        rows = [i for i in range(len(items)) if group[i] == g]
        slow = _slow([(*segments[i].tolist(), float(scores[i])) for i in rows], decay, theta, 0.5)
        expected += [(rows[i], value) for i, value in slow]
    assert kept.tolist() == [i for i, _ in expected]
    assert final.tolist() == pytest.approx([v for _, v in expected], abs=1e-12)


def test_stopping_early_keeps_the_best_of_every_group() -> None:
    group = torch.tensor([0, 0, 1, 1])
    kept, _ = suppress(FOUR, SCORES, group, decay="hard", tiou_threshold=0.5, max_picks=1)
    assert kept.tolist() == [0, 2]


def test_nothing_in_nothing_out() -> None:
    empty = torch.zeros(0, dtype=torch.float64)
    kept, final = suppress(torch.zeros(0, 2), empty, torch.zeros(0, dtype=torch.long), decay="hard", tiou_threshold=0.5)
    assert len(kept) == len(final) == 0
