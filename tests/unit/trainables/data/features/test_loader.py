"""Batches: times, padding, windows, labels on the grid, order and workers."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from trainables.config import Sampling
from trainables.data.batches.passes import Pass
from trainables.data.features.loader import FeaturesVideo, load_batches
from trainables.records import Batch

NATIVE = Sampling("native", "native", 1)
UNIFORM = Sampling("sparse", "uniform", 4)
RESCALE = Sampling("rescale", "rescale", 7)
WINDOW = Sampling("window", "window", 8, window_stride=(4, 8))


def _video(
    name: str, length: int, segments: list[tuple[float, float, int]] | None = None, step: float = 0.5
) -> FeaturesVideo:
    rows = np.asarray(segments or [], np.float64).reshape(-1, 3)
    # channel 0 counts snippets, so that a sample tells where it comes from
    feats = np.stack([np.arange(length), np.full(length, length)], axis=1).astype(np.float32)
    return FeaturesVideo(name, step, feats, rows[:, :2], rows[:, 2].astype(np.int64))


def _load(videos: list[FeaturesVideo], sampling: Sampling, **changes: Any) -> list[Batch]:
    arguments: dict[str, Any] = {"batch_size": 3, "supervision": "segments", "seed": 0, "epoch": None}
    return list(load_batches(videos, 3, Pass(sampling, **(arguments | changes))))


def test_native_pads_to_the_longest_of_the_batch() -> None:
    (batch,) = _load([_video("a", 3), _video("b", 5)], NATIVE)
    assert batch.feats is not None
    assert batch.feats.shape == (2, 2, 5)
    assert batch.feats[0, 0].tolist() == [0, 1, 2, 0, 0]
    assert batch.feats[0, 1].tolist() == [3, 3, 3, 0, 0]
    assert batch.valid_mask.tolist() == [[True] * 3 + [False] * 2, [True] * 5]
    assert batch.seconds_per_sample.tolist() == [0.5, 0.5]
    assert batch.start_s.tolist() == [0.0, 0.0]
    assert batch.seconds_per_sample.dtype == batch.start_s.dtype == torch.float64


def test_uniform_golden_with_its_times() -> None:
    (batch,) = _load([_video("a", 10), _video("b", 3)], UNIFORM)
    assert batch.feats is not None
    assert batch.feats[:, 0].tolist() == [[1, 3, 6, 8], [0, 1, 1, 2]]
    assert batch.seconds_per_sample.tolist() == [10 / 4 * 0.5, 3 / 4 * 0.5]


def test_rescale_interpolates_and_aligns_the_ends() -> None:
    (batch,) = _load([_video("a", 4, [(0.5, 1.0, 1)])], RESCALE)
    assert batch.feats is not None
    assert batch.feats[0, 0].tolist() == pytest.approx([0, 0.5, 1, 1.5, 2, 2.5, 3])
    assert batch.seconds_per_sample.tolist() == [0.25]
    # the middle of sample j is the middle of the snippet it shows: 0.25 s for the first, 1.75 s for the last
    middles = batch.start_s[0] + (torch.arange(7) + 0.5) * batch.seconds_per_sample[0]
    assert middles.tolist() == pytest.approx([0.25 + 0.25 * j for j in range(7)])
    assert batch.segments is not None
    assert batch.segments[0].segments_grid.tolist() == [pytest.approx([1.5, 3.5])]


def test_windows_are_inputs_of_their_own() -> None:
    (batch,) = _load([_video("a", 18, [(3.5, 4.5, 2), (8.0, 9.0, 1)]), _video("b", 5)], WINDOW, batch_size=9)
    assert batch.video_ids == ("a", "a", "a", "b")
    assert batch.start_s.tolist() == [0.0, 4.0, 5.0, 0.0]  # offsets 0, 8 and the last possible one, 10
    assert batch.feats is not None
    assert batch.feats.shape == (4, 2, 8)
    assert batch.feats[:, 0, 0].tolist() == [0, 8, 10, 0]
    assert batch.valid_mask.sum(dim=1).tolist() == [8, 8, 8, 5]
    assert batch.segments is not None
    assert [s.segments_grid.tolist() for s in batch.segments] == [[[7, 8]], [[0, 1]], [[6, 8]], []]
    assert [s.labels.tolist() for s in batch.segments] == [[2], [2], [1], []]
    assert batch.video_labels is not None
    assert batch.video_labels.tolist() == [[0, 1, 1]] * 3 + [[0, 0, 0]]


def test_short_windows_are_padded_to_the_full_length() -> None:
    (batch,) = _load([_video("b", 5)], WINDOW)
    assert batch.feats is not None
    assert batch.feats.shape == (1, 2, 8)
    assert batch.feats[0, 1].tolist() == [5] * 5 + [0] * 3
    assert batch.valid_mask.tolist() == [[True] * 5 + [False] * 3]


def test_training_uses_its_own_stride_and_mixes_windows_of_videos() -> None:
    videos = [_video(name, 40) for name in "abcdef"]
    starts: dict[str, list[float]] = {}
    order = []
    for batch in _load(videos, WINDOW, epoch=0):
        for video, start in zip(batch.video_ids, batch.start_s.tolist(), strict=True):
            starts.setdefault(video, []).append(start)
            order.append(video)
    assert starts.keys() == set("abcdef")
    assert all(sorted(found) == [2.0 * i for i in range(9)] for found in starts.values())
    runs = 1 + sum(a != b for a, b in pairwise(order))
    assert runs > 20, "windows of one video do not follow each other"


def test_frame_labels_go_by_the_middle_of_the_sample() -> None:
    (batch,) = _load([_video("a", 6, [(0.5, 1.5, 0), (1.2, 2.3, 2), (9.0, 9.5, 1)]), _video("b", 8)], NATIVE)
    assert batch.frame_labels is not None
    assert batch.frame_labels.shape == (2, 8, 3)
    assert batch.frame_labels[0, :, 0].tolist() == [0, 1, 1, 0, 0, 0, 0, 0]
    assert batch.frame_labels[0, :, 2].tolist() == [0, 0, 1, 1, 1, 0, 0, 0]  # middles 1.25, 1.75 and 2.25 s
    assert not batch.frame_labels[0, :, 1].any()
    assert batch.segments is not None
    assert batch.segments[0].labels.tolist() == [0, 2], "a segment outside the video is left out"


def test_padding_has_no_frame_labels() -> None:
    (batch,) = _load([_video("a", 3, [(0.0, 9.0, 1)]), _video("b", 8)], NATIVE)
    assert batch.frame_labels is not None
    assert batch.frame_labels[0, :, 1].tolist() == [1, 1, 1, 0, 0, 0, 0, 0]
    assert batch.segments is not None
    assert batch.segments[0].segments_grid.tolist() == [[0, 3]]


@pytest.mark.parametrize("epoch", [None, 3])
def test_supervision_is_a_wall(epoch: int | None) -> None:
    videos = [_video("a", 10, [(0.5, 1.5, 0)])]
    (none,) = _load(videos, UNIFORM, supervision="none", epoch=epoch)
    assert (none.video_labels, none.segments, none.frame_labels) == (None, None, None)
    (weak,) = _load(videos, UNIFORM, supervision="video_labels", epoch=epoch)
    assert (weak.segments, weak.frame_labels) == (None, None)
    assert weak.video_labels is not None
    assert weak.video_labels.tolist() == [[1, 0, 0]]
    (full,) = _load(videos, UNIFORM, epoch=epoch)
    assert full.segments is not None
    assert full.frame_labels is not None


def test_an_epoch_is_the_same_whatever_the_number_of_workers() -> None:
    videos = [_video(f"v{i}", 30 + i) for i in range(11)]
    sampling = Sampling("sparse", "uniform", 8)

    def draws(world_size: int) -> list[dict[str, list[float]]]:
        found = []
        for rank in range(world_size):
            batches = _load(videos, sampling, seed=4, epoch=2, rank=rank, world_size=world_size)
            found.append(
                {v: f[0].tolist() for b in batches for v, f in zip(b.video_ids, b.feats, strict=True)}  # type: ignore[arg-type]
            )
        return found

    alone = draws(1)[0]
    assert len(alone) == 11
    for world_size in (2, 4, 13):
        shared = draws(world_size)
        assert sum(map(len, shared)) == 11, "no video on two workers"
        assert {k: v for one in shared for k, v in one.items()} == alone


def test_a_video_draws_alike_whatever_else_is_in_the_split() -> None:
    few = [_video(f"v{i}", 50) for i in range(3)]
    sampling = Sampling("sparse", "uniform", 8)

    def drawn(videos: list[FeaturesVideo]) -> dict[str, list[float]]:
        batches = _load(videos, sampling, epoch=1)
        return {v: f[0].tolist() for b in batches for v, f in zip(b.video_ids, b.feats, strict=True)}  # type: ignore[arg-type]

    more = drawn([*few, _video("w", 50)])
    alone = drawn(few)
    assert {v: more[v] for v in alone} == alone
    assert len({tuple(found) for found in more.values()}) == 4, "no two videos draw alike"


def test_first_draws_of_neighbouring_seeds_epochs_and_videos_differ() -> None:
    videos = [_video(f"v{i}", 1000) for i in range(3)]
    sampling = Sampling("sparse", "uniform", 8)
    found = set()
    for seed in range(3):
        for epoch in range(3):
            for batch in _load(videos, sampling, seed=seed, epoch=epoch):
                assert batch.feats is not None
                found |= {tuple(f[0].tolist()) for f in batch.feats}
    assert len(found) == 27


def test_without_an_epoch_the_order_is_the_split_s() -> None:
    videos = [_video(f"v{i}", 5) for i in range(7)]
    assert [v for b in _load(videos, NATIVE) for v in b.video_ids] == [f"v{i}" for i in range(7)]
    second = _load(videos, NATIVE, rank=1, world_size=3)
    assert [v for b in second for v in b.video_ids] == ["v1", "v4"]
    assert _load(videos, NATIVE, rank=7, world_size=8) == []


@pytest.mark.parametrize(
    ("sampling", "changes", "complaint"),
    [
        (NATIVE, {"batch_size": 0}, "batch_size: 0"),
        (NATIVE, {"rank": 2, "world_size": 2}, "rank: 2"),
        (NATIVE, {"rank": -1}, "rank: -1"),
        (NATIVE, {"supervision": "boxes"}, "supervision: 'boxes' is none of none, video_labels, segments"),
        (Sampling("sparse", "uniform", 0), {}, "sampling.length: 0"),
        (Sampling("window", "native", 8), {}, "sampling.window_stride: None"),
        (Sampling("native", "window", 8, window_stride=(4, 0)), {}, r"sampling.window_stride: \(4, 0\)"),
    ],
)
def test_bad_arguments_are_named_before_the_first_batch(
    sampling: Sampling, changes: dict[str, Any], complaint: str
) -> None:
    arguments: dict[str, Any] = {"batch_size": 3, "supervision": "none", "seed": 0, "epoch": None}
    with pytest.raises(ValueError, match=complaint):
        Pass(sampling, **(arguments | changes))
