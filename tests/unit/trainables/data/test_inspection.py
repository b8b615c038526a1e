"""What the summary of a store and of annotations says, against data counted by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from trainables.data.annotations import AnnotatedVideo, AnnotationSet
from trainables.data.features.store import FeatureStore, write_store
from trainables.data.inspection import shared_clips, store_annotations, summarise
from trainables.data.schema import SPLITS, Segment, Video


def _video(
    name: str, split: str, length: int, segments: tuple[Segment, ...] = (), clips: tuple[str, ...] = ()
) -> Video:
    return Video(name, "part", split, 0.5, np.zeros((length, 2), np.float32), segments, clips)


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    videos = [
        _video("a", "train", 20, (Segment(0, 4, 0), Segment(3, 5, 1), Segment(9, 12, 0)), ("x", "y")),
        _video("b", "train", 40, (Segment(1, 1.5, 0), Segment(8, 9, 0, ambiguous=True)), ("x",)),
        _video("c", "select", 10, (Segment(2, 3, 1), Segment(3, 4, 1)), ("y", "z")),
    ]
    write_store(tmp_path / "s", videos, ["jump", "run"], {"name": "test"})
    return FeatureStore(tmp_path / "s")


def test_counts_by_hand(store: FeatureStore) -> None:
    train, select, test = summarise(store_annotations(store), SPLITS)
    assert (train.videos, train.segments, train.ambiguous) == (2, 4, 1)
    assert train.hours == pytest.approx(30 / 3600)
    assert train.durations_s == (10.0, 15.0, 20.0)
    assert train.action_share == pytest.approx((5 + 1 + 0.5) / 30), "overlaps once, nothing beyond the end"
    assert train.per_class == {"jump": 3, "run": 1}
    assert train.videos_per_class == {"jump": 2, "run": 1}
    assert train.lengths == [1, 0, 2, 1, 0, 0, 0, 0]  # 0.5 s; 2 and 3 s; 4 s
    assert train.overlapping == 2
    assert train.beyond_end == 1
    assert (select.segments, select.overlapping, select.beyond_end) == (2, 0, 0), "touching is not overlapping"
    assert (test.videos, test.segments, test.durations_s, test.action_share) == (0, 0, (), None)
    assert train.lengths_s == (0.5, 2.5, 4.0)
    assert (train.without_segments, train.several_classes, train.known_durations) == (0, 1, 2)


def test_annotations_by_hand() -> None:
    videos = (
        AnnotatedVideo("a", "x", None, None, (Segment(0, 4, 0), Segment(0, 4, 1), Segment(5, 6, 0, ambiguous=True))),
        AnnotatedVideo("b", "x", 10.0, 25.0, (Segment(2, 3, 0), Segment(2, 3, 0))),
        AnnotatedVideo("c", "x", 20.0, None, (Segment(2, 3, 1, ambiguous=True),)),
        AnnotatedVideo("d", "y", None, None, ()),
    )
    x, y = summarise(AnnotationSet("toy", ("jump", "run"), videos), ("x", "y"))
    assert (x.part, x.videos, x.segments, x.ambiguous) == ("x", 3, 4, 2)
    assert (x.without_segments, x.several_classes) == (1, 1)
    assert (x.known_durations, x.hours) == (2, pytest.approx(30 / 3600)), "video a is of unknown length"
    assert x.action_share == pytest.approx(1 / 30)
    assert (x.overlapping, x.same_times) == (4, 2), "a copy is not another class"
    assert (y.videos, y.without_segments, y.known_durations, y.action_share, y.lengths_s) == (1, 1, 0, None, ())


def test_a_store_and_annotations_are_summarised_alike(store: FeatureStore) -> None:
    annotations = store_annotations(store)
    truth = annotations.ground_truth("train")
    assert truth.video_ids == ("a", "b")
    assert truth.segments_s.tolist() == [[0, 4], [3, 5], [9, 12], [1, 1.5]]
    assert truth.ambiguous_s.tolist() == [[8, 9]]
    assert summarise(annotations, ["train"]) == summarise(annotations.of_subset("train"), ["train"])


def test_clips_of_two_splits_are_named(store: FeatureStore) -> None:
    assert shared_clips(store) == ["y"]
