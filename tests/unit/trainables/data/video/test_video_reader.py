"""Frames by number, by time and in windows are those that a decode in order gives, whatever the file is like."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from encoded_videos import KINDS, decode_in_order, encode, moving_picture, worst_difference

from trainables.data.video.errors import VideoError
from trainables.data.video.geometry import FrameTransform
from trainables.data.video.reader import Request, VideoReader

#: Two versions of FFmpeg round colours differently; neighbouring frames differ by 10 and more.
TOLERANCE = 0.2

DECORD = {
    "closed.mp4",
    "closed.mkv",
    "hevc_closed.mp4",
    "vp8.webm",
    "vp9.webm",
    "vp9_hidden.webm",
    "mpeg4.avi",
}

#: file -> frames, rate, does the rate vary, who reads it. 83: the last packet of the HMDB51 clip shows nothing; its
#: times and those of test.avi (packed B-frames) say nothing. plastering.avi lacks two frames after the first, and its
#: header counts them. highjump.mp4 hides its last packet; the rate it states is that of its length, not of its frames.
REAL = {
    "videos/WUzgd7C1pWA.mp4": (327, Fraction(30000, 1001), False, "decord"),
    "videos/big_buck_bunny_0_30.webm": (720, Fraction(24), False, "decord"),
    "videos/demo.mp4": (280, Fraction(28), False, "decord"),
    "videos/flipping_a_pancake.mkv": (310, Fraction(30), False, "decord"),
    "videos/hmdb51_Turnk_r_Pippi_Michel_cartwheel_f_cm_np2_le_med_6.avi": (83, Fraction(30), False, "pyav"),
    "videos/one-by-one-person-detection.mp4": (1394, Fraction(10), False, "decord"),
    "videos/plastering.avi": (1616, Fraction(5358, 179), True, "pyav"),
    "videos/test.avi": (164, Fraction(25), False, "pyav"),
    "videos/v_GGSY1Qvo990.mp4": (355, Fraction(981, 50), False, "decord"),
    "videos/v_SoccerJuggling_g23_c01.avi": (240, Fraction(30000, 1001), False, "decord"),
    "features/highjump/highjump.mp4": (726, Fraction(30), False, "pyav"),
}


@pytest.mark.parametrize("name", REAL)
def test_real_videos_are_read_frame_exactly_in_any_order(reader: VideoReader, test_data: Path, name: str) -> None:
    num_frames, fps, variable_rate, decoder = REAL[name]
    path = test_data / name
    info = reader.probe(path)
    size = (108, 192) if info.height * num_frames > 250_000 else (info.height, info.width)
    expected = decode_in_order(path, height=size[0], width=size[1])
    assert (info.num_frames, info.fps, info.variable_rate) == (num_frames, fps, variable_rate)
    assert len(expected) == num_frames
    order = np.random.default_rng(1).permutation(num_frames)
    clip = reader.read(path, order, FrameTransform(size=size))
    assert worst_difference(clip.frames, expected[order]) < TOLERANCE
    assert [use.name for use in clip.decoders] == [decoder]
    assert (clip.decoders[0].why is None) == (decoder == "decord")
    for frame in [num_frames - 1, *order[:3].tolist()]:  # one at a time: seeks back and forth
        alone = reader.read(path, [frame], FrameTransform(size=size)).frames
        assert worst_difference(alone, expected[[frame]]) < TOLERANCE


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoded")
    frames = moving_picture()
    for name, (codec, options) in KINDS.items():
        encode(folder / name, frames, codec, options)
    return folder


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_stream_is_read_frame_exactly(reader: VideoReader, encoded: Path, name: str) -> None:
    expected = decode_in_order(encoded / name)
    info = reader.probe(encoded / name)
    assert (info.num_frames, info.fps, info.variable_rate) == (len(expected), 25, False)
    assert info.num_frames == 70
    order = np.random.default_rng(2).permutation(70)
    clip = reader.read(encoded / name, order)
    assert worst_difference(clip.frames, expected[order]) < TOLERANCE
    assert clip.decoders[0].name == ("decord" if name in DECORD else "pyav")
    for frame in (69, 21, 20, 19, 40, 0):
        assert worst_difference(reader.read(encoded / name, [frame]).frames, expected[[frame]]) < TOLERANCE


def test_a_file_that_only_pyav_decodes_says_so(reader: VideoReader, encoded: Path) -> None:
    use = reader.read(encoded / "lossless.mkv", [3]).decoders[0]
    assert use.name == "pyav"
    assert use.why is not None
    assert "decord" in use.why
    assert "ffv1" in use.why


def test_frames_come_in_the_order_asked_for_also_repeated(reader: VideoReader, encoded: Path) -> None:
    path = encoded / "closed.mp4"
    expected = decode_in_order(path)
    clip = reader.read(path, [5, 60, 5, 5, 0])
    assert clip.frames.shape == (5, 64, 96, 3)
    assert clip.frames.dtype == np.uint8
    assert clip.numbers.tolist() == [5, 60, 5, 5, 0]
    assert worst_difference(clip.frames, expected[[5, 60, 5, 5, 0]]) < TOLERANCE


def test_crops_are_parts_of_the_scaled_frame(reader: VideoReader, encoded: Path) -> None:
    for name in ("closed.mp4", "closed.ts"):
        whole = reader.read(encoded / name, [7, 30], FrameTransform(size=(48, 80))).frames
        centre = reader.read(encoded / name, [7, 30], FrameTransform(size=(48, 80), crop=(31, 20))).frames
        assert np.array_equal(centre, whole[:, 8:39, 30:50])
        corner = FrameTransform(size=(48, 80), crop=(40, 40), crop_at=(0.999, 0.0))
        assert np.array_equal(reader.read(encoded / name, [7, 30], corner).frames, whole[:, 8:48, :40])


def test_sizes_that_decord_cannot_fill_are_left_to_pyav(reader: VideoReader, encoded: Path) -> None:
    path = encoded / "closed.mp4"
    clip = reader.read(path, [3, 50], FrameTransform(size=(64, 48)))
    assert worst_difference(clip.frames, decode_in_order(path, height=64, width=48)[[3, 50]]) < TOLERANCE
    assert clip.decoders[0].name == "pyav"
    assert str(clip.decoders[0].why).startswith("decord: DECORDError Check failed: from_size == to_size")
    assert reader.read(path, [3], FrameTransform(size=(64, 50))).decoders[0].name == "decord"


def test_variable_rate_is_found_and_times_hold(reader: VideoReader, tmp_path: Path) -> None:
    frames = moving_picture()
    ticks = np.cumsum(np.random.default_rng(3).integers(20, 90, len(frames)))
    for name in ("a.mp4", "a.mkv"):
        path = encode(tmp_path / name, frames, options={"g": "20", "bf": "3"}, ticks_ms=ticks)
        info = reader.probe(path)
        assert info.variable_rate
        assert info.times_known
        starts = (ticks - ticks[0]) / 1000
        assert info.times_of(np.arange(len(frames))) == pytest.approx(starts, abs=1e-6)
        assert np.array_equal(info.frames_at(starts), np.arange(len(frames)))
        assert np.array_equal(info.frames_at(starts[1:] - 0.004), np.arange(len(frames) - 1))
        expected = decode_in_order(path)
        clip = reader.read_span(path, float(starts[10]), float(starts[20]))
        assert clip.numbers.tolist() == list(range(10, 20))
        assert worst_difference(clip.frames, expected[10:20]) < TOLERANCE


def test_a_video_that_does_not_begin_at_zero_is_counted_from_its_first_frame(
    reader: VideoReader, tmp_path: Path
) -> None:
    frames = moving_picture()
    path = encode(tmp_path / "late.mp4", frames, options={"g": "20"}, ticks_ms=5000 + 40 * np.arange(len(frames)))
    info = reader.probe(path)
    assert not info.variable_rate
    assert info.duration_s == pytest.approx(2.8)
    clip = reader.read_span(path, 0.4, 0.8)
    assert clip.numbers.tolist() == list(range(10, 20))
    assert worst_difference(clip.frames, decode_in_order(path)[10:20]) < TOLERANCE


@pytest.mark.parametrize("quarter_turns", [0, 1, 2, 3])
def test_turned_videos_come_upright(reader: VideoReader, tmp_path: Path, quarter_turns: int) -> None:
    plain = encode(tmp_path / "plain.mp4", moving_picture(10))
    turned = _with_matrix(plain, tmp_path / "turned.mp4", quarter_turns)
    expected = np.rot90(decode_in_order(plain), -quarter_turns, axes=(1, 2))  # the matrix turns clockwise
    info = reader.probe(turned)
    assert (info.height, info.width) == expected.shape[1:3]
    clip = reader.read(turned, [0, 9, 4])
    assert worst_difference(clip.frames, expected[[0, 9, 4]]) < TOLERANCE


def _with_matrix(source: Path, target: Path, quarter_turns: int) -> Path:
    """A copy whose track header (ISO/IEC 14496-12, 8.3.2) has the display matrix of a turned telephone."""
    content = bytearray(source.read_bytes())
    at = content.index(b"tkhd") + 4 + 40
    cos, sin = [(1, 0), (0, 1), (-1, 0), (0, -1)][quarter_turns]
    for place, value in enumerate((cos << 16, sin << 16, 0, -sin << 16, cos << 16)):
        content[at + 4 * place : at + 4 * place + 4] = value.to_bytes(4, "big", signed=True)
    target.write_bytes(content)
    return target


@pytest.mark.parametrize(
    ("window", "stride", "fps"), [(16, 4, None), (8, 8, None), (5, 9, None), (16, 8, 10), (100, 8, None)]
)
def test_windows_are_the_clips_one_would_read(
    reader: VideoReader, encoded: Path, window: int, stride: int, fps: int | None
) -> None:
    path = encoded / "closed.mp4"
    shown = np.arange(70) if fps is None else np.arange(28) * 5 // 2
    windows = list(reader.windows(path, window_frames=window, stride_frames=stride, fps=fps))
    assert windows[-1].start_s < 2.8
    for number, found in enumerate(windows):
        rows = np.minimum(number * stride + np.arange(window), len(shown) - 1)
        assert found.numbers.tolist() == shown[rows].tolist()
        assert found.num_valid == min(window, len(shown) - number * stride)
        assert found.start_s == pytest.approx(number * stride / (fps or 25))
        assert np.array_equal(found.frames, reader.read(path, found.numbers).frames)


def test_clips_of_many_videos_come_in_order(reader: VideoReader, encoded: Path) -> None:
    rng = np.random.default_rng(4)
    names = ["closed.mp4", "open.mkv", "vp9.webm", "closed.mp4", "mpeg4.avi", "closed.ts"] * 3
    small = FrameTransform(size=(32, 48), crop=(30, 30))
    requests = [Request(encoded / name, rng.integers(0, 70, 9), small) for name in names]
    clips = list(reader.read_many(iter(requests)))
    assert len(clips) == len(requests)
    for request, clip in zip(requests, clips, strict=True):
        alone = reader.read(*request)
        assert np.array_equal(clip.frames, alone.frames)
        assert np.array_equal(clip.numbers, request.frames)
        assert clip.decoders == alone.decoders
    assert list(reader.read_many([])) == []


def test_a_series_ends_with_the_error_of_its_bad_video(reader: VideoReader, encoded: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_text("not a video")
    good = Request(encoded / "closed.mp4", [1])
    series = reader.read_many([good, good, good, good, Request(tmp_path / "bad.mp4", [1]), good])
    assert next(series).numbers.tolist() == [1]
    with pytest.raises(VideoError, match=r"bad\.mp4"):
        list(series)
    assert reader.read(*good).frames.shape == (1, 64, 96, 3)


def test_series_may_be_read_in_turns(reader: VideoReader, test_data: Path) -> None:
    paths = [test_data / "videos/demo.mp4", test_data / "videos/WUzgd7C1pWA.mp4"]
    alone = [list(reader.windows(path, window_frames=40, stride_frames=40)) for path in paths]
    both = zip(*(reader.windows(path, window_frames=40, stride_frames=40) for path in paths), strict=False)
    for number, pair in enumerate(both):
        for found, expected in zip(pair, alone, strict=True):
            assert np.array_equal(found.frames, expected[number].frames)
        assert reader.probe(paths[0]).num_frames == 280


def test_requests_that_cannot_be_met(reader: VideoReader, encoded: Path) -> None:
    path = encoded / "closed.mp4"
    for frames, words in [([3, 70], "frame 70 .row 1"), ([-1], "frame -1"), ([], "T > 0"), ([0.5], "whole numbers")]:
        with pytest.raises(ValueError, match=words):
            reader.read(path, frames)
    with pytest.raises(ValueError, match="does not fit"):
        reader.read(path, [0], FrameTransform(crop=(65, 10)))
    with pytest.raises(ValueError, match=r"2\.8 s, is outside the video"):
        reader.read_span(path, 0.0, 2.9, fps=10)
    with pytest.raises(ValueError, match="start < end"):
        reader.read_span(path, 1.0, 1.0)


def test_a_changed_file_is_read_anew(reader: VideoReader, tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", moving_picture(20))
    assert reader.probe(path).num_frames == 20
    encode(path, moving_picture(30, seed=5))
    os.utime(path, (1, 1))
    assert reader.probe(path).num_frames == 30
    assert worst_difference(reader.read(path, [29]).frames, decode_in_order(path)[29:]) < TOLERANCE


def test_a_forked_child_gets_a_process_of_its_own(encoded: Path) -> None:
    code = (
        "import os, sys; from trainables.data.video.reader import VideoReader; r = VideoReader(); "
        "a = r.read(sys.argv[1], [3]).frames; before = r.process_id; child = os.fork()\n"
        "if child == 0: ok = (r.read(sys.argv[1], [3]).frames == a).all() and r.process_id != before; r.close(); "
        "os._exit(0 if ok else 1)\n"
        "status = os.waitpid(child, 0)[1]; same = (r.read(sys.argv[1], [3]).frames == a).all(); "
        "sys.exit(status != 0 or r.process_id != before or not same)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(encoded / "closed.mp4")], check=False).returncode == 0


def test_the_reader_loads_no_decoder_and_no_torch() -> None:
    code = "import trainables.data.video.reader, sys, json; print(json.dumps(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "decord", "av", "pyarrow"} & set(json.loads(run.stdout))


def test_errors_can_be_sent_between_processes() -> None:
    error = VideoError("a.mp4", "is empty", "fetch it again")
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, ValueError)
    assert (str(again), again.file, again.reason) == (str(error), "a.mp4", "is empty")
    assert str(error) == "a.mp4: is empty; fetch it again"
