"""RoI align as a matrix, against the sampled one."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.layers.align import AlignMode, align_1d
from trainables.layers.align_weights import align_weights

COUNTS = (16, 8, 5)


def pooled(
    cells: torch.Tensor, ends: torch.Tensor, level: torch.Tensor, length: int, mode: AlignMode, ratio: int
) -> torch.Tensor:
    counts = torch.tensor(COUNTS)
    first = torch.cumsum(counts, 0) - counts
    weights = align_weights(
        ends, first[level], counts[level], total=sum(COUNTS), length=length, mode=mode, sampling_ratio=ratio
    )
    return weights.double() @ cells


@given(
    rows=st.lists(st.tuples(st.floats(-30, 30), st.floats(0, 40), st.integers(0, 2)), min_size=1, max_size=6),
    length=st.sampled_from([1, 3, 4]),
    mode=st.sampled_from(["half_pixel", "gtad"]),
    ratio=st.sampled_from([0, 1, 2]),
)
def test_equal_to_sampling(rows: list[tuple[float, float, int]], length: int, mode: AlignMode, ratio: int) -> None:
    cells = torch.randn(sum(COUNTS), 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ends = torch.tensor([(s, s + n) for s, n, _ in rows], dtype=torch.float64)
    level = torch.tensor([k for _, _, k in rows])
    found = pooled(cells, ends, level, length, mode, ratio)
    for row, own, k in zip(found, ends, level.tolist(), strict=True):
        begin = sum(COUNTS[:k])
        feats = cells[begin : begin + COUNTS[k]].T[None]
        roi = torch.cat([torch.zeros(1, dtype=torch.float64), own])[None]
        expected = align_1d(feats, roi, length, mode=mode, sampling_ratio=ratio)[0]
        torch.testing.assert_close(row, expected.T, atol=1e-6, rtol=1e-6)


def test_a_segment_of_any_length_takes_bounded_memory() -> None:
    """A billion cells long around 16 of them: all that is on the map falls into one or two of the bins."""
    ends = torch.tensor([[-5e8, 5e8 + 16], [1e30, 2e30], [-1e38, 1e38]])
    weights = align_weights(ends, torch.zeros(3).long(), torch.full((3,), 16), total=16, length=4)
    assert weights.shape == (3, 4, 16)
    # about 18 samples of a quarter of a billion each
    assert float(weights[0].sum()) == pytest.approx(18 / 2.5e8, rel=0.1)
    assert not weights[1].any()
    assert torch.isfinite(weights).all()


def test_golden_means_of_a_ramp() -> None:
    """Cell i holds i + 1/2 at i + 1/2: the mean of a bin inside the map is its centre."""
    ramp = (torch.arange(16) + 0.5)[:, None]
    weights = align_weights(torch.tensor([[2.0, 10.0]]), torch.tensor([0]), torch.tensor([16]), total=16, length=4)
    torch.testing.assert_close((weights @ ramp)[0, :, 0], torch.tensor([3.0, 5.0, 7.0, 9.0]))
    assert torch.allclose(weights.sum(dim=2), torch.ones(1, 4))


def test_no_region_gives_no_weights() -> None:
    none = torch.zeros(0, dtype=torch.long)
    assert align_weights(torch.zeros(0, 2), none, none, total=5, length=4).shape == (0, 4, 5)
