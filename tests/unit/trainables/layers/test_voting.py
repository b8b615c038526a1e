"""Score voting against one kept segment at a time in plain Python."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.layers import voting
from trainables.layers.voting import vote_segments


def test_by_hand() -> None:
    segments = torch.tensor([[0, 10], [1, 11], [0, 30], [1, 11]], dtype=torch.float64)
    scores = torch.tensor([0.9, 0.6, 0.5, 0.5], dtype=torch.float64)
    group = torch.tensor([0, 0, 0, 1])
    # tIoU of the first two is 9 / 11; the third is too long, the fourth in another group
    voted = vote_segments(segments, scores, group, torch.tensor([0, 2]), tiou_threshold=0.75)
    assert voted.tolist() == [pytest.approx([0.6 / 1.5, (9 + 6.6) / 1.5]), [0, 30]]


ITEM = st.tuples(st.integers(0, 12), st.integers(0, 8), st.sampled_from([0.0, 0.1, 0.4, 0.9]), st.integers(0, 3))


@settings(max_examples=200)
@given(
    items=st.lists(ITEM, min_size=1, max_size=20),
    data=st.data(),
    threshold=st.sampled_from([0.1, 0.5, 0.75, 1.0]),
    pairs=st.sampled_from([1, 40, 1 << 20]),
)
def test_equals_one_by_one(
    items: list[tuple[int, int, float, int]], data: st.DataObject, threshold: float, pairs: int
) -> None:
    kept = data.draw(st.lists(st.integers(0, len(items) - 1), unique=True))
    segments = torch.tensor([[s, s + n] for s, n, _, _ in items], dtype=torch.float64)
    scores = torch.tensor([p for *_, p, _ in items], dtype=torch.float64)
    group = torch.tensor([g for *_, g in items])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(voting, "_PAIRS", pairs)
        voted = vote_segments(segments, scores, group, torch.tensor(kept, dtype=torch.long), tiou_threshold=threshold)
    assert voted.shape == (len(kept), 2)
    for row, mean in zip(kept, voted.tolist(), strict=True):
        a, length, _, g = items[row]
        sums = [0.0, 0.0, 0.0]
        for s, n, p, h in items:
            inter = max(0, min(a + length, s + n) - max(a, s))
            if h == g and inter > 0 and inter / (length + n - inter) >= threshold:
                sums = [sums[0] + p * s, sums[1] + p * (s + n), sums[2] + p]
        expected = [sums[0] / sums[2], sums[1] / sums[2]] if sums[2] > 0 else [a, a + length]
        assert mean == pytest.approx(expected, abs=1e-9)


def test_bad_values_are_named() -> None:
    segments, group = torch.tensor([[0.0, 1.0], [2.0, 3.0]]), torch.zeros(2, dtype=torch.long)
    with pytest.raises(ValueError, match="scores: row 1 is negative"):
        vote_segments(segments, torch.tensor([0.5, -0.5]), group, torch.tensor([0]), tiou_threshold=0.5)
    with pytest.raises(ValueError, match="segments: row 0"):
        vote_segments(segments.flip(1), torch.tensor([0.5, 0.5]), group, torch.tensor([0]), tiou_threshold=0.5)
