"""Segments of SP-TAD: decoding, levels, expansion, where a learnt proposal begins."""

from __future__ import annotations

import pytest
import torch

from trainables.detectors.sp_tad.config import Config
from trainables.detectors.sp_tad.proposals import Proposals, initial_segments
from trainables.detectors.sp_tad.pyramid import Levels, Pyramid, expanded, level_of, soi_feats, window_feats
from trainables.detectors.sp_tad.settings import Fpn, Soi
from trainables.detectors.sp_tad.stages import MAX_LOG_RATIO, decode
from trainables.detectors.sp_tad_frames.config import Config as Frames
from trainables.layers.align import align_1d


def test_golden_decoding() -> None:
    segments = torch.tensor([[0.2, 0.6], [0.2, 0.6]], dtype=torch.float64)
    found = decode(segments, torch.tensor([[1.0, 0.5], [0.0, 20.0]], dtype=torch.float64))
    assert found[0].tolist() == pytest.approx([0.270256, 0.929744], abs=1e-6)
    assert float(found[1, 1] - found[1, 0]) == pytest.approx(0.4 * 6250)
    assert pytest.approx(8.7403, abs=1e-4) == MAX_LOG_RATIO


def test_golden_levels_and_expansion() -> None:
    lengths = torch.tensor([0.4, 0.25, 0.2499, 0.5, 1.0, 1.3, 0.0, 80.0])
    assert level_of(lengths, 4).tolist() == [1, 1, 0, 2, 3, 3, 0, 3]
    assert level_of(lengths, 1).tolist() == [0] * 8
    segment = torch.tensor([[0.2, 0.6]])
    torch.testing.assert_close(expanded(segment, 5.0), torch.tensor([[0.12, 0.68]]))
    assert expanded(segment, None) is segment


@pytest.mark.parametrize(
    ("kind", "counts", "strides"),
    [
        ("inter", [128, 64, 32, 16], (2.0, 4.0, 8.0, 16.0)),
        ("high", [32, 16, 8, 4], (8.0, 16.0, 32.0, 64.0)),
        ("single", [32], (8.0,)),
    ],
)
@pytest.mark.parametrize("step", ["conv", "pool"])
def test_levels_of_256_frames(kind: str, counts: list[int], strides: tuple[float, ...], step: str) -> None:
    fpn = Fpn(high_step=step, norm="gn32")  # type: ignore[arg-type]
    pyramid = Pyramid(kind, channels=(3, 4, 5), strides=(2.0, 4.0, 8.0), width=8, fpn=fpn)
    sequences = [torch.randn(2, c, t) for c, t in ((3, 128), (4, 64), (5, 32))]
    maps = pyramid(sequences)
    assert [tuple(x.shape) for x in maps] == [(2, 8, t) for t in counts]
    assert pyramid.strides == strides
    longer = pyramid([torch.randn(1, c, t) for c, t in ((3, 384), (4, 192), (5, 96))])
    assert [x.shape[2] for x in longer] == [3 * t for t in counts]


@pytest.mark.parametrize("kernel", [1, 2, 3])
def test_the_way_down_and_the_coarsest_level(kernel: int) -> None:
    """Sums of lateral maps, nearest neighbours above; then pooling at every second cell of the last."""
    pyramid = Pyramid(
        "inter",
        channels=(2, 2, 2),
        strides=(1.0, 2.0, 4.0),
        width=2,
        fpn=Fpn(out_conv=False, pool_kernel=kernel),  # type: ignore[arg-type]
    )
    for conv in pyramid.lateral:
        conv.weight.data = torch.eye(2)[:, :, None]
    low, middle, high = (torch.randn(1, 2, t, generator=torch.Generator().manual_seed(t)) for t in (16, 8, 4))
    maps = pyramid([low, middle, high])
    second = middle + high.repeat_interleave(2, dim=2)
    torch.testing.assert_close(maps[2], high)
    torch.testing.assert_close(maps[1], second)
    torch.testing.assert_close(maps[0], low + second.repeat_interleave(2, dim=2))
    seen = {1: ((0,), (2,)), 2: ((0, 1), (2, 3)), 3: ((0, 1), (1, 2, 3))}[kernel]
    expected = torch.stack([high[:, :, list(cells)].amax(dim=2) for cells in seen], dim=2)
    torch.testing.assert_close(maps[3], expected)


