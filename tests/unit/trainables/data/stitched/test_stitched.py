"""Joined clips: exact boundaries, no clip in two splits; on made-up clips and on real ones."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from trainables.data.features.store import Video
from trainables.data.stitched.config import Config
from trainables.data.stitched.feature_clips import Clip, read_clips
from trainables.data.stitched.features import StitchSettings, stitch


def _clips(per_class: int = 12, classes: int = 5) -> list[Clip]:
    rng = np.random.default_rng(0)
    return [
        Clip(f"c{k}_{i}", f"c{k}", rng.normal(size=(int(rng.integers(1, 20)), 4)).astype(np.float32))
        for k in range(classes)
        for i in range(per_class + (k < 3))
    ]


SETTINGS = StitchSettings(num_classes=3, num_videos=(6, 3, 4), standardise=False)


def _check(videos: list[Video], clips: list[Clip], settings: StitchSettings) -> None:
    by_name = {clip.name: clip for clip in clips}
    used: dict[str, set[str]] = {"train": set(), "select": set(), "test": set()}
    for video in videos:
        used[video.split] |= set(video.clips)
        pieces = [by_name[name].features[: settings.max_snippets] for name in video.clips]
        if not settings.standardise:
            assert np.array_equal(np.concatenate(pieces), video.features)
        edges = np.cumsum([0, *map(len, pieces)])
        for segment in video.segments:
            first, last = (round(t / settings.snippet_seconds) for t in (segment.start_s, segment.end_s))
            assert segment.start_s == pytest.approx(first * settings.snippet_seconds, abs=1e-9)
            inside = [n for n, e in zip(video.clips, edges, strict=False) if first <= e < last]
            assert len({by_name[n].label for n in inside}) == 1
            assert first in edges
            assert last in edges
    assert not used["train"] & used["test"]
    assert not used["train"] & used["select"]
    assert not used["select"] & used["test"]


def test_boundaries_are_those_of_the_clips_and_splits_share_none() -> None:
    clips = _clips()
    videos, names, _ = stitch(clips, SETTINGS)
    assert names == ["c0", "c1", "c2"]
    _check(videos, clips, SETTINGS)


def test_the_same_seed_gives_the_same_videos() -> None:
    a, b = (stitch(_clips(), SETTINGS)[0] for _ in range(2))
    assert all(np.array_equal(x.features, y.features) and x.segments == y.segments for x, y in zip(a, b, strict=True))


def test_channels_are_standardised_by_the_training_clips_alone() -> None:
    settings = StitchSettings(num_classes=3, num_videos=(6, 3, 4))
    clips = _clips()
    moved = [Clip(c.name, c.label, c.features * 5 + 3) for c in clips]
    a, b = (stitch(c, settings)[0] for c in (clips, moved))
    assert all(np.allclose(x.features, y.features, atol=1e-2) for x, y in zip(a, b, strict=True))
    unseen = {name for v in a if v.split == "test" for name in v.clips}
    louder = [Clip(c.name, c.label, c.features * (9 if c.name in unseen else 1)) for c in clips]
    again = stitch(louder, settings)[0]
    training = [(x, y) for x, y in zip(a, again, strict=True) if x.split == "train"]
    assert all(np.array_equal(x.features, y.features) for x, y in training)


def test_too_little_to_choose_from() -> None:
    with pytest.raises(ValueError, match="leave none for the background"):
        stitch(_clips(classes=3), SETTINGS)
    with pytest.raises(ValueError, match="none is left for"):
        stitch(_clips(per_class=1), StitchSettings(num_classes=3, num_videos=(2, 2, 2)))


def test_clips_from_a_folder_and_from_an_archive(tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    for clip in _clips(per_class=2, classes=2):
        np.save(folder / f"{clip.name}.npy", clip.features.astype(np.float64))
    with tarfile.open(tmp_path / "clips.tar.xz", "w:xz") as archive:
        for path in sorted(folder.iterdir()):
            archive.add(path, arcname=f"../outside/{path.name}")
    from_folder, from_archive = read_clips(folder), read_clips(tmp_path / "clips.tar.xz")
    assert [c.name for c in from_folder] == [c.name for c in from_archive]
    assert all(np.array_equal(a.features, b.features) for a, b in zip(from_folder, from_archive, strict=True))
    assert {c.label for c in from_folder} == {"c0", "c1"}
    assert not (tmp_path.parent / "outside").exists()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"no array", "not a plain .npy array"),
        (np.array([{"a": 1}], dtype=object), "not a plain .npy array"),
        (np.zeros(3), "expected"),
        (np.full((2, 2), np.inf), "finite"),
    ],
)
def test_bad_clips_are_named(tmp_path: Path, content: object, complaint: str) -> None:
    if isinstance(content, np.ndarray):
        stream = io.BytesIO()
        np.save(stream, content, allow_pickle=True)
        content = stream.getvalue()
    assert isinstance(content, bytes)
    (tmp_path / "bad_1.npy").write_bytes(content)
    with pytest.raises(ValueError, match=f"clip 'bad_1'.*{complaint}"):
        read_clips(tmp_path)


def test_sources_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such folder"):
        read_clips(tmp_path / "none")
    with pytest.raises(ValueError, match="holds no"):
        read_clips(tmp_path)
    (tmp_path / "x.tar").write_bytes(b"text")
    with pytest.raises(ValueError, match="not a readable tar"):
        read_clips(tmp_path / "x.tar")
    with pytest.raises(FileNotFoundError, match="tadtune data build stitched"):
        Config().prepare(tmp_path)
    for nowhere in ("", "..", "a/.."):
        with pytest.raises(ValueError, match="names no folder"):
            Config(store=nowhere)


def test_real_clips(test_data: Path) -> None:
    clips = read_clips(test_data / "features" / "gym_i3d" / "gym_i3d_odd.tar.xz")
    assert len(clips) == 254
    assert len({c.label for c in clips}) == 21
    settings = StitchSettings(num_videos=(20, 10, 10), standardise=False)
    videos, names, _ = stitch(clips, settings)
    assert len(names) == 10
    _check(videos, clips, settings)
    for split in ("train", "select", "test"):
        assert {s.label for v in videos if v.split == split for s in v.segments} == set(range(10))
