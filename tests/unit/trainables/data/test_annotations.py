"""What is made of annotations, against loops over single segments."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.data.annotations import AnnotatedVideo, AnnotationSet, Fault, FaultLog
from trainables.data.schema import Segment

CLASSES = ("hop", "jump", "run")

_SEGMENTS = st.builds(
    lambda start, length, label, ambiguous: Segment(start, start + length, label, ambiguous),
    st.floats(0, 1e3),
    st.floats(1e-3, 1e3),
    st.integers(0, 2),
    st.booleans(),
)


@st.composite
def _sets(draw: st.DrawFn) -> AnnotationSet:
    parts = draw(st.lists(st.tuples(st.sampled_from("xyz"), st.lists(_SEGMENTS, max_size=5)), min_size=1, max_size=8))
    videos = tuple(AnnotatedVideo(f"v{i}", part, None, None, tuple(own)) for i, (part, own) in enumerate(parts))
    return AnnotationSet("toy", CLASSES, videos, (Fault("rule", 1, "here", "kept"),))


@given(annotations=_sets(), data=st.data())
def test_ground_truth_is_every_segment_in_order(annotations: AnnotationSet, data: st.DataObject) -> None:
    subset = data.draw(st.none() | st.sampled_from(annotations.subsets))
    truth = annotations.ground_truth(subset)
    videos = [video for video in annotations.videos if subset in (None, video.subset)]
    assert truth.video_ids == tuple(video.video_id for video in videos)
    assert truth.class_names == CLASSES
    rows, excused = [], []
    for index, video in enumerate(videos):
        for segment in video.segments:
            if segment.ambiguous:
                excused.append((index, segment.start_s, segment.end_s))
            else:
                rows.append((index, segment.start_s, segment.end_s, segment.label))
    assert list(zip(truth.video.tolist(), *truth.segments_s.T.tolist(), truth.labels.tolist(), strict=True)) == rows
    assert list(zip(truth.ambiguous_video.tolist(), *truth.ambiguous_s.T.tolist(), strict=True)) == excused
    assert truth.labels.dtype == truth.video.dtype == np.int64
    assert truth.segments_s.shape == (len(rows), 2)


@given(annotations=_sets())
def test_subsets_are_a_partition(annotations: AnnotationSet) -> None:
    parts = [annotations.of_subset(subset) for subset in annotations.subsets]
    assert sorted(v.video_id for part in parts for v in part.videos) == sorted(v.video_id for v in annotations.videos)
    assert all(part.subsets == (name,) for part, name in zip(parts, annotations.subsets, strict=True))
    assert all(part.class_names == CLASSES and part.faults == annotations.faults for part in parts)


@given(annotations=_sets(), gone=st.sets(st.sampled_from([f"v{i}" for i in range(12)])))
def test_without(annotations: AnnotationSet, gone: set[str]) -> None:
    left = annotations.without(gone)
    assert left.videos == tuple(video for video in annotations.videos if video.video_id not in gone)
    assert left.without(gone) == left


def test_an_unknown_subset_lists_those_there_are() -> None:
    videos = tuple(AnnotatedVideo(f"v{i}", part, None, None, ()) for i, part in enumerate(["test", "train"]))
    with pytest.raises(ValueError, match="subset 'select' is none of test, train"):
        AnnotationSet("toy", CLASSES, videos).ground_truth("select")


def test_faults_are_counted_by_rule_and_action() -> None:
    log = FaultLog()
    for rule, where, action in [("a", "1", "kept"), ("b", "2", "kept"), ("a", "3", "kept"), ("a", "4", "left out")]:
        log.add(rule, where, action)
    assert log.faults() == (
        Fault("a", 2, "1", "kept"),
        Fault("b", 1, "2", "kept"),
        Fault("a", 1, "4", "left out"),
    )