def test_a_segment_is_read_at_its_own_level() -> None:
    torch.manual_seed(0)
    maps = [torch.randn(2, 6, t) for t in (32, 16, 8, 4)]
    strides = (1.0, 2.0, 4.0, 8.0)
    levels = Levels.of(maps, strides, 32)
    segments = torch.tensor([[[0.1, 0.3], [0.2, 0.6], [0.0, 1.0]], [[0.5, 1.2], [0.7, 0.71], [-3.0, 9.0]]])
    soi = Soi(resolution=4, expand=5.0)
    found = soi_feats(levels, segments, soi)
    for b, n, level in ((0, 0, 0), (0, 1, 1), (0, 2, 3), (1, 0, 2), (1, 1, 0), (1, 2, 3)):
        start, end = expanded(segments[b, n], 5.0) * 32 / strides[level]
        roi = torch.tensor([[float(b), start, end]])
        torch.testing.assert_close(found[b, n], align_1d(maps[level], roi, 4)[0].T, atol=1e-5, rtol=1e-4)
    # by the length after expansion, 0.2 becomes 0.28 and moves up a level
    moved = soi_feats(levels, segments, Soi(resolution=4, expand=5.0, level_from="expanded"))
    roi = torch.tensor([[0.0, *(expanded(segments[0, 0], 5.0) * 16).tolist()]])
    torch.testing.assert_close(moved[0, 0], align_1d(maps[1], roi, 4)[0].T, atol=1e-5, rtol=1e-4)
    windows = torch.tensor([[1.0, 0.25, 0.75], [0.0, 0.1, 0.2], [1.0, 0.0, 0.125]])
    own = window_feats(levels, windows, soi)
    for row, (owner, start, end), level in zip(own, windows.tolist(), (2, 0, 0), strict=True):
        roi = torch.tensor([[owner, start * 32 / strides[level], end * 32 / strides[level]]])
        torch.testing.assert_close(row, align_1d(maps[level], roi, 4)[0].T, atol=1e-5, rtol=1e-4)


def test_segments_that_are_no_numbers_are_read_somewhere() -> None:
    """The losses say what happened; an index out of range would hide it."""
    levels = Levels.of([torch.randn(1, 2, t) for t in (8, 4)], (1.0, 2.0), 8)
    nan, inf = float("nan"), float("inf")
    found = soi_feats(levels, torch.tensor([[[nan, nan], [-inf, inf], [5.0, nan]]]), Soi(resolution=2))
    assert found.shape == (1, 3, 2, 2)


def test_where_proposals_begin() -> None:
    assert initial_segments(3, "full").tolist() == [[0.5, 1.0]] * 3
    grid = initial_segments(5, "grid").tolist()
    assert grid == [[0.5, 1.0], [0.25, 0.5], [0.75, 0.5], [0.25, 0.25], [0.75, 0.25]]
    assert initial_segments(7, "grid")[3:].tolist() == [[0.125 + 0.25 * k, 0.25] for k in range(4)]
    torch.manual_seed(0)
    centre, length = initial_segments(400, "random").unbind(1)
    for values in (centre, length):
        assert 0.4 < float(values.mean()) < 0.6
        assert 0.0 < float(values.min()) < 0.1 < 0.9 < float(values.max()) <= 1.0


def test_a_learnt_segment_is_never_empty() -> None:
    torch.manual_seed(0)
    proposals = Proposals(number=2, width=1000, init="full")
    assert 0.9 < float(proposals.features.detach().std()) < 1.1
    proposals.segments.data = torch.tensor([[0.5, -0.2], [0.4, 0.6]])
    segments, features = proposals(3)
    assert segments.shape == (3, 2, 2)
    assert features.shape == (3, 2, 1000)
    torch.testing.assert_close(segments[2], torch.tensor([[0.4995, 0.5005], [0.1, 0.7]]))


def test_clips_are_those_of_afsd() -> None:
    """256 frames 30 apart, in samples of 2 frames."""
    sampling = Config().sampling()
    assert (sampling.train, sampling.test, sampling.length) == ("window", "window", 128)
    assert sampling.window_stride == (15, 64)
    assert (sampling.keep_ratio, sampling.min_inside, sampling.both_ways) == (0.5, 1.0, False)
    assert Config(clip_length=112, test_overlap=0.75).sampling().window_stride == (15, 28)


def test_a_video_can_be_one_clip() -> None:
    sampling = Config(whole_video=True).sampling()
    assert (sampling.train, sampling.test, sampling.length) == ("rescale", "rescale", 128)
    sampling = Frames(whole_video=True, clip_length=768).sampling()
    assert (sampling.train, sampling.test, sampling.length) == ("uniform", "uniform", 768)
    assert sampling.frames is not None
