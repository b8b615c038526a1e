"""From snippets to samples, and their times."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.config import Sampling
from trainables.data.batches.sampling import (
    Sampled,
    check_sampling,
    clip,
    native,
    rescale,
    sparse,
    uniform,
    windows,
    write,
)
from trainables.segments import seconds_to_snippets, tiou_matrix


@pytest.mark.parametrize(("num", "length", "indices"), [(10, 4, [1, 3, 6, 8]), (3, 5, [0, 0, 1, 2, 2])])
def test_uniform_golden(num: int, length: int, indices: list[int]) -> None:
    assert uniform(num, length).positions.tolist() == indices


def test_rescale_golden() -> None:
    features = np.array([[0], [10], [20], [30]], np.float32)
    assert written(features, rescale(4, 7))[0].tolist() == pytest.approx([0, 5, 10, 15, 20, 25, 30])


def written(features: npt.NDArray[np.float32], sampled: Sampled) -> npt.NDArray[np.float32]:
    """(C, n), out of a wider array as a padded batch is."""
    out = np.full((features.shape[1], len(sampled.positions) + 3), np.float32(-7.0))
    write(out[:, :-3], features, sampled)
    assert (out[:, -3:] == -7.0).all()
    return out[:, :-3]


@given(num=st.integers(1, 70), length=st.integers(1, 70), seed=st.integers(0, 100))
@settings(max_examples=40)
def test_what_is_written_equals_reading_sample_by_sample_to_the_bit(num: int, length: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    features = generator.standard_normal((num, 5)).astype(np.float32)
    for sampled in (
        native(num),
        uniform(num, length),
        rescale(num, length),
        sparse(num, length, generator),
        *windows(num, length, 3),
    ):
        found = written(features, sampled)
        for j, position in enumerate(sampled.positions):
            low = int(position)
            share = np.float32(position - low)
            expected = features[low]
            if share or (sampled.positions % 1).any():
                expected = expected * (1 - share) + features[min(low + 1, num - 1)] * share
            assert np.array_equal(found[:, j], expected)


@given(seed=st.integers(0, 10_000))
def test_sparse_draws_one_of_each_part(seed: int) -> None:
    drawn = sparse(10, 4, np.random.default_rng(seed)).positions
    for index, allowed in zip(drawn, [{0, 1, 2}, {2, 3, 4}, {5, 6, 7}, {7, 8, 9}], strict=True):
        assert index in allowed


@given(num=st.integers(1, 40), length=st.integers(1, 60), seed=st.integers(0, 100))
def test_positions_are_inside_and_rising(num: int, length: int, seed: int) -> None:
    for sampled in (uniform(num, length), rescale(num, length), sparse(num, length, np.random.default_rng(seed))):
        assert len(sampled.positions) == length
        assert sampled.positions.min() >= 0
        assert sampled.positions.max() <= num - 1 + 1e-9
        assert (np.diff(sampled.positions) >= 0).all()
    assert native(num).positions.tolist() == list(range(num))


@given(num=st.integers(2, 40), length=st.integers(2, 60))
def test_a_rescaled_sample_has_the_time_of_its_snippet(num: int, length: int) -> None:
    sampled = rescale(num, length)
    centres = sampled.start_snippets + (np.arange(length) + 0.5) * sampled.snippets_per_sample
    assert np.allclose(centres, sampled.positions + 0.5)


@given(num=st.integers(1, 60), length=st.integers(1, 20), stride=st.integers(1, 20))
def test_windows_cover_everything(num: int, length: int, stride: int) -> None:
    found = windows(num, length, stride)
    starts = [w.start_snippets for w in found]
    assert starts == sorted(set(starts))
    assert starts[-1] == max(num - length, 0)
    if stride <= length:
        assert {int(p) for w in found for p in w.positions} == set(range(num))


@given(snippet=st.integers(1, 1000), step=st.sampled_from([16 / 30, 0.1, 8 / 25, 15 / 29.97]))
def test_whole_snippets_survive_seconds(snippet: int, step: float) -> None:
    assert seconds_to_snippets(np.array([snippet * step]), step)[0] == snippet


def test_overlap_of_pairs() -> None:
    pred = np.array([[0, 2], [0, 1], [5, 5]], float)
    gt = np.array([[1, 3], [0, 1], [5, 5]], float)
    assert tiou_matrix(pred, gt).tolist() == pytest.approx(np.array([[1 / 3, 0.5, 0], [0, 1, 0], [0, 0, 0]]), abs=1e-12)


def test_every_tenth_frame_golden() -> None:
    sampled = native(45, 10)
    assert sampled.positions.tolist() == [0, 10, 20, 30, 40]
    assert (sampled.start_snippets, sampled.snippets_per_sample) == (0.0, 10.0)
    assert native(4, 10).positions.tolist() == [0]


def test_clips_begin_at_every_frame_from_which_they_fit() -> None:
    generator = np.random.default_rng(0)
    drawn = [clip(165, 16, 10, generator) for _ in range(200)]
    assert {one.start_snippets for one in drawn} == {0, 1, 2, 3, 4, 5}
    for one in drawn:
        assert one.positions.tolist() == [one.start_snippets + 10 * j for j in range(16)]
        assert one.snippets_per_sample == 10.0


@given(num=st.integers(1, 200), length=st.integers(1, 20), stride=st.integers(1, 12), seed=st.integers(0, 100))
def test_a_clip_is_whole_or_the_whole_video(num: int, length: int, stride: int, seed: int) -> None:
    sampled = clip(num, length, stride, np.random.default_rng(seed))
    assert sampled.positions[0] == sampled.start_snippets
    assert sampled.positions[-1] < num
    assert (np.diff(sampled.positions) == stride).all()
    if num >= length * stride:
        assert len(sampled.positions) == length
    else:
        assert sampled.positions.tolist() == native(num, stride).positions.tolist()


@pytest.mark.parametrize(("train", "stride"), [("clip", 0), ("window", 2)])
def test_strides_that_cannot_be(train: Any, stride: int) -> None:
    with pytest.raises(ValueError, match=rf"sampling\.stride: {stride} must be 1 or more, and 1 but for"):
        check_sampling(Sampling(train, "native", 4, window_stride=(1, 1), stride=stride))
