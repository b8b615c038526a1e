"""Files that failed are not tried again until they change, and the list can be read and cleared."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest
from encoded_videos import encode, moving_picture

from trainables.data.video.decoders import decoder_versions
from trainables.data.video.errors import VideoError
from trainables.data.video.quarantine import QUARANTINE_NAME, Quarantine
from trainables.data.video.reader import VideoReader


def _broken(folder: Path, name: str = "broken.mp4") -> Path:
    path = encode(folder / name, moving_picture(20))
    path.write_bytes(path.read_bytes()[:-500])
    return path


def test_a_file_that_failed_is_not_tried_again_until_it_changes(tmp_path: Path) -> None:
    path, listed = _broken(tmp_path), tmp_path / QUARANTINE_NAME
    with VideoReader(quarantine=listed) as reader, pytest.raises(VideoError, match="not a readable video"):
        reader.probe(path)
    with VideoReader(quarantine=listed) as reader:
        with pytest.raises(VideoError, match=f"in quarantine: not a readable video.*take it off {listed}"):
            reader.read(path, [0])
        assert reader.process_id is None, "nothing was decoded"
        encode(path, moving_picture(20))
        assert reader.probe(path).num_frames == 20


def test_a_decoder_that_brings_the_process_down_puts_the_file_on_the_list(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", moving_picture(20))
    listed = tmp_path / QUARANTINE_NAME
    decoders = ["failing_decoders:Hanging", "failing_decoders:Killed"]
    with VideoReader(timeout_s=1, quarantine=listed, decoders=decoders) as reader:
        with pytest.raises(VideoError, match="signal 9"):
            reader.read(path, [0])
        with pytest.raises(VideoError, match="in quarantine"):
            reader.read(path, [0])
    (entry,) = Quarantine(listed, decoder_versions()).entries()
    assert (entry.file, entry.size) == ("a.mp4", path.stat().st_size)
    assert "signal 9" in entry.reason
    assert "decord" in entry.decoders


def test_missing_files_and_bad_requests_are_not_listed(tmp_path: Path) -> None:
    path, listed = encode(tmp_path / "a.mp4", moving_picture(20)), tmp_path / QUARANTINE_NAME
    with VideoReader(quarantine=listed) as reader:
        with pytest.raises(VideoError):
            reader.probe(tmp_path / "missing.mp4")
        with pytest.raises(ValueError, match="outside"):
            reader.read(path, [20])
    assert not listed.exists()


def test_entries_count_for_the_same_decoders_only(tmp_path: Path) -> None:
    path = _broken(tmp_path)
    old, new = (Quarantine(tmp_path / "list", f"decord {version}") for version in ("0.6.0", "0.7.0"))
    old.add(path, "crashed")
    assert old.find(path) is not None
    assert new.find(path) is None
    new.add(path, "crashed as well")
    assert [entry.reason for entry in new.entries()] == ["crashed as well"]


def test_the_list_names_files_relative_to_itself_and_clears(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path / QUARANTINE_NAME, "decord 0.6.0")
    assert quarantine.entries() == []
    assert quarantine.clear() == 0
    (tmp_path / "deep").mkdir()
    paths = [_broken(tmp_path, "a.mp4"), _broken(tmp_path / "deep", "b.mp4"), _broken(tmp_path, "c.mp4")]
    for path in paths:
        quarantine.add(path, "cut short")
    assert [entry.file for entry in quarantine.entries()] == ["a.mp4", "deep/b.mp4", "c.mp4"]
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    quarantine = Quarantine(moved / QUARANTINE_NAME, "decord 0.6.0")
    assert quarantine.find(moved / "deep/b.mp4") is not None
    assert quarantine.clear([moved / "a.mp4", moved / "other.mp4"]) == 1
    assert quarantine.find(moved / "a.mp4") is None
    assert quarantine.find(moved / "c.mp4") is not None
    os.utime(moved / "c.mp4", ns=(1, 1))
    assert quarantine.find(moved / "c.mp4") is None
    assert quarantine.clear() == 2
    assert quarantine.entries() == []


def test_a_line_of_another_kind_is_named(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path / "list", "decord 0.6.0")
    quarantine.add(_broken(tmp_path), "cut short")
    with quarantine.path.open("a") as stream:
        stream.write('{"file": "a.mp4"}\n')
    with pytest.raises(ValueError, match="line 2: not an entry"):
        quarantine.entries()


def _add_many(path: Path, listed: Path, worker: int) -> None:
    for number in range(50):
        Quarantine(listed, "decord 0.6.0").add(path, f"{worker}.{number} " + "x" * 300)


def test_several_processes_may_write(tmp_path: Path) -> None:
    path, listed = _broken(tmp_path), tmp_path / "list"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_add_many, args=(path, listed, worker)) for worker in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert len(listed.read_text().splitlines()) == 150
    assert len(Quarantine(listed, "decord 0.6.0").entries()) == 1
