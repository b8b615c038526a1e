"""Annotations and files of features become a store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from trainables.data.annotations import AnnotatedVideo, AnnotationSet, Fault
from trainables.data.extracted_files import VideoFeatures, write_features
from trainables.data.schema import Segment
from trainables.data.store import FeatureStore
from trainables.entrypoints.extracted_store import assemble_store

TRUTH = AnnotationSet(
    "activitynet",
    ("jump", "walk"),
    (
        AnnotatedVideo("v", "training", 9.0, None, (Segment(1.0, 2.0, 1), Segment(3.0, 4.5, 0, ambiguous=True))),
        AnnotatedVideo("w", "training", 9.0, None, (Segment(0.0, 1.0, 1),)),
        AnnotatedVideo("x", "validation", None, 25.0, (Segment(0.5, 2.0, 0),)),
        AnnotatedVideo("z", "testing", 3.0, None, ()),
    ),
    (Fault("a rule", 2, "row 3", "kept"),),
)
SPLITS = {"v": "train", "w": "select", "x": "test"}


@pytest.fixture
def features(tmp_path: Path) -> Path:
    folder = tmp_path / "features"
    folder.mkdir()
    for seed, video_id in enumerate("vwxu"):
        values = np.random.default_rng(seed).normal(size=(4 + seed, 3)).astype(np.float32)
        write_features(folder, VideoFeatures(video_id, values, 0.64, 25.0, 16 * (4 + seed) - 3, 10, "abc"))
    return folder


def test_the_whole_way(tmp_path: Path, features: Path) -> None:
    store = assemble_store(tmp_path / "store", features, TRUTH, SPLITS, "abc")
    assert store.verify()
    assert store.excluded == {"z": "no split"}
    assert store.class_names == ("jump", "walk")
    assert {row["video_id"]: row["split"] for row in store.videos} == SPLITS
    row = store.videos[1]
    # the decoded length, not the annotated one
    assert row["duration_s"] == pytest.approx((16 * 5 - 3) / 25)
    assert (row["subset"], row["snippet_seconds"], row["fps"]) == ("training", 0.64, 25.0)
    assert np.array_equal(store.features(1), np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32))
    rows = [(s["start_s"], s["end_s"], s["label"], s["ambiguous"]) for s in store.segments if s["video_id"] == "v"]
    assert rows == [(1.0, 2.0, 1, False), (3.0, 4.5, 0, True)]
    assert store.manifest["builder"]["faults"] == [{"rule": "a rule", "count": 2, "first": "row 3", "action": "kept"}]


def test_the_same_again_is_found(tmp_path: Path, features: Path) -> None:
    place = tmp_path / "store"
    assemble_store(place, features, TRUTH, SPLITS, "abc")
    before = (place / "manifest.json").stat().st_mtime_ns
    assert assemble_store(place, features, TRUTH, SPLITS, "abc").folder == place
    assert (place / "manifest.json").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("truth", "splits"),
    [
        (TRUTH, SPLITS | {"w": "train"}),
        (TRUTH, {"v": "train", "x": "test"}),
        (replace(TRUTH, class_names=("jump", "run")), SPLITS),
        (TRUTH.without(["z"]), SPLITS),
    ],
)
def test_another_store_is_refused(
    tmp_path: Path, features: Path, truth: AnnotationSet, splits: Mapping[str, str]
) -> None:
    assemble_store(tmp_path / "store", features, TRUTH, SPLITS, "abc")
    with pytest.raises(FileExistsError, match="holds another store; remove it"):
        assemble_store(tmp_path / "store", features, truth, splits, "abc")


def test_a_video_without_features_is_listed_and_noticed_when_it_has_them(tmp_path: Path, features: Path) -> None:
    place = tmp_path / "store"
    (features / "w.arrow").rename(tmp_path / "w.arrow")
    store = assemble_store(place, features, TRUTH, SPLITS, "abc")
    assert store.excluded == {"z": "no split", "w": "no features"}
    assert {row["video_id"]: row["split"] for row in store.videos} == {"v": "train", "x": "test"}
    (tmp_path / "w.arrow").rename(features / "w.arrow")
    with pytest.raises(FileExistsError, match="holds another store; remove it"):
        assemble_store(place, features, TRUTH, SPLITS, "abc")
    assert FeatureStore(place).excluded == store.excluded


def test_features_of_another_extraction_are_missing(tmp_path: Path, features: Path) -> None:
    with pytest.raises(ValueError, match="none of the 3 annotated videos has features"):
        assemble_store(tmp_path / "store", features, TRUTH, SPLITS, "other")
    assert not (tmp_path / "store").exists()
