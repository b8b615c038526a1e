"""Post-processing on a CUDA device: what the CPU keeps, with its scores."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from trainables.layers.nms import suppress
from trainables.layers.ranking import best_per_group
from trainables.layers.tiou import giou_matrix
from trainables.layers.voting import vote_segments

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def _candidates(*, whole: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Groups of 1 to 200 rows; whole numbers and a few scores give ties everywhere."""
    generator = torch.Generator().manual_seed(0)
    group = torch.repeat_interleave(torch.arange(40), torch.randint(1, 200, (40,), generator=generator))
    group = group[torch.randperm(len(group), generator=generator)]
    start, length, scores = torch.rand(3, len(group), generator=generator, dtype=torch.float64)
    start, length = start * 100, length * 15
    if whole:
        start, length, scores = start.round(), length.round(), (scores * 5).ceil() / 5
    return torch.stack([start, start + length], 1), scores, group


@pytest.mark.parametrize(
    ("rule", "exact"),
    [
        ({"decay": "hard", "tiou_threshold": 0.5}, True),
        ({"decay": "linear", "tiou_threshold": 0.3}, True),
        ({"decay": "gaussian", "sigma": 0.5}, False),
        ({"decay": "truncated_gaussian", "tiou_threshold": 0.4, "sigma": 0.75}, False),
        ({"decay": "truncated_gaussian", "tiou_threshold": 0.3, "threshold_slope": 0.01, "sigma": 0.5}, False),
    ],
)
@pytest.mark.parametrize("max_num", [None, 50])
def test_suppression_is_that_of_the_cpu(rule: dict[str, Any], exact: bool, max_num: int | None) -> None:
    # exponentials differ in their last bit, which decides between equals: ties only where none is taken
    rows = _candidates(whole=exact)
    kept, final = suppress(*rows, **rule, min_score=0.001, max_num=max_num)
    on_gpu, values = suppress(*(t.cuda() for t in rows), **rule, min_score=0.001, max_num=max_num)
    assert on_gpu.is_cuda
    assert torch.equal(on_gpu.cpu(), kept)
    assert torch.allclose(values.cpu(), final, rtol=1e-9, atol=0.0)
    assert not exact or torch.equal(values.cpu(), final)


def test_ranking_voting_and_overlap_are_those_of_the_cpu() -> None:
    segments, scores, group = _candidates(whole=True)
    kept = best_per_group(scores, group, max_num=20)
    on_gpu = best_per_group(scores.cuda(), group.cuda(), max_num=20)
    assert torch.equal(on_gpu.cpu(), kept)
    voted = vote_segments(segments, scores, group, kept, tiou_threshold=0.5)
    there = vote_segments(segments.cuda(), scores.cuda(), group.cuda(), on_gpu, tiou_threshold=0.5)
    assert torch.allclose(there.cpu(), voted, rtol=1e-12, atol=1e-12)
    first = segments[:200]
    assert torch.equal(giou_matrix(first.cuda(), first.cuda()).cpu(), giou_matrix(first, first))
