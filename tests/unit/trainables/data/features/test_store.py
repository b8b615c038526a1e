"""The feature store: whole or absent, shared between processes."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from trainables.data.features.store import FeatureStore, Segment, Video, write_store


def _videos(num: int = 4, length: int = 10, width: int = 3) -> list[Video]:
    rng = np.random.default_rng(0)
    return [
        Video(f"v{i}", "training", "train", 0.5, rng.normal(size=(length + i, width)).astype(np.float32),
              (Segment(0.5, 2.0, i % 2), Segment(1.0, 3.0, 0, ambiguous=True)))
        for i in range(num)
    ]  # fmt: skip


def test_what_is_written_is_read(tmp_path: Path) -> None:
    videos = _videos()
    digest = write_store(tmp_path / "s", videos, ["a", "b"], {"name": "test"})
    store = FeatureStore(tmp_path / "s")
    assert store.class_names == ("a", "b")
    assert store.manifest["digest"] == digest
    assert store.verify()
    for i, video in enumerate(videos):
        assert np.array_equal(store.features(i), video.features)
        assert store.videos[i]["duration_s"] == video.duration_s
    assert len(store.segments) == 8


def test_the_digest_is_of_the_contents(tmp_path: Path) -> None:
    digests = {write_store(tmp_path / str(i), _videos(n), ["a", "b"], {}) for i, n in enumerate((4, 4, 5))}
    assert len(digests) == 2


def test_features_are_views_of_the_file_not_copies(tmp_path: Path) -> None:
    write_store(tmp_path / "s", _videos(), ["a", "b"], {})
    view = FeatureStore(tmp_path / "s").features(2)
    assert not view.flags.owndata
    assert not view.flags.writeable


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"split": "val"}, "split 'val' is none of"),
        ({"features": np.zeros((0, 3), np.float32)}, "features"),
        ({"features": np.full((4, 3), np.nan, np.float32)}, "not finite"),
        ({"segments": (Segment(2.0, 1.0, 0),)}, "start < end"),
        ({"segments": (Segment(0.0, 1.0, 9),)}, "2 labels"),
        ({"video_id": "v0"}, "there twice"),
    ],
)
def test_bad_videos_are_refused_by_name_and_nothing_is_left(tmp_path: Path, change: dict, complaint: str) -> None:  # type: ignore[type-arg]
    import dataclasses

    videos = [*_videos(2), dataclasses.replace(_videos(3)[2], **change)]
    with pytest.raises(ValueError, match=complaint):
        write_store(tmp_path / "s", videos, ["a", "b"], {})
    assert list(tmp_path.iterdir()) == []


def test_a_store_is_never_overwritten(tmp_path: Path) -> None:
    write_store(tmp_path / "s", _videos(), ["a", "b"], {})
    with pytest.raises(FileExistsError, match="remove it"):
        write_store(tmp_path / "s", _videos(5), ["a", "b"], {})
    assert len(FeatureStore(tmp_path / "s").videos) == 4
    assert [p.name for p in tmp_path.iterdir()] == ["s"]


def test_a_damaged_store_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no feature store"):
        FeatureStore(tmp_path / "none")
    write_store(tmp_path / "s", _videos(), ["a", "b"], {})
    features = tmp_path / "s" / "features.arrow"
    content = bytearray(features.read_bytes())
    content[len(content) // 2] ^= 255
    features.write_bytes(bytes(content))
    assert not FeatureStore(tmp_path / "s").verify()
    features.write_bytes(bytes(content[:-10]))
    with pytest.raises(ValueError, match="the manifest says"):
        FeatureStore(tmp_path / "s")


def _own_bytes() -> int:
    """Memory of this process that belongs to no file: what a copy of the features would be."""
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Anonymous:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no such line")


def _read(folder: Path, results: object) -> None:
    FeatureStore(folder)  # libraries set up their own memory at the first use
    before = _own_bytes()
    store = FeatureStore(folder)
    total = sum(float(store.features(i).sum()) for i in range(len(store.videos)))
    results.put((_own_bytes() - before, total))  # type: ignore[attr-defined]


def test_readers_share_one_copy(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    write_store(folder, _videos(4, length=4000, width=1024), ["a", "b"], {})
    size = (folder / "features.arrow").stat().st_size
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    readers = [context.Process(target=_read, args=(folder, results)) for _ in range(4)]
    for reader in readers:
        reader.start()
    found = [results.get(timeout=60) for _ in readers]
    for reader in readers:
        reader.join()
    assert size > 60e6
    assert len({total for _, total in found}) == 1
    assert max(grown for grown, _ in found) < size / 4
