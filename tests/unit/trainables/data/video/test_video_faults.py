"""Whatever is wrong with a file: a clear error or the frames that an undamaged decode gives, in bounded time."""

from __future__ import annotations

import os
import time
from pathlib import Path

import av
import numpy as np
import pytest
from encoded_videos import Frames, decode_in_order, encode, moving_picture, worst_difference

from trainables.data.video.errors import VideoError
from trainables.data.video.reader import VideoReader

TIMEOUT_S = 20.0
H264 = ("libx264", {"g": "10", "bf": "2", "x264-params": "cpu-independent=1"})  # the same bytes every time
CONTAINERS = {
    "mp4": H264,
    "mkv": H264,
    "avi": ("mpeg4", {"g": "10"}),
    "webm": ("libvpx-vp9", {"g": "10", "deadline": "realtime", "cpu-used": "8"}),
    "ts": H264,
    "flv": H264,
}


@pytest.fixture(scope="module", params=CONTAINERS)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    codec, options = CONTAINERS[request.param]
    rng = np.random.default_rng(0)
    frames = moving_picture(40) // 2 + rng.integers(0, 100, (40, 64, 96, 3), np.uint8)  # noise: packets worth damaging
    return encode(tmp_path_factory.mktemp("whole") / f"whole.{request.param}", frames, codec, options)


def _frames_or_error(reader: VideoReader, path: Path) -> tuple[list[int], Frames] | None:
    """Frames that can be had, ten at a time, and their times in 25ths of a second; None if the file is refused."""
    begun = time.monotonic()
    try:
        info = reader.probe(path)
    except VideoError as error:
        assert str(path) in str(error)
        assert error.reason
        assert error.way_out
        return None
    finally:
        assert time.monotonic() - begun < TIMEOUT_S
    numbers: list[int] = []
    parts = [np.empty((0, info.height, info.width, 3), np.uint8)]
    for start in range(0, info.num_frames, 10):
        wanted = list(range(start, min(start + 10, info.num_frames)))
        try:
            parts.append(reader.read(path, wanted).frames)
            numbers += np.rint(info.times_of(wanted) * 25).astype(int).tolist()
        except VideoError as error:
            assert str(path) in str(error)
            assert "frame" in error.reason
    assert time.monotonic() - begun < 4 * TIMEOUT_S
    return numbers, np.concatenate(parts)


