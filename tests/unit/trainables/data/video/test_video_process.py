"""A decoder that hangs, crashes or leaks harms its own process only, and is passed over the next time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from encoded_videos import decode_in_order, encode, moving_picture, worst_difference

from trainables.data.video.errors import VideoError
from trainables.data.video.geometry import FrameTransform
from trainables.data.video.reader import Request, VideoReader

PYAV = "trainables.data.video.pyav_decoder:PyAv"


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encode(tmp_path_factory.mktemp("video") / "a.mp4", moving_picture(40), options={"g": "10"})


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("Hanging", "no answer within 1.5 s"),
        ("HangingAtOpen", "no answer within 1.5 s"),
        ("Killed", "signal 9"),
        ("Aborting", "signal 6"),
    ],
)
def test_the_next_decoder_takes_over_from_one_that_hangs_or_crashes(video: Path, kind: str, words: str) -> None:
    with VideoReader(timeout_s=1.5, decoders=[f"failing_decoders:{kind}", PYAV]) as reader:
        reader.probe(video)
        first = reader.process_id
        assert first is not None
        clip = reader.read(video, [5, 30])
        assert worst_difference(clip.frames, decode_in_order(video)[[5, 30]]) < 0.2
        assert clip.decoders[0].name == "pyav"
        assert clip.decoders[0].why is not None
        assert words in clip.decoders[0].why
        assert not _alive(first)
        second = reader.process_id
        assert reader.read(video, [7]).decoders[0].name == "pyav"
        assert reader.process_id == second, "it is not tried again"


def test_a_hanging_process_does_not_block_large_requests(tmp_path: Path) -> None:
    frames = np.zeros((16, 16, 3), np.uint8)
    path = encode(tmp_path / "long.mp4", (frames for _ in range(50_000)), options={"preset": "ultrafast", "g": "5000"})
    with VideoReader(timeout_s=1.5, decoders=["failing_decoders:Hanging"]) as reader:
        reader.probe(path)
        begun = time.monotonic()
        with pytest.raises(VideoError, match="no answer within"):
            reader.read(path, np.arange(50_000), FrameTransform(size=(2, 2)))
        assert time.monotonic() - begun < 10


@pytest.mark.parametrize("kind", ["Hanging", "Killed"])
def test_without_another_decoder_it_is_an_error_in_bounded_time(video: Path, kind: str) -> None:
    with VideoReader(timeout_s=1.5, decoders=[f"failing_decoders:{kind}"]) as reader:
        reader.probe(video)
        begun = time.monotonic()
        with pytest.raises(VideoError, match="no answer within|crashed"):
            reader.read(video, [5])
        assert time.monotonic() - begun < 10
        assert reader.probe(video).num_frames == 40


def test_requests_that_wait_behind_a_crash_are_made_again(video: Path, tmp_path: Path) -> None:
    other = encode(tmp_path / "other.mp4", moving_picture(40, seed=1), options={"g": "10"})
    with VideoReader(timeout_s=5, decoders=["failing_decoders:Killed", PYAV]) as reader:
        requests = [Request((video, other)[number % 2], [number]) for number in range(12)]
        for number, clip in enumerate(reader.read_many(requests)):
            assert clip.numbers.tolist() == [number]
            expected = decode_in_order((video, other)[number % 2])
            assert worst_difference(clip.frames, expected[[number]]) < 0.2
            assert "signal 9" in str(clip.decoders[0].why)


def test_a_process_that_dies_between_requests_is_replaced(video: Path) -> None:
    with VideoReader() as reader:
        before = reader.read(video, [3])
        assert reader.process_id is not None
        os.kill(reader.process_id, signal.SIGKILL)
        time.sleep(0.2)
        after = reader.read(video, [3])
        assert np.array_equal(before.frames, after.frames)
        assert after.decoders == before.decoders, "no decoder is blamed for it"


def test_a_stopped_process_is_replaced(video: Path) -> None:
    with VideoReader(timeout_s=2) as reader:
        reader.probe(video)
        pid = reader.process_id
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        clip = reader.read(video, [3])
        assert worst_difference(clip.frames, decode_in_order(video)[[3]]) < 0.2
        assert not _alive(pid)


def test_closing_in_the_middle_of_a_series_leaves_no_process(test_data: Path) -> None:
    reader = VideoReader()
    series = reader.windows(test_data / "videos/demo.mp4", window_frames=8, stride_frames=8)
    next(series)
    pid = reader.process_id
    assert pid is not None
    series.close()
    reader.close()
    assert not _alive(pid)


def test_a_busy_process_ends_itself_when_its_parent_is_killed(video: Path) -> None:
    code = (
        "import sys; from trainables.data.video.reader import VideoReader\n"
        "r = VideoReader(timeout_s=1, decoders=['failing_decoders:Hanging']); r.probe(sys.argv[1])\n"
        "print(r.process_id, flush=True); r._timeout_s = 3; r.read(sys.argv[1], [0])"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ["PYTHONPATH"]])}
    parent = subprocess.Popen([sys.executable, "-c", code, str(video)], stdout=subprocess.PIPE, env=environment)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    time.sleep(0.5)
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 3 + 5 + 5
    while _alive(pid) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not _alive(pid)


def test_hundreds_of_files_are_opened_in_bounded_memory(video: Path, tmp_path: Path) -> None:
    """Good and broken files in turn: the process is renewed by count, and does not grow in between."""
    paths = [tmp_path / f"{number}.mp4" for number in range(100)]
    for number, path in enumerate(paths):
        content = video.read_bytes()
        path.write_bytes(content if number % 2 else content[: len(content) // 2])
    pids, resident, opened = set(), [], 0
    with VideoReader(max_opened=150) as reader:
        for _ in range(3):
            for number, path in enumerate(paths):
                try:
                    clip = reader.read(path, [number % 40], FrameTransform(size=(32, 50)))
                    opened += clip.decoders[0].name == "decord"
                except VideoError:
                    assert number % 2 == 0
                process = reader._process
                assert process is not None
                pids.add(process.pid)
                resident.append(process.resident_bytes)
    assert opened == 150
    assert 2 <= len(pids) <= 4
    settled = resident[20]
    assert max(resident) < settled + (40 << 20)


def test_a_process_that_has_grown_is_renewed(video: Path, tmp_path: Path) -> None:
    with VideoReader(max_resident_mib=1) as reader:
        reader.probe(video)
        first = reader.process_id
        clip = reader.read(video, [0])
        assert reader.process_id != first
        assert worst_difference(clip.frames, decode_in_order(video)[[0]]) < 0.2


def test_requests_larger_than_a_message_or_the_memory_of_one(video: Path) -> None:
    with VideoReader() as reader:
        order = np.random.default_rng(0).integers(0, 40, 30_000)
        clip = reader.read(video, order, FrameTransform(size=(2, 2)))
        expected = reader.read(video, np.arange(40), FrameTransform(size=(2, 2))).frames
        assert np.array_equal(clip.frames, expected[order])
        large = reader.read(video, np.arange(12), FrameTransform(size=(1080, 1920))).frames
        assert large.shape == (12, 1080, 1920, 3)
        assert worst_difference(large[10:], reader.read(video, [10, 11], FrameTransform(size=(1080, 1920))).frames) == 0
        kept = [reader.read(video, [number], FrameTransform(size=(540, 960))).frames for number in range(40)]
        again = reader.read(video, np.arange(40), FrameTransform(size=(540, 960))).frames
        assert np.array_equal(np.concatenate(kept), again), "results that are kept are not written to again"


def test_a_decoder_that_cannot_be_loaded_is_named(video: Path) -> None:
    words = r"exit status 1.*No module named 'no_such_decoder'"
    with VideoReader(decoders=["no_such_decoder:Any"]) as reader, pytest.raises(VideoError, match=words):
        reader.probe(video)


def test_what_a_decoder_did_not_foresee_is_an_error_of_the_file(video: Path) -> None:
    with VideoReader(decoders=["failing_decoders:Surprised"]) as reader:
        first = reader.probe(video)
        pid = reader.process_id
        with pytest.raises(VideoError, match="unexpected KeyError"):
            reader.read(video, [0])
        assert reader.probe(video) == first
        assert reader.process_id == pid
