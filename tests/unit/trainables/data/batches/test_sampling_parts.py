"""Windows and shots: which parts of a video are inputs, what is left of an instance, and the way back to seconds."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.config import Sampling
from trainables.data.batches.passes import Pass
from trainables.data.batches.sampling import sample_video
from trainables.data.batches.shots import feature_change, shot_clips
from trainables.data.features.loader import FeaturesVideo, load_batches
from trainables.records import Batch
from trainables.segments import grid_to_seconds

#: SP-TAD's clips of THUMOS'14: 256 frames every 30; an instance stays where half of it is inside, and a clip is used
#: where one instance is wholly inside.
SP_TAD = Sampling("window", "window", 256, window_stride=(30, 128), keep_ratio=0.5, min_inside=1.0)


def _video(length: int, segments: list[tuple[float, float]], name: str = "v", step: float = 1.0) -> FeaturesVideo:
    rows = np.asarray(segments, np.float64).reshape(-1, 2)
    feats = np.arange(length, dtype=np.float32)[:, None]
    return FeaturesVideo(name, step, feats, rows, np.arange(len(rows), dtype=np.int64) % 3)


def _load(videos: list[FeaturesVideo], sampling: Sampling, **changes: Any) -> list[Batch]:
    arguments: dict[str, Any] = {"batch_size": 4, "supervision": "segments", "seed": 0, "epoch": 0}
    return list(load_batches(videos, 3, Pass(sampling, **(arguments | changes))))


def _inputs(videos: list[FeaturesVideo], sampling: Sampling, **changes: Any) -> dict[float, list[list[float]]]:
    """Time of coordinate 0 -> targets of that input."""
    found = {}
    for batch in _load(videos, sampling, **changes):
        assert batch.segments is not None
        for start, targets in zip(batch.start_s.tolist(), batch.segments, strict=True):
            found[start] = targets.segments_grid.tolist()
    return dict(sorted(found.items()))


def test_clips_of_sp_tad_golden() -> None:
    # 337 frames: offsets 0, 30, 60 and 81; [200, 300] is whole in the last two, and 0.56 of it is in the first
    assert _inputs([_video(337, [(200, 300)])], SP_TAD) == {60.0: [[140, 240]], 81.0: [[119, 219]]}
    kept = Sampling("window", "window", 256, window_stride=(30, 128), keep_ratio=0.5)
    assert _inputs([_video(337, [(200, 300)])], kept) == {
        0.0: [[200, 256]],
        30.0: [[170, 256]],
        60.0: [[140, 240]],
        81.0: [[119, 219]],
    }
    assert list(_inputs([_video(385, [(0, 9)])], kept, epoch=None)) == [0.0, 128.0, 129.0]
    assert list(_inputs([_video(255, [(0, 9)])], kept)) == [0.0]


def test_an_instance_stays_at_exactly_its_ratio() -> None:
    video = _video(20, [(8, 12), (7, 11)])
    sampling = Sampling("window", "window", 10, window_stride=(10, 10), keep_ratio=0.5)
    assert _inputs([video], sampling) == {0.0: [[8, 10], [7, 10]], 10.0: [[0, 2]]}


@given(
    length=st.integers(1, 40),
    width=st.integers(1, 20),
    stride=st.integers(1, 20),
    keep=st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0]),
    least=st.sampled_from([0.0, 0.5, 1.0]),
    segments=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 20)), max_size=4),
)
def test_targets_against_a_count_of_snippets(
    length: int, width: int, stride: int, keep: float, least: float, segments: list[tuple[int, int]]
) -> None:
    """Segments of whole snippets, so that a share is a count of snippets inside the window."""
    video = _video(length, [(s, s + n) for s, n in segments])
    last = max(length - width, 0)
    expected = {}
    for offset in sorted({o for o in range(0, last + 1) if o % stride == 0} | {last}):
        window = set(range(offset, min(offset + width, length)))
        inside = [sorted(window & set(range(s, s + n))) for s, n in segments]
        shares = [len(own) / n for own, (_, n) in zip(inside, segments, strict=True)]
        if least > 0 and not any(share >= least for share in shares):
            continue
        targets = [(own, share) for own, share in zip(inside, shares, strict=True) if own and share >= keep]
        expected[float(offset)] = [[own[0] - offset, own[-1] + 1 - offset] for own, _ in targets]
    sampling = Sampling("window", "window", width, (stride, stride), keep_ratio=keep, min_inside=least)
    if expected:
        assert _inputs([video], sampling) == expected
    else:
        with pytest.raises(ValueError, match=rf"min_inside: no window holds {least} of an instance"):
            _inputs([video], sampling)


def test_a_clip_has_the_times_and_labels_of_what_it_shows() -> None:
    sampling = Sampling("clip", "native", 4, stride=5)
    starts = set()
    for epoch in range(90):
        (batch,) = _load([_video(30, [(1.0, 2.0)], step=0.1)], sampling, epoch=epoch)
        (start,) = batch.start_s.tolist()
        starts.add(round(start * 10))
        assert batch.seconds_per_sample.tolist() == [0.5]
        assert batch.feats is not None
        assert batch.frame_labels is not None
        assert batch.segments is not None
        shown = batch.feats[0, 0].tolist()
        assert shown == [round(start * 10) + 5 * j for j in range(4)]
        # a sample covers five snippets; it has the label where the middle of them does
        assert batch.frame_labels[0, :, 0].tolist() == [float(10 <= first + 2.5 < 20) for first in shown]
        cut = np.clip((np.array([10, 20]) - shown[0]) / 5, 0, 4)
        assert batch.segments[0].segments_grid.numpy() == pytest.approx(cut[None], abs=1e-5)
    assert starts == set(range(11))
    (whole,) = _load([_video(32, [(10, 20)])], sampling, epoch=None)
    assert whole.feats is not None
    assert whole.feats[0, 0].tolist() == [0, 5, 10, 15, 20, 25, 30]
    (short,) = _load([_video(12, [(0, 12)])], sampling)
    assert short.valid_mask.tolist() == [[True, True, True, False]]


def test_windows_without_an_instance_are_used_at_test() -> None:
    videos = [_video(30, [(0, 4)])]
    sampling = Sampling("window", "window", 10, window_stride=(10, 10), min_inside=1.0)
    assert list(_inputs(videos, sampling)) == [0.0]
    assert list(_inputs(videos, sampling, epoch=None)) == [0.0, 10.0, 20.0]


def test_choosing_windows_by_segments_needs_segments() -> None:
    sampling = Sampling("window", "window", 10, window_stride=(10, 10), min_inside=0.5)
    for supervision in ("none", "video_labels"):
        with pytest.raises(ValueError, match=rf"min_inside: 0\.5 reads segments; '{supervision}' allows none"):
            _load([_video(30, [(0, 4)])], sampling, supervision=supervision)
        scored = _load([_video(30, [(0, 4)])], sampling, supervision=supervision, epoch=None)
        assert len(scored) == 1, "scoring looks at all windows and needs no labels"
        assert scored[0].start_s.tolist() == [0.0, 10.0, 20.0]


def test_a_worker_whose_videos_have_no_window_is_no_error() -> None:
    videos = [_video(30, [(0, 4)], "a"), _video(30, [], "b")]
    sampling = Sampling("window", "window", 10, window_stride=(10, 10), min_inside=1.0)
    found = [[b.video_ids for b in _load(videos, sampling, rank=rank, world_size=2)] for rank in range(2)]
    assert sorted(found) == [[], [("a",)]]


def test_whole_videos_keep_every_instance() -> None:
    sampling = Sampling("native", "native", 1, keep_ratio=1.0)
    assert _inputs([_video(10, [(8, 12)])], sampling) == {0.0: [[8, 10]]}


@pytest.mark.parametrize(("name", "value"), [("keep_ratio", 1.5), ("min_inside", -0.1), ("shot_threshold", 2.0)])
def test_shares_are_shares(name: str, value: float) -> None:
    sampling = Sampling("window", "window", 4, (4, 4), **{name: value})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=rf"sampling\.{name}: {value} must be from 0 to 1"):
        _load([_video(10, [(1, 2)])], sampling)


def test_change_golden() -> None:
    features = np.array([[1, 0], [1, 0], [0, 1], [0, 3], [0, 0], [0, 0]], np.float32)
    assert feature_change(features).tolist() == [0, 1, 0.5, 1, 0]
    assert feature_change(features[:1]).tolist() == []


@given(st.integers(0, 99), st.floats(1e-3, 1e3))
def test_change_has_no_scale(seed: int, scale: float) -> None:
    features = np.random.default_rng(seed).normal(size=(7, 5)).astype(np.float32)
    change = feature_change(features)
    assert np.allclose(change, feature_change(features * np.float32(scale)), atol=1e-5)
    assert ((change >= 0) & (change <= 1)).all()
    for row in range(6):
        a, b = features[row].astype(float), features[row + 1].astype(float)
        assert change[row] == pytest.approx(sum(abs(a - b)) / (sum(abs(a)) + sum(abs(b))), abs=1e-12)


@given(kinds=st.lists(st.integers(0, 3), min_size=1, max_size=40), length=st.integers(1, 9))
def test_clips_are_the_runs_of_a_shot(kinds: list[int], length: int) -> None:
    features = np.eye(4, dtype=np.float32)[kinds]
    found = shot_clips(features, length, 0.4)
    assert [t for start, end in found for t in range(start, end)] == list(range(len(kinds)))
    for start, end in found:
        assert 1 <= end - start <= length
        assert len({kinds[t] for t in range(start, end)}) == 1
    for (_, end), (start, after) in pairwise(found):
        # a clip ends early only where its shot does
        assert end == start
        assert after - start == length or after == len(kinds) or kinds[after] != kinds[after - 1]


def test_shots_are_inputs_with_their_own_times() -> None:
    kinds = [0] * 5 + [1] * 2 + [2] * 3
    video = FeaturesVideo("v", 0.5, np.eye(3, dtype=np.float32)[kinds], np.array([[2.0, 4.0]]), np.array([1]))
    (batch,) = _load([video], Sampling("shot", "shot", 4), batch_size=9, epoch=None)
    assert batch.start_s.tolist() == [0.0, 2.0, 2.5, 3.5]
    assert batch.valid_mask.sum(dim=1).tolist() == [4, 1, 2, 3]
    assert batch.segments is not None
    assert [s.segments_grid.tolist() for s in batch.segments] == [[], [[0, 1]], [[0, 2]], [[0, 1]]]


def test_real_shots_begin_where_clips_were_joined(test_data: Any) -> None:
    from trainables.data.stitched.feature_clips import read_clips

    clips = read_clips(test_data / "features" / "gym_i3d" / "gym_i3d_odd.tar.xz")
    order = np.random.default_rng(0).permutation(len(clips))
    joined = np.concatenate([clips[i].features for i in order])
    true = set(np.cumsum([len(clips[i]) for i in order])[:-1].tolist())
    found = {start for start, _ in shot_clips(joined, 10_000, Sampling("shot", "shot", 1).shot_threshold)} - {0}
    assert len(found & true) / len(true) > 0.85
    assert len(found & true) / len(found) > 0.85


@given(
    length=st.integers(1, 300),
    width=st.integers(1, 40),
    stride=st.integers(1, 40),
    fps=st.sampled_from([Fraction(25), Fraction(30), Fraction(30000, 1001), Fraction(24000, 1001)]),
    frames=st.sampled_from([4, 8, 16]),
    offset=st.sampled_from([Fraction(0), Fraction(3, 2), Fraction(-1, 2)]),
    kind=st.sampled_from(["uniform", "rescale", "native", "window", "shot"]),
    ends=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_the_grid_leads_back_to_the_seconds(
    length: int, width: int, stride: int, fps: Fraction, frames: int, offset: Fraction, kind: Any,
    ends: tuple[float, float],
) -> None:  # fmt: skip
    """Exact times of snippets, in rational numbers, against the two floats a batch carries."""
    step = float(frames / fps)
    first, last = sorted(round(end * length) for end in ends)
    last += first == last
    exact = [(offset + n) * frames / fps for n in (first, last)]
    feats = np.random.default_rng(length).normal(size=(length, 2)).astype(np.float32)
    video = FeaturesVideo("v", step, feats, np.array([[float(t) for t in exact]]), np.array([0]), float(offset) * step)
    sampling = Sampling("native", kind, width, (stride, stride))
    inputs = sample_video(feats, sampling, training=False, generator=np.random.default_rng(0))
    batches = _load([video], sampling, epoch=None, batch_size=1)
    assert len(batches) == len(inputs)
    covered = torch.zeros(length, dtype=torch.bool)
    for sampled, batch in zip(inputs, batches, strict=True):
        start_s, per_sample = float(batch.start_s[0]), float(batch.seconds_per_sample[0])
        centres = grid_to_seconds(
            np.arange(len(sampled.positions)) + 0.5, start_s=start_s, seconds_per_sample=per_sample
        )
        for centre, position in zip(centres, sampled.positions, strict=True):
            there = Fraction(float(position)) if kind != "rescale" else Fraction(position).limit_denominator(10_000)
            # "uniform" reads the snippet its centre lies in; one snippet stretched over many samples has one time
            if kind != "uniform" and (kind != "rescale" or length > 1):
                assert centre == pytest.approx(float((offset + there + Fraction(1, 2)) * frames / fps), abs=1e-9)
            covered[int(position)] = True
        assert batch.segments is not None
        for start, end in batch.segments[0].segments_grid.double().tolist():
            times = grid_to_seconds([start, end], start_s=start_s, seconds_per_sample=per_sample)
            low, high = grid_to_seconds([0, len(sampled.positions)], start_s=start_s, seconds_per_sample=per_sample)
            assert times.tolist() == pytest.approx(
                [max(float(exact[0]), low), min(float(exact[1]), high)], abs=1e-5 * max(1.0, float(exact[1]))
            )
            if kind in ("native", "window", "shot"):
                assert start == int(start), "a whole snippet is a whole sample"
                assert end == int(end)
    if kind in ("native", "shot") or (kind == "window" and stride <= width):
        assert covered.all()
