"""The best of every group against sorting in plain Python."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.layers.nms import suppress
from trainables.layers.ranking import best_per_group


@given(
    items=st.lists(st.tuples(st.sampled_from([-1.0, 0.0, 0.2, 0.5, 0.5, 0.9]), st.integers(-1, 3)), max_size=30),
    max_num=st.sampled_from([None, 1, 3]),
    min_score=st.sampled_from([None, 0.2, 2.0]),
)
def test_equals_sorting_by_hand(items: list[tuple[float, int]], max_num: int | None, min_score: float | None) -> None:
    scores = torch.tensor([s for s, _ in items], dtype=torch.float64)
    group = torch.tensor([g for _, g in items], dtype=torch.long)
    expected = []
    for g in sorted({g for _, g in items}):
        rows = [i for i, (s, h) in enumerate(items) if h == g and (min_score is None or s >= min_score)]
        expected += sorted(rows, key=lambda i: (-items[i][0], i))[:max_num]
    assert best_per_group(scores, group, max_num=max_num, min_score=min_score).tolist() == expected


def test_classes_of_a_video_compete_after_class_wise_suppression() -> None:
    segments = torch.tensor([[0.0, 10], [1, 11], [0, 10], [1, 11], [0, 10]])
    scores = torch.tensor([0.9, 0.8, 0.7, 0.95, 0.1])
    video, label = torch.tensor([0, 0, 0, 0, 1]), torch.tensor([0, 0, 1, 1, 0])
    kept, final = suppress(segments, scores, video * 2 + label, decay="gaussian", sigma=0.5)
    best = best_per_group(final, video[kept], max_num=2)
    assert kept[best].tolist() == [3, 0, 4]
    assert final[best].tolist() == pytest.approx([0.95, 0.9, 0.1])


def test_a_cut_before_suppression_keeps_the_order_of_equals() -> None:
    segments, scores = torch.tensor([[0.0, 1.0]]).repeat(4, 1), torch.tensor([0.5, 0.7, 0.5, 0.7])
    rows = best_per_group(scores, torch.zeros(4, dtype=torch.long), max_num=3)
    kept, _ = suppress(segments[rows], scores[rows], torch.zeros(3, dtype=torch.long), decay="gaussian", sigma=1.0)
    assert rows[kept].tolist() == [1, 3, 0]


@pytest.mark.parametrize(
    ("scores", "group", "options", "complaint"),
    [
        ([0.1], [0, 1], {}, "must be two lists of one length"),
        ([0.1, 0.2], [0, 1], {"max_num": 0}, "max_num: 0"),
        ([0.1, math.nan], [0, 1], {}, "scores: row 1 is nan"),
    ],
)
def test_bad_values_are_named(scores: list[float], group: list[int], options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        best_per_group(torch.tensor(scores), torch.tensor(group), **options)
