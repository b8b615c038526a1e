"""The data set of imported features: found by name or path, checked before it is used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from trainables.data.features.config import Config
from trainables.data.features.store import FeatureStore, write_store
from trainables.data.schema import Segment, Video


def _store(folder: Path) -> str:
    video = Video("a", "test", "test", 0.5, np.zeros((8, 2), np.float32), (Segment(0.0, 1.0, 0),))
    return write_store(folder, [video], ["jump"], {}, offset_snippets=1.5, excluded={"b": "no features in rgb"})


def test_a_store_by_name_or_by_path(tmp_path: Path) -> None:
    digest = _store(tmp_path / "sub" / "thumos")
    for config, root in (
        (Config("thumos"), tmp_path / "sub"),
        (Config("sub/thumos"), tmp_path),
        (Config(str(tmp_path / "sub" / "thumos")), tmp_path / "elsewhere"),
    ):
        config.prepare(root)
        assert config.digest(root) == digest
        assert config.open(root).video_ids("test") == ("a",)


def test_what_is_not_there_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"no data set at .*features; build it with `tadtune data import .*--out"
    ):
        Config().prepare(tmp_path)


def test_a_damaged_store_is_refused(tmp_path: Path) -> None:
    _store(tmp_path / "features")
    (tmp_path / "features" / "videos.arrow").write_bytes(b"")
    with pytest.raises(ValueError, match=r"videos\.arrow: 0 bytes, the manifest says"):
        Config().prepare(tmp_path)


@pytest.mark.parametrize("store", ["", ".", "..", "a/.."])
def test_a_store_has_a_name(store: str) -> None:
    with pytest.raises(ValueError, match="names no folder"):
        Config(store)


def test_a_store_tells_offset_and_exclusions(tmp_path: Path) -> None:
    digest = _store(tmp_path / "s")
    store = FeatureStore(tmp_path / "s")
    assert store.excluded == {"b": "no features in rgb"}
    assert store.start_s(0) == 0.75
    assert store.verify()
    video = Video("a", "test", "test", 0.5, np.zeros((8, 2), np.float32), (Segment(0.0, 1.0, 0),))
    assert write_store(tmp_path / "t", [video], ["jump"], {}) != digest, "other times are other contents"
    assert FeatureStore(tmp_path / "t").excluded == {}
    with pytest.raises(ValueError, match="offset_snippets: nan must be a finite number"):
        write_store(tmp_path / "u", [video], ["jump"], {}, offset_snippets=float("nan"))
