"""Anchors: where they read, and how their segments are clipped."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.layers.anchors import anchor_samples, clip_to_video, decode_anchors


@pytest.mark.parametrize(
    ("t", "length", "parts", "expected"),
    [
        (10, 8, 4, [7, 9, 11, 13]),
        (10, 1, 3, [10, 10, 10]),
        (10, 32, 4, [0, 6, 14, 19]),
        (0, 4, 3, [0, 0, 1]),
        (10, 2, 3, [9, 10, 11]),
    ],
)
def test_evaluation_samples_golden(t: int, length: int, parts: int, expected: list[int]) -> None:
    index = anchor_samples((length,), torch.tensor([20]), 20, parts, random=False)
    assert index.shape == (1, parts, 1, 20)
    assert index[0, :, 0, t].tolist() == expected


def test_training_samples_lie_in_their_parts() -> None:
    torch.manual_seed(0)
    bounds = [(6.5, 8.5), (8.5, 10.5), (10.5, 12.5), (12.5, 14.5)]
    drawn = torch.stack([anchor_samples((8,), torch.tensor([20]), 20, 4, random=True)[0, :, 0, 10] for _ in range(300)])
    for part, (low, high) in enumerate(bounds):
        allowed = set(range(math.floor(low), math.ceil(high)))
        assert set(drawn[:, part].tolist()) == allowed
        # the half cells at both ends come half as often as the whole one between
        shares = torch.bincount(drawn[:, part] - math.floor(low), minlength=3) / 300
        assert shares.tolist() == pytest.approx([0.25, 0.5, 0.25], abs=0.1)


@given(
    anchors=st.lists(st.integers(1, 40), min_size=1, max_size=4, unique=True),
    lengths=st.lists(st.integers(1, 15), min_size=1, max_size=3),
    parts=st.integers(1, 8),
)
def test_evaluation_samples_against_a_loop(anchors: list[int], lengths: list[int], parts: int) -> None:
    num_snippets = max(lengths)
    index = anchor_samples(tuple(anchors), torch.tensor(lengths), num_snippets, parts, random=False)
    for b, length in enumerate(lengths):
        for m, size in enumerate(anchors):
            for t in range(num_snippets):
                centres = [t + 0.5 - size / 2 + size * (j + 0.5) / parts for j in range(parts)]
                expected = [min(max(math.floor(c), 0), length - 1) for c in centres]
                assert index[b, :, m, t].tolist() == expected


def test_offsets_of_zero_give_the_anchors() -> None:
    ends = decode_anchors(torch.zeros(2, 2, 5), torch.tensor([1.0, 4.0]))
    assert ends[0, 3].tolist() == [3.0, 4.0]
    assert ends[1, 3].tolist() == [1.5, 5.5]


def test_lengths_stay_within_their_clamp() -> None:
    offsets = torch.tensor([0.0, 100.0], dtype=torch.float64).view(2, 1, 1)
    start, end = decode_anchors(offsets, torch.tensor([2.0], dtype=torch.float64))[0, 0].tolist()
    assert end - start == pytest.approx(2 * math.exp(4))


def test_clipping_is_exact_and_keeps_the_gradient() -> None:
    ends = torch.tensor([[[-3.7, 4.1], [11.3, 15.9]], [[2.2, 8.3], [6.1, 7.9]]], requires_grad=True)
    clipped = clip_to_video(ends, torch.tensor([10, 7]))
    assert clipped.tolist() == torch.tensor([[[0, 4.1], [10, 10]], [[2.2, 7], [6.1, 7]]]).tolist()
    clipped.sum().backward()
    assert ends.grad is not None
    assert ends.grad.unique().tolist() == [1.0]
