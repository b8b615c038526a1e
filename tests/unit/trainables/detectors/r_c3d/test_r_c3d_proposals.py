"""The proposal subnet's channels, and its proposals against a slow reference."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from trainables.detectors.r_c3d.anchors import make_anchors
from trainables.detectors.r_c3d.proposals import ProposalSubnet, propose


def tiou(a: list[float], b: list[float], extra: int) -> float:
    inter = max(0.0, min(a[1], b[1]) + extra - max(a[0], b[0]))
    return inter / (a[1] - a[0] + b[1] - b[0] + 2 * extra - inter)


def reference(
    scores: Tensor, offsets: Tensor, anchors: Tensor, length: int, least: float, pre: int, post: int, limit: float,
    extra: int,
) -> list[list[float]]:  # fmt: skip
    """Proposals of one input, one anchor after another."""
    found = []
    for (no, yes), (shift, scale), (a, b) in zip(scores.tolist(), offsets.tolist(), anchors.tolist(), strict=True):
        if (a + b) / 2 >= length:
            continue
        size = b - a + extra
        middle = a + 0.5 * size + shift * size
        half = 0.5 * size * math.exp(scale)
        segment = [min(max(v, 0.0), length - extra) for v in (middle - half, middle + half)]
        if segment[1] - segment[0] + extra >= least and segment[1] - segment[0] + extra > 0:
            found.append((1 / (1 + math.exp(no - yes)), segment))
    kept: list[list[float]] = []
    for _, segment in sorted(found, key=lambda f: -f[0])[:pre]:
        if all(tiou(segment, other, extra) <= limit for other in kept):
            kept.append(segment)
    return kept[:post]


@settings(max_examples=60)
@given(
    seed=st.integers(0, 9999),
    inclusive=st.booleans(),
    lengths=st.lists(st.integers(1, 24), min_size=1, max_size=3),
    pre=st.sampled_from([5, 1000]),
    post=st.sampled_from([3, 1000]),
    limit=st.sampled_from([0.3, 0.7]),
    least=st.sampled_from([0.0, 4.0]),
)
def test_proposals_are_those_of_a_loop(
    seed: int, inclusive: bool, lengths: list[int], pre: int, post: int, limit: float, least: float
) -> None:
    torch.manual_seed(seed)
    anchors = make_anchors((1, 2.5), 6, samples_per_cell=4, inclusive=inclusive, device="cpu")
    scores, offsets = torch.randn(2, len(lengths), len(anchors), 2).double() * 0.7
    found = propose(
        scores, offsets, anchors, torch.tensor(lengths), min_samples=least, pre_nms=pre, post_nms=post,
        tiou_threshold=limit, inclusive=inclusive,
    )  # fmt: skip
    for b, length in enumerate(lengths):
        expected = reference(scores[b], offsets[b], anchors, length, least, pre, post, limit, int(inclusive))
        mine = found[found[:, 0] == b, 1:]
        torch.testing.assert_close(mine, torch.tensor(expected).reshape(-1, 2).double(), rtol=0, atol=1e-5)
    assert (found[:, 0].diff() >= 0).all()


def test_no_gradient_through_the_ends() -> None:
    anchors = make_anchors((2,), 4, samples_per_cell=1, inclusive=False, device="cpu")
    scores, offsets = (torch.zeros(1, 4, 2, requires_grad=True) for _ in range(2))
    found = propose(
        scores, offsets, anchors, torch.tensor([4]), min_samples=0, pre_nms=9, post_nms=9, tiou_threshold=0.7,
        inclusive=False,
    )  # fmt: skip
    assert len(found) == 4
    assert not found.requires_grad


@pytest.mark.parametrize("spatial", [False, True])
@pytest.mark.parametrize("double", [False, True])
def test_channels_of_scores_and_offsets(spatial: bool, double: bool) -> None:
    """Scores: A times background, then A times activity; offsets: centre and length by turns; cells outermost."""
    torch.manual_seed(0)
    subnet = ProposalSubnet(channels=3, width=4, num_scales=3, double=double, spatial=spatial)
    image = 7 if spatial else 1
    shared = torch.randn(2, 3, 5, image, image)
    scores, offsets = subnet(shared)
    rows = subnet.convs(shared)
    assert rows.shape[2:] == ((5, 2, 2) if double and spatial else (5, image, image))
    rows = rows.amax(dim=(3, 4))
    flat_scores, flat_offsets = subnet.scores(rows), subnet.offsets(rows)
    assert scores.shape == offsets.shape == (2, 15, 2)
    for cell in range(5):
        for scale in range(3):
            row = cell * 3 + scale
            assert torch.equal(scores[:, row], flat_scores[:, [scale, 3 + scale], cell])
            assert torch.equal(offsets[:, row], flat_offsets[:, [2 * scale, 2 * scale + 1], cell])


def test_sizes_of_the_release() -> None:
    """single: 3 x 3 x 3 x 512 x 512 weights; double: two of them."""
    sizes = [
        sum(
            p.numel()
            for p in ProposalSubnet(channels=512, width=512, num_scales=10, double=d, spatial=True).parameters()
        )
        for d in (False, True)
    ]
    heads = 2 * (512 * 20 + 20)
    assert sizes == [7_078_400 + heads, 2 * 7_078_400 + heads]
