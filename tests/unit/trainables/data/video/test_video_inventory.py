"""What is known of videos is found out once, and again when a file changes."""

from __future__ import annotations

import json
import os
from fractions import Fraction
from pathlib import Path

import pytest
from encoded_videos import encode, moving_picture

from trainables.data.video.files import file_digest, find_videos
from trainables.data.video.inventory import INVENTORY_NAME, read_inventory, take_inventory
from trainables.data.video.reader import VideoReader


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "videos").mkdir()
    encode(tmp_path / "videos/even.mp4", moving_picture(40), options={"g": "10"})
    encode(tmp_path / "videos/uneven.mkv", moving_picture(6), ticks_ms=[0, 40, 100, 110, 300, 340])
    (tmp_path / "videos/bad.avi").write_text("not a video")
    return tmp_path


def test_lengths_at_any_rate_are_those_of_the_reader(folder: Path) -> None:
    videos, _ = find_videos(folder / "videos")
    found = take_inventory(folder, videos)
    assert found == read_inventory(folder)
    assert found["bad"].failure is not None
    assert found["bad"].num_frames == 0
    assert found["uneven"].variable_rate
    with VideoReader() as reader:
        for name in ("even", "uneven"):
            info, entry = reader.probe(videos[name]), found[name]
            assert entry.failure is None
            assert (entry.num_frames, entry.duration_s, Fraction(*entry.fps)) == (
                info.num_frames, info.duration_s, info.fps
            )  # fmt: skip
            assert entry.sha256 == file_digest(videos[name])
            for fps in (Fraction(3), Fraction(25, 8), Fraction(25), Fraction(30000, 1001), Fraction(60)):
                assert entry.frames_at_rate(fps) == len(info.resampled(fps))


def test_only_what_has_changed_is_looked_at_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    videos, _ = find_videos(folder / "videos")
    first = take_inventory(folder, videos)
    written = (folder / INVENTORY_NAME).stat().st_mtime_ns
    probed: list[str] = []
    real = VideoReader.probe

    def probe(self: VideoReader, path: str | Path) -> object:
        probed.append(Path(path).stem)
        return real(self, path)

    monkeypatch.setattr(VideoReader, "probe", probe)
    assert take_inventory(folder, videos) == first
    assert probed == []
    assert (folder / INVENTORY_NAME).stat().st_mtime_ns == written
    encode(folder / "videos/bad.avi", moving_picture(12), "mpeg4")
    os.utime(folder / "videos/even.mp4", ns=(1, 1))
    again = take_inventory(folder, videos)
    assert probed == ["bad", "even"]
    assert again["bad"].num_frames == 12
    assert again["even"].sha256 == first["even"].sha256
    assert again["uneven"] == first["uneven"]


def test_an_inventory_of_other_decoders_does_not_hold(folder: Path) -> None:
    path = folder / INVENTORY_NAME
    with pytest.raises(FileNotFoundError, match="no inventory"):
        read_inventory(folder)
    videos, _ = find_videos(folder / "videos")
    take_inventory(folder, videos)
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"decoders": "another 1.0"}))
    with pytest.raises(ValueError, match="start the study anew"):
        read_inventory(folder)
    take_inventory(folder, videos)
    assert json.loads(path.read_text()) == content
    (folder / "videos/even.mp4").write_bytes(b"0")
    with pytest.raises(ValueError, match=r"video 'even': .* has 1 bytes, had"):
        read_inventory(folder)
    path.write_text("{")
    with pytest.raises(ValueError, match="not readable"):
        take_inventory(folder, videos)