def test_files_cut_short_anywhere(reader: VideoReader, whole: Path, tmp_path: Path) -> None:
    content, expected = whole.read_bytes(), decode_in_order(whole)
    refused = 0
    for part in range(1, 21):
        path = tmp_path / f"cut_{part}{whole.suffix}"
        path.write_bytes(content[: len(content) * part // 21])
        result = _frames_or_error(reader, path)
        if result is None:
            refused += 1
        else:
            assert worst_difference(result[1], expected[result[0]]) < 0.2
            assert result[0] == list(range(len(result[0])))
    if whole.suffix != ".ts":  # it states no length
        # Matroska states a length, of which less than half a second may be missing
        assert refused >= {".mkv": 12, ".webm": 12}.get(whole.suffix, 20)


def test_flipped_bits_never_lead_to_other_frames(reader: VideoReader, whole: Path, tmp_path: Path) -> None:
    """What the reference shows undamaged is the same here; most damage is an error, but VP9 has no means to notice."""
    content, expected = whole.read_bytes(), decode_in_order(whole)
    noticed = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        damaged = bytearray(content)
        for place in rng.integers(len(content) // 10, len(content) * 9 // 10, 1 + 3 * (seed % 3)):
            damaged[place] ^= 1 << int(rng.integers(8))
        path = tmp_path / f"flipped_{seed}{whole.suffix}"
        path.write_bytes(damaged)
        result = _frames_or_error(reader, path)
        if result is None or len(result[0]) < len(expected):
            noticed += 1
        if result is not None:
            shown = _shown_by_time(path)
            for number, frame in zip(*result, strict=True):
                if number in shown and worst_difference(shown[number][None], expected[[number]]) < 0.2:
                    assert worst_difference(frame[None], expected[[number]]) < 0.2
    if whole.suffix != ".webm":
        assert noticed >= 6


def _shown_by_time(path: Path) -> dict[int, Frames]:
    """What PyAV shows, concealed damage included, by 25ths of a second: frames that it leaves out shift no others."""
    shown = {}
    try:
        with av.open(str(path), metadata_errors="ignore") as container:
            for picture in container.decode(video=0):
                assert picture.time is not None
                start_s = float(container.streams.video[0].start_time * picture.time_base)
                shown[round((picture.time - start_s) * 25)] = picture.to_ndarray(format="rgb24")
    except av.FFmpegError:
        pass
    return shown


def test_a_hole_is_never_filled_with_made_up_frames(reader: VideoReader, tmp_path: Path) -> None:
    """A stretch of zeros in the middle: the groups around it are as before, those in it are an error."""
    source = encode(tmp_path / "whole.mp4", moving_picture(60), options={"g": "10", "bf": "2"})
    expected = decode_in_order(source)
    content = bytearray(source.read_bytes())
    begin = content.index(b"mdat") + (len(content) - content.index(b"mdat")) // 2
    content[begin : begin + 300] = bytes(300)
    path = tmp_path / "hole.mp4"
    path.write_bytes(content)
    result = _frames_or_error(reader, path)
    assert result is not None
    numbers, frames = result
    assert 20 <= len(numbers) < 60
    assert 0 in numbers
    assert worst_difference(frames, expected[numbers]) < 0.2


def test_a_wrong_time_shifts_no_frame(reader: VideoReader, tmp_path: Path) -> None:
    """A block of a Matroska file claims to be shown earlier: times are not believed, the frames come in order."""
    source = encode(tmp_path / "whole.mkv", moving_picture(40), options={"g": "10", "bf": "0"})
    content, block = source.read_bytes(), b"\x81\x01\x40\x00"  # track 1, 320 ms, no keyframe
    assert block in content
    path = tmp_path / "wrong_time.mkv"
    path.write_bytes(content.replace(block, b"\x81\x00\x40\x00", 1))
    info = reader.probe(path)
    assert (info.num_frames, info.times_known) == (40, False)
    assert worst_difference(reader.read(path, np.arange(40)).frames, decode_in_order(source)) < 0.2


def test_what_is_no_video_at_all(reader: VideoReader, tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "zeros.mp4").write_bytes(bytes(100_000))
    (tmp_path / "text.mp4").write_text("not a video\n" * 1000)
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "noise.avi").write_bytes(np.random.default_rng(0).bytes(50_000))
    for name, words in {
        "empty.mp4": "is empty",
        "zeros.mp4": "not a readable video|cannot be decoded",
        "text.mp4": "not a readable video",
        "folder.mp4": "is not a file",
        "noise.avi": "not a readable video|cannot be decoded",
        "missing.mp4": "No such file",
    }.items():
        with pytest.raises(VideoError, match=words) as caught:
            reader.probe(tmp_path / name)
        assert name in str(caught.value)
    with pytest.raises(VideoError, match="No such file"):
        reader.read(tmp_path / "missing.mp4", [0])


def test_sound_alone_is_no_video(reader: VideoReader, tmp_path: Path) -> None:
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=44100, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(VideoError, match="has no video stream"):
        reader.probe(tmp_path / "sound.mp4")


def test_a_wrong_extension_is_no_obstacle(reader: VideoReader, tmp_path: Path) -> None:
    source = encode(tmp_path / "a.mp4", moving_picture(12))
    path = tmp_path / "a.avi"
    path.write_bytes(source.read_bytes())
    assert worst_difference(reader.read(path, [11, 3]).frames, decode_in_order(source)[[11, 3]]) < 0.2


def test_odd_names_are_files_and_no_addresses(
    reader: VideoReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = encode(tmp_path / "a.mp4", moving_picture(12))
    for name in ("pipe:0", "file:b.mp4", "ümläut %d [1].mp4", "-i.mp4"):
        os.link(source, tmp_path / name)
        assert reader.probe(tmp_path / name).num_frames == 12
