"""Frames of snippets, against plain loops."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.backbones.snippets import SnippetGrid, sampled_frames, stack_middle


def test_every_frame_without_a_rate() -> None:
    assert sampled_frames(4, 29.97, None).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("num_frames", "source", "fps", "expected"),
    [
        (9, 30.0, 10.0, [1, 4, 7]),
        (10, 30.0, 10.0, [1, 4, 7]),
        (11, 30.0, 10.0, [1, 4, 7, 10]),
        (4, 10.0, 20.0, [0, 0, 1, 1, 2, 2, 3, 3]),
        (1, 30.0, 1.0, [0]),
        (5, 25.0, 25.0, [0, 1, 2, 3, 4]),
    ],
)
def test_other_rates(num_frames: int, source: float, fps: float, expected: list[int]) -> None:
    assert sampled_frames(num_frames, source, fps).tolist() == expected


@settings(max_examples=200)
@given(st.integers(1, 500), st.floats(1, 120), st.floats(1, 120))
def test_a_sampled_frame_covers_the_middle_of_its_period(num_frames: int, source: float, fps: float) -> None:
    frames = sampled_frames(num_frames, source, fps)
    assert len(frames) == max(1, round(num_frames * fps / source))
    for i, frame in enumerate(frames.tolist()):
        middle_s = (i + 0.5) / fps
        if frame < num_frames - 1:
            assert frame / source <= middle_s + 1e-9
            assert middle_s <= (frame + 1) / source + 1e-9
        else:
            assert middle_s >= (num_frames - 1) / source - 1e-9


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((0, 30.0, None), "num_frames: 0"),
        ((5, 0.0, None), "source fps: 0.0"),
        ((5, 30.0, -1.0), "fps: -1.0"),
        ((5, float("nan"), 3.0), "source fps: nan"),
    ],
)
def test_refused_rates(arguments: tuple[int, float, float | None], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        sampled_frames(*arguments)


def _slow_windows(num_frames: int, length: int, stride: int) -> list[list[int]]:
    windows = []
    for t in range(num_frames):
        if t * stride >= num_frames:
            break
        start = t * stride + (stride - length) // 2
        windows.append([min(max(start + k, 0), num_frames - 1) for k in range(length)])
    return windows


@settings(max_examples=200)
@given(st.integers(1, 100), st.integers(1, 20), st.integers(1, 20), st.data())
def test_windows_against_a_loop(num_frames: int, length: int, stride: int, data: st.DataObject) -> None:
    grid = SnippetGrid(length, stride)
    slow = _slow_windows(num_frames, length, stride)
    count = grid.count(num_frames)
    assert count == len(slow)
    start = data.draw(st.integers(0, count - 1))
    stop = data.draw(st.integers(start + 1, count))
    assert grid.windows(num_frames, start, stop).tolist() == slow[start:stop]


@settings(max_examples=100)
@given(st.integers(1, 30), st.integers(1, 30))
def test_a_snippet_is_centred_on_its_cell(length: int, stride: int) -> None:
    window = SnippetGrid(length, stride).windows(10_000, 100, 101)[0]
    centre = (window[0] + window[-1] + 1) / 2
    assert abs(centre - (100.5 * stride)) <= 0.5
    if (length - stride) % 2 == 0:
        assert centre == 100.5 * stride


def test_snippets_without_overlap_take_every_frame_once() -> None:
    windows = SnippetGrid(16, 16).windows(48, 0, 3)
    assert windows.flatten().tolist() == list(range(48))


@pytest.mark.parametrize(("length", "stride"), [(0, 3), (3, 0), (-1, 1)])
def test_refused_grids(length: int, stride: int) -> None:
    with pytest.raises(ValueError, match="must be 1 or more frames"):
        SnippetGrid(length, stride)


@pytest.mark.parametrize(("frames", "count", "first"), [(15, 1, 7), (15, 5, 5), (5, 5, 0), (6, 5, 0), (7, 5, 1)])
def test_stacked_images_are_the_middle_ones_in_turn(frames: int, count: int, first: int) -> None:
    clips = torch.arange(2 * 2 * frames * 3, dtype=torch.float32).view(2, 2, frames, 1, 3)
    stacked = stack_middle(clips, count)
    assert stacked.shape == (2, 2 * count, 1, 1, 3)
    for i in range(count):
        for channel in range(2):
            assert torch.equal(stacked[:, 2 * i + channel, 0], clips[:, channel, first + i])
