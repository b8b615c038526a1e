"""Annotations and files of features become a store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.data.extracted_files import VideoFeatures, write_features
from trainables.data.schema import Segment
from trainables.data.store import FeatureStore
from trainables.entrypoints.extracted_store import AnnotatedVideo, assemble_store, assign_splits, read_activitynet


def _annotation_file(folder: Path, database: dict[str, Any]) -> Path:
    path = folder / "annotations.json"
    path.write_text(json.dumps({"version": "VERSION 1.3", "database": database}))
    return path


def _entry(subset: str, *rows: tuple[float, float, str]) -> dict[str, Any]:
    annotations = [{"segment": [start, end], "label": label} for start, end, label in rows]
    return {"subset": subset, "duration": 9.0, "annotations": annotations}


DATABASE = {
    "v": _entry("training", (1.0, 2.0, "walk"), (3.0, 4.5, "jump")),
    "w": _entry("training", (0.0, 1.0, "walk")),
    "x": _entry("validation", (0.5, 2.0, "jump")),
    "y": _entry("validation"),
    "z": {"subset": "testing", "duration": 3.0, "annotations": []},
}


@pytest.fixture
def features(tmp_path: Path) -> Path:
    folder = tmp_path / "features"
    folder.mkdir()
    for seed, video_id in enumerate("vwxyu"):
        values = np.random.default_rng(seed).normal(size=(4 + seed, 3)).astype(np.float32)
        write_features(folder, VideoFeatures(video_id, values, 0.64, 25.0, 16 * (4 + seed) - 3, 10, "abc"))
    return folder


def test_the_whole_way(tmp_path: Path, features: Path) -> None:
    truth = read_activitynet(_annotation_file(tmp_path, DATABASE))
    assert truth.class_names == ("jump", "walk")
    assert sorted(truth.videos) == ["v", "w", "x", "y"]
    assert assemble_store(tmp_path / "store", features, truth, "abc", select_share=0.5, seed=0) == ()
    store = FeatureStore(tmp_path / "store")
    assert store.verify()
    rows = {row["video_id"]: (i, row) for i, row in enumerate(store.videos)}
    assert sorted(rows) == ["v", "w", "x", "y"]
    assert sorted(row["split"] for _, row in rows.values()) == ["select", "test", "test", "train"]
    index, row = rows["w"]
    assert row["subset"] == "training"
    assert row["duration_s"] == pytest.approx((16 * 5 - 3) / 25)
    assert row["snippet_seconds"] == 0.64
    assert row["fps"] == 25.0
    expected = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)
    assert np.array_equal(store.features(index), expected)
    segments = [(s["start_s"], s["end_s"], s["label"]) for s in store.segments if s["video_id"] == "v"]
    assert segments == [(1.0, 2.0, 1), (3.0, 4.5, 0)]


def test_the_same_again_is_found_and_another_is_refused(tmp_path: Path, features: Path) -> None:
    truth = read_activitynet(_annotation_file(tmp_path, DATABASE))
    (features / "x.arrow").rename(tmp_path / "x.arrow")
    place = tmp_path / "store"
    assert assemble_store(place, features, truth, "abc", select_share=0.5, seed=0) == ("x",)
    manifest = (place / "manifest.json").read_bytes()
    assert FeatureStore(place).manifest["builder"]["missing"] == ["x"]
    assert assemble_store(place, features, truth, "abc", select_share=0.5, seed=0) == ("x",)
    assert (place / "manifest.json").read_bytes() == manifest
    (tmp_path / "x.arrow").rename(features / "x.arrow")
    for changes in ({}, {"seed": 1}, {"select_share": 0.0}):
        with pytest.raises(FileExistsError, match="holds another store; remove it"):
            assemble_store(place, features, truth, "abc", **{"select_share": 0.5, "seed": 0, **changes})


def test_a_missing_video_moves_no_other(tmp_path: Path, features: Path) -> None:
    truth = read_activitynet(_annotation_file(tmp_path, DATABASE))
    splits = assign_splits(truth.videos, select_share=0.5, seed=3)
    (features / "v.arrow").unlink()
    assemble_store(tmp_path / "store", features, truth, "abc", select_share=0.5, seed=3)
    assert {r["video_id"]: r["split"] for r in FeatureStore(tmp_path / "store").videos} == {
        k: v for k, v in splits.items() if k != "v"
    }


def test_features_of_another_extraction_are_missing(tmp_path: Path, features: Path) -> None:
    truth = read_activitynet(_annotation_file(tmp_path, DATABASE))
    with pytest.raises(ValueError, match="none of the 4 annotated videos has features"):
        assemble_store(tmp_path / "store", features, truth, "other", select_share=0.5, seed=0)
    assert not (tmp_path / "store").exists()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.sets(st.integers(0, 3))), min_size=1, max_size=30),
    st.floats(0, 1),
    st.integers(0, 5),
)
def test_splits(drawn: list[tuple[bool, set[int]]], share: float, seed: int) -> None:
    videos = {
        f"{i:02}": AnnotatedVideo("training" if training else "validation", tuple(Segment(0, 1, k) for k in labels))
        for i, (training, labels) in enumerate(drawn)
    }
    splits = assign_splits(videos, select_share=share, seed=seed)
    assert list(splits) == sorted(videos)
    training = sum(training for training, _ in drawn)
    assert sum(split == "select" for split in splits.values()) == round(share * training)
    assert {v for v, split in splits.items() if split == "test"} == {
        v for v, video in videos.items() if video.subset == "validation"
    }
    shuffled = dict(sorted(videos.items(), reverse=True))
    assert assign_splits(shuffled, select_share=share, seed=seed) == splits


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        (_entry("training", (2.0, 1.0, "walk")), r"'bad' row 0: segment \[2.0, 1.0\] must have 0 <= start < end"),
        (_entry("training", (0.0, 1.0, "a"), (-1.0, 1.0, "a")), "'bad' row 1"),
        (_entry("train", (0.0, 1.0, "walk")), "video 'bad': subset 'train' is none of training, validation"),
        ({"subset": "training"}, "not an ActivityNet annotation file: KeyError 'annotations'"),
        ({"subset": "training", "annotations": [{"segment": [1], "label": "a"}]}, r"segment \[1\] is not two numbers"),
        ({"subset": "training", "annotations": [{"segment": "ab", "label": "a"}]}, "segment ab is not two numbers"),
    ],
)
def test_refused_annotations(tmp_path: Path, entry: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        read_activitynet(_annotation_file(tmp_path, {**DATABASE, "bad": entry}))


@pytest.mark.parametrize("content", ["[]", "{", '{"data": {}}', '{"database": []}'])
def test_files_of_another_form(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"a\.json: not an ActivityNet annotation file"):
        read_activitynet(path)
    with pytest.raises(FileNotFoundError, match="no such annotation file"):
        read_activitynet(tmp_path / "none.json")


def test_a_share_out_of_bounds() -> None:
    with pytest.raises(ValueError, match=r"select_share: 1\.5"):
        assign_splits({}, select_share=1.5, seed=0)
