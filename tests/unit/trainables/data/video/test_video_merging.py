"""Clips that are decoded together are what each would be alone, and no frame is decoded twice in a round."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from encoded_videos import encode, moving_picture
from hypothesis import given
from hypothesis import strategies as st

from trainables.data.video.errors import VideoError
from trainables.data.video.geometry import FrameLayout, FrameTransform
from trainables.data.video.info import DecoderUse
from trainables.data.video.merging import MOST_AHEAD, WantedClip, merged, rounds, split
from trainables.data.video.reader import Request, VideoReader

LAYOUTS = (FrameLayout(2, 3, 0, 0, 2, 3), FrameLayout(2, 3, 0, 1, 1, 2))
USE = DecoderUse("decord", "1", None)

clips_st = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 1), st.lists(st.integers(0, 30), min_size=1, max_size=9)),
    min_size=1,
    max_size=12,
)


def _picture(video: int, layout: FrameLayout, number: int) -> np.ndarray:
    """A frame that says which it is."""
    frame = np.full((layout.out_height, layout.out_width, 3), number, np.uint8)
    frame[..., 1], frame[..., 2] = video, LAYOUTS.index(layout)
    return frame


@given(clips_st, st.integers(1, 400))
def test_every_clip_gets_its_frames_and_none_is_decoded_twice(
    wanted: list[tuple[int, int, list[int]]], num_bytes: int
) -> None:
    clips = [WantedClip(video, np.asarray(numbers), LAYOUTS[at]) for video, at, numbers in wanted]
    decoded: list[tuple[int, FrameLayout, int]] = []
    videos: list[int] = []
    for part in merged(clips, num_bytes):
        assert len(part.frames) == 1 or len(part.frames) * part.layout.frame_bytes <= num_bytes
        assert (np.diff(part.frames) > 0).all()
        memory = np.stack([_picture(part.video, part.layout, number) for number in part.frames.tolist()])
        copies = part.copies(memory)
        memory[:] = 255  # the memory is used again
        for piece, frames in zip(part.pieces, copies, strict=True):
            piece.clip.add(frames, piece.positions, USE)
        decoded += [(part.video, part.layout, number) for number in part.frames.tolist()]
        videos += [part.video] if part.video not in videos[-1:] else []
    assert len(set(decoded)) == len(decoded)
    assert set(decoded) == {(v, LAYOUTS[at], n) for v, at, numbers in wanted for n in numbers}
    assert videos == list(dict.fromkeys(v for v, _, _ in wanted)), "a video is opened once, in the order asked for"
    for clip, (video, at, numbers) in zip(clips, wanted, strict=True):
        expected = np.stack([_picture(video, LAYOUTS[at], number) for number in numbers])
        assert clip.frames is not None
        assert np.array_equal(clip.frames, expected)
        assert tuple(clip.decoders) == (USE,)


def test_a_clip_is_not_there_before_all_of_it_is() -> None:
    clip = WantedClip("a", np.asarray([3, 1]), LAYOUTS[0])
    clip.add(np.zeros((1, 2, 3, 3), np.uint8), np.asarray([1]), USE)
    assert clip.frames is None
    clip.add(np.ones((1, 2, 3, 3), np.uint8), np.asarray([0]), USE)
    assert clip.frames is not None
    assert clip.frames[:, 0, 0, 0].tolist() == [1, 0]


def test_rounds_double_and_are_bounded() -> None:
    clips = [WantedClip("a", np.arange(2), LAYOUTS[0]) for _ in range(100)]
    assert [len(group) for group in rounds(clips, 1 << 20)] == [1, 2, 4, 8, 16, 32, MOST_AHEAD, 5]
    assert [len(group) for group in rounds(clips[:7], 36 * 3)] == [1, 2, 3, 1]
    large = WantedClip("a", np.arange(50), LAYOUTS[0])
    assert [len(group) for group in rounds([large, clips[0], large], 100)] == [1, 1, 1]
    assert list(rounds([], 100)) == []


def test_parts_are_whole_windows_where_one_fits() -> None:
    frames = np.arange(10)
    assert [len(part) for part in split(frames, LAYOUTS[0], 18 * 5, multiple_of=2)] == [4, 4, 2]
    assert [len(part) for part in split(frames, LAYOUTS[0], 18 * 5, multiple_of=7)] == [5, 5]
    assert [len(part) for part in split(frames, LAYOUTS[0], 1)] == [1] * 10


def test_clips_of_one_video_with_crops_of_their_own(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", moving_picture(60), options={"g": "20"})
    rng = np.random.default_rng(0)
    requests = [
        Request(path, np.arange(start, start + 8), FrameTransform(size=(48, 60), crop=(40, 40), crop_at=at))
        for start, at in zip(rng.integers(0, 52, 20), rng.permutation([(0.0, 0.0), (0.3, 0.9)] * 10), strict=True)
    ]
    with VideoReader() as reader:
        together = list(reader.read_many(requests))
        for request, clip in zip(requests, together, strict=True):
            alone = reader.read(*request)
            assert np.array_equal(clip.frames, alone.frames)
            assert np.array_equal(clip.numbers, request.frames)
        together[0].frames[:] = 0
        assert together[1].frames.any(), "no two clips share memory"


def test_what_is_asked_for_before_a_bad_video_is_delivered(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", moving_picture(20), options={"g": "10"})
    (tmp_path / "bad.mp4").write_text("not a video")
    good, numbers = [Request(path, [number]) for number in range(12)], []
    for last, words in [(Request(tmp_path / "bad.mp4", [0]), r"bad\.mp4"), (Request(path, [20]), "frame 20")]:
        with VideoReader() as reader, pytest.raises(ValueError, match=words) as raised:
            for clip in reader.read_many([*good, last, good[0]]):
                numbers.append(int(clip.numbers[0]))
        assert isinstance(raised.value, VideoError) == (last.path != path)
    assert numbers == [*range(12), *range(12)]
