"""Files of features: whole or absent, equal bytes for equal contents."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from trainables.data.feature_files import extracted
from trainables.data.feature_files.extracted import VideoFeatures, read_facts, read_features, write_features


def _video(seed: int = 0, snippets: int = 7) -> VideoFeatures:
    features = np.random.default_rng(seed).normal(size=(snippets, 5)).astype(np.float32)
    return VideoFeatures("a.b c", features, 16 / 29.97, 29.97, 100, 12345, "digest", ("decord 0.6.0", "PyAV 18"))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    video = _video()
    write_features(tmp_path, video)
    assert [p.name for p in tmp_path.iterdir()] == ["a.b c.arrow"]
    read = read_features(tmp_path / "a.b c.arrow")
    assert np.array_equal(read.features, video.features)
    assert replace(read, features=video.features) == video
    assert read.duration_s == pytest.approx(100 / 29.97)
    assert not read.features.flags.writeable
    assert read_facts(tmp_path / "a.b c.arrow")["source_bytes"] == 12345


def test_equal_contents_are_equal_bytes(tmp_path: Path) -> None:
    contents = []
    for folder, video in (("a", _video()), ("b", _video()), ("c", _video(seed=1)), ("d", replace(_video(), fps=25.0))):
        (tmp_path / folder).mkdir()
        write_features(tmp_path / folder, video)
        contents.append((tmp_path / folder / "a.b c.arrow").read_bytes())
    assert contents[0] == contents[1]
    assert len(set(contents)) == 3


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_features(tmp_path, _video())
    before = (tmp_path / "a.b c.arrow").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(extracted.os, "fsync", lambda _: (_ for _ in ()).throw(OSError("no space left")))
        with pytest.raises(OSError, match="no space left"):
            write_features(tmp_path, _video(seed=1))
    assert (tmp_path / "a.b c.arrow").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.b c.arrow"]
    write_features(tmp_path, _video(seed=1))
    assert np.array_equal(read_features(tmp_path / "a.b c.arrow").features, _video(seed=1).features)


@pytest.mark.parametrize("damage", ["cut", "empty", "noise", "other"])
def test_damaged_files_are_told(tmp_path: Path, damage: str) -> None:
    write_features(tmp_path, _video())
    path = tmp_path / "a.b c.arrow"
    content = path.read_bytes()
    if damage == "other":
        table = pa.table({"x": [1, 2]})
        with pa.ipc.new_file(str(path), table.schema) as writer:
            writer.write_table(table)
    else:
        path.write_bytes({"cut": content[: len(content) // 2], "empty": b"", "noise": b"x" * 400}[damage])
    with pytest.raises(ValueError, match=r"a\.b c\.arrow: not a readable file of features: .*remove it"):
        read_features(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_facts(tmp_path / "none.arrow")
