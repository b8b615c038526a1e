import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from trainables.layers.soi_pool import segment_cells, soi_pool


def test_seven_cells_in_four_bins() -> None:
    """Golden: bins [0, 2), [1, 4), [3, 6), [5, 7), in time as in space."""
    plane = torch.arange(49.0).reshape(1, 1, 1, 7, 7)
    pooled = soi_pool(plane, torch.tensor([[0.0, 0.0, 0.0]]), samples_per_cell=8, bins=(1, 4, 4))
    assert pooled[0, 0, 0].tolist() == [[8, 10, 12, 13], [22, 24, 26, 27], [36, 38, 40, 41], [43, 45, 47, 48]]
    line = torch.arange(7.0).reshape(1, 1, 7, 1, 1)
    pooled = soi_pool(line, torch.tensor([[0.0, 0.0, 6.0]]), samples_per_cell=1, bins=(4, 1, 1))
    assert pooled.flatten().tolist() == [1, 3, 5, 6]


def test_cells_of_segments() -> None:
    """Golden: rounding is half upwards, the last cell is inside the map."""
    segments = torch.tensor([[16.0, 47.0], [4.0, 11.0], [0.0, 767.0], [10.0, 10.0], [900.0, 950.0]])
    first, last = segment_cells(segments, samples_per_cell=8, num_cells=96)
    assert first.tolist() == [2, 1, 0, 1, 95]
    assert last.tolist() == [6, 1, 95, 1, 95]


@given(
    seed=st.integers(0, 10_000),
    cells=st.integers(1, 40),
    bins=st.tuples(st.integers(1, 6), st.integers(1, 4), st.integers(1, 4)),
    stride=st.sampled_from([1, 8]),
    ties=st.booleans(),
)
def test_is_adaptive_max_pooling_of_each_segment(
    seed: int, cells: int, bins: tuple[int, int, int], stride: int, ties: bool
) -> None:
    """Values and gradients; among equals the first cell has the gradient, as in the pooling of one segment."""
    draw = torch.Generator().manual_seed(seed)
    feats = torch.randn(2, 3, cells, 4, 5, generator=draw, dtype=torch.float64)
    feats = (feats.round() if ties else feats).requires_grad_()
    ends = torch.rand(6, 2, generator=draw, dtype=torch.float64).sort(dim=1).values * cells * stride * 1.2
    owner = torch.randint(2, (6, 1), generator=draw)
    segments = torch.cat([owner, ends], dim=1)
    first, last = segment_cells(ends, samples_per_cell=stride, num_cells=cells)
    expected = torch.stack(
        [
            F.adaptive_max_pool3d(feats[int(o), :, a : b + 1], bins)
            for o, a, b in zip(owner[:, 0], first.tolist(), last.tolist(), strict=True)
        ]
    )
    pooled = soi_pool(feats, segments, samples_per_cell=stride, bins=bins)
    assert torch.equal(pooled, expected)
    weights = torch.randn(expected.shape, generator=draw, dtype=torch.float64)
    (mine,) = torch.autograd.grad((pooled * weights).sum(), feats)
    (reference,) = torch.autograd.grad((expected * weights).sum(), feats)
    torch.testing.assert_close(mine, reference)


def test_no_segments() -> None:
    pooled = soi_pool(torch.zeros(1, 2, 5, 1, 1), torch.zeros(0, 3), samples_per_cell=1, bins=(4, 1, 1))
    assert pooled.shape == (0, 2, 4, 1, 1)
