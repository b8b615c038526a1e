"""Volume Freeze against the published examples and a list of frames."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from volume_reference import slow_freeze

from trainables.layers.volume.clips import Clips
from trainables.layers.volume.freeze import frozen_frames, volume_freeze


def ramp(n: int, k: int = 1) -> Clips:
    """One clip of features whose frame t has the value t, of one class."""
    return Clips.of(torch.arange(float(n)).reshape(1, 1, n), torch.eye(k)[:1].expand(n, k)[None])


GOLDEN = [
    (8, [(2, 3)], [0, 1, 2, 2, 2, 3, 4, 5], [1, 1, 0, 0, 0, 1, 1, 1]),
    (8, [(1, 3)], [0, 1, 1, 1, 2, 3, 4, 5], [1, 0, 0, 0, 1, 1, 1, 1]),
    (8, [(6, 2)], [0, 1, 2, 3, 4, 5, 6, 6], [1, 1, 1, 1, 1, 1, 0, 0]),
    (8, [(0, 8)], [0] * 8, [0] * 8),
    (10, [(1, 2), (6, 3)], [0, 1, 1, 2, 3, 4, 5, 5, 5, 6], [1, 0, 0, 1, 1, 1, 0, 0, 0, 1]),
    (10, [(1, 2), (2, 2)], [0, 1, 1, 1, 2, 3, 4, 5, 6, 7], [1, 0, 0, 0, 1, 1, 1, 1, 1, 1]),
    (16, [(2, 4)], [0, 1, 2, 2, 2, *range(2, 13)], [1, 1, 0, 0, 0, 0, *[1] * 10]),
    (4, [(2, 1)], [0, 1, 2, 3], [1, 1, 0, 1]),
]


@pytest.mark.parametrize(("n", "segments", "src", "kept"), GOLDEN)
def test_published_examples(n: int, segments: list[tuple[int, int]], src: list[int], kept: list[int]) -> None:
    table = torch.tensor([segments])
    frozen = volume_freeze(ramp(n), table[..., 0], table[..., 1])
    assert frozen.video[0, 0].tolist() == src
    assert frozen.frame_labels[0, :, 0].tolist() == kept
    assert frozen.weights.tolist() == torch.ones(1, 1, n).tolist(), "a frame without a label is a frame"


def test_background_is_a_class_of_its_own_where_asked_for() -> None:
    clips = ramp(6, 3)
    frozen = volume_freeze(clips, torch.tensor([1]), torch.tensor([3]), background=2)
    assert frozen.frame_labels[0].argmax(1).tolist() == [0, 2, 2, 2, 0, 0]
    assert torch.equal(frozen.frame_labels.sum(2), torch.ones(1, 6))
    assert torch.equal(clips.labels[0, 0, :, 0], torch.ones(6)), "the input stays"


@st.composite
def frozen_clips(draw: st.DrawFn) -> tuple[int, int, list[list[tuple[int, int]]]]:
    n, segments = draw(st.integers(1, 9)), draw(st.integers(1, 3))
    one = st.integers(0, n - 1).flatmap(lambda r: st.tuples(st.just(r), st.integers(1, n - r)))
    clips = draw(st.lists(st.lists(one, min_size=segments, max_size=segments), min_size=1, max_size=3))
    return n, draw(st.integers(0, 3)), clips


@given(frozen_clips())
def test_as_a_list_of_frames(case: tuple[int, int, list[list[tuple[int, int]]]]) -> None:
    n, padding, segments = case
    generator = torch.Generator().manual_seed(n)
    video = torch.rand(len(segments), 2, n + padding, 1, 2, generator=generator)
    labels = torch.rand(len(segments), n + padding, 3, generator=generator)
    video[:, :, n:], labels[:, n:] = float("nan"), 0.0
    count = torch.full((len(segments),), n)
    table = torch.tensor(segments)
    frozen = volume_freeze(Clips.of(video, labels, count), table[..., 0], table[..., 1])
    for row, own in enumerate(segments):
        expected = slow_freeze(video[row, :, :n], labels[row, :n], own)
        assert torch.equal(frozen.video[row, :, :n], expected[0])
        assert torch.allclose(frozen.frame_labels[row, :n], expected[1])
    src, bg = frozen_frames(table[..., 0], table[..., 1], count, n + padding)
    real = src[:, :n]
    assert bool((real >= 0).all()) and bool((real < n).all()), "padding is never shown"
    assert bool((real.diff(dim=1) >= 0).all()) and bool((real.diff(dim=1) <= 1).all()), "time stands or goes on"
    assert not bool(bg[:, n:].any())


@pytest.mark.parametrize(("r", "m"), [(-1, 2), (4, 1), (0, 0), (2, 3)])
def test_a_segment_outside_its_clip_is_refused(r: int, m: int) -> None:
    good, bad = torch.tensor([0, r]), torch.tensor([2, m])
    clips = Clips.of(torch.zeros(2, 1, 6), torch.zeros(2, 6, 1), torch.tensor([4, 4]))
    with pytest.raises(ValueError, match=rf"clip 1, segment 0: start r = {r} .* length m = {m} .* n = 4"):
        volume_freeze(clips, good, bad)


def test_clips_of_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="of the same B and T"):
        Clips.of(torch.zeros(2, 1, 6), torch.zeros(2, 5, 1))
    with pytest.raises(ValueError, match="clip 1 has 7 frames, it must be from 1 to T = 6"):
        Clips.of(torch.zeros(2, 1, 6), torch.zeros(2, 6, 1), torch.tensor([1, 7]))
