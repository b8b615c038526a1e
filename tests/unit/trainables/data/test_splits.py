"""Cutting videos into splits: sizes are exact, classes keep their shares, the result is a value with a digest."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.data.annotations import AnnotatedVideo, AnnotationSet
from trainables.data.readers import read_annotations
from trainables.data.schema import Segment
from trainables.data.splits import Splits, class_table, cut_subsets, cut_thumos14, cut_videos, stratified_subset


def _one_hot(labels: list[int]) -> np.ndarray:
    return np.eye(max(labels) + 1, dtype=bool)[labels]


@given(labels=st.lists(st.integers(0, 6), min_size=1, max_size=60), seed=st.integers(0, 99), data=st.data())
def test_every_class_keeps_its_share(labels: list[int], seed: int, data: st.DataObject) -> None:
    size = data.draw(st.integers(0, len(labels)))
    has_class = _one_hot(labels)
    chosen = stratified_subset(has_class, size, seed=seed)
    assert chosen.sum() == size
    assert np.abs(has_class[chosen].sum(axis=0) - size / len(labels) * has_class.sum(axis=0)).max() < 1


@given(
    rows=st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=40),
    seed=st.integers(0, 9),
    data=st.data(),
)
def test_sizes_are_exact_with_several_classes_or_none(rows: list[list[bool]], seed: int, data: st.DataObject) -> None:
    size = data.draw(st.integers(0, len(rows)))
    assert stratified_subset(np.array(rows), size, seed=seed).sum() == size


def test_a_rare_class_beside_a_frequent_one() -> None:
    # every video shows class 0; the ten of class 1 are what a blind draw would miss
    has_class = np.zeros((100, 2), bool)
    has_class[:, 0] = True
    has_class[:10, 1] = True
    chosen = stratified_subset(has_class, 20, seed=0)
    assert has_class[chosen].sum(axis=0).tolist() == [20, 2]


def test_a_class_of_one_video_stays_in_training() -> None:
    chosen = stratified_subset(_one_hot([0] * 9 + [1]), 2, seed=0)
    assert not chosen[9]


def test_the_seed_decides_and_nothing_else() -> None:
    has_class = _one_hot([i % 4 for i in range(40)])
    draws = [stratified_subset(has_class, 10, seed=s).tolist() for s in (0, 0, 1)]
    assert draws[0] == draws[1]
    assert draws[0] != draws[2]


@pytest.mark.parametrize("size", [-1, 4])
def test_more_than_there_are(size: int) -> None:
    with pytest.raises(ValueError, match=f"size: {size} of 3 videos"):
        stratified_subset(_one_hot([0, 1, 2]), size, seed=0)


def _cost(has_class: np.ndarray, chosen: np.ndarray) -> float:
    total = 0.0
    for column in has_class.T:
        if column.any():
            share = chosen.sum() / len(chosen) * column.sum()
            total += (column[chosen].sum() - share) ** 2 / share
    return total


@given(
    rows=st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=2, max_size=14),
    seed=st.integers(0, 9),
    data=st.data(),
)
def test_no_exchange_brings_several_classes_nearer(rows: list[list[bool]], seed: int, data: st.DataObject) -> None:
    has_class = np.array(rows)
    has_class[0, :2] = True
    size = data.draw(st.integers(1, len(rows) - 1))
    chosen = stratified_subset(has_class, size, seed=seed)
    least = _cost(has_class, chosen)
    for inside in np.flatnonzero(chosen):
        for outside in np.flatnonzero(~chosen):
            other = chosen.copy()
            other[[inside, outside]] = False, True
            assert _cost(has_class, other) >= least - 1e-7


def _annotations(labels: list[tuple[int, ...]], subsets: list[str]) -> AnnotationSet:
    videos = tuple(
        AnnotatedVideo(f"v{i:03d}", subset, None, None, tuple(Segment(0.0, 1.0, k) for k in own))
        for i, (own, subset) in enumerate(zip(labels, subsets, strict=True))
    )
    return AnnotationSet("toy", tuple("abcd"), videos)


_SETS = st.lists(
    st.tuples(st.lists(st.integers(0, 3), max_size=3).map(tuple), st.sampled_from(["x", "y", "z"])),
    min_size=6,
    max_size=30,
).map(lambda rows: _annotations([own for own, _ in rows] + [()] * 3, [part for _, part in rows] + ["x", "y", "z"]))


@given(annotations=_SETS, seed=st.integers(0, 99), data=st.data())
def test_subsets_are_kept_apart(annotations: AnnotationSet, seed: int, data: st.DataObject) -> None:
    own = {part: {v.video_id for v in annotations.videos if v.subset == part} for part in "xyz"}
    size = data.draw(st.integers(0, len(own["x"] | own["y"])))
    splits = cut_subsets(annotations, train=["x", "y"], test=["z"], num_select=size, seed=seed)
    assert len(splits.select) == size
    assert set(splits.train) | set(splits.select) == own["x"] | own["y"]
    assert set(splits.test) == own["z"]
    backwards = replace(annotations, videos=annotations.videos[::-1])
    assert cut_subsets(backwards, train=["y", "x"], test=["z"], num_select=size, seed=seed) == splits, (
        "order is nothing"
    )


@given(annotations=_SETS, seed=st.integers(0, 99), data=st.data())
def test_a_cut_without_subsets(annotations: AnnotationSet, seed: int, data: st.DataObject) -> None:
    num_test = data.draw(st.integers(0, len(annotations.videos)))
    num_select = data.draw(st.integers(0, len(annotations.videos) - num_test))
    splits = cut_videos(annotations, num_select=num_select, num_test=num_test, seed=seed)
    assert (len(splits.select), len(splits.test)) == (num_select, num_test)
    by_video = splits.by_video()
    assert by_video.keys() == {video.video_id for video in annotations.videos}
    assert all(video_id in getattr(splits, split) for video_id, split in by_video.items())


def test_several_classes_of_a_video_are_one_row() -> None:
    segments = (Segment(0, 1, 2), Segment(1, 2, 0), Segment(3, 4, 2), Segment(5, 6, 1, ambiguous=True))
    videos = (AnnotatedVideo("a", "x", None, None, segments), AnnotatedVideo("b", "x", None, None, ()))
    assert class_table(videos, 3).tolist() == [[True, False, True], [False, False, False]]


def test_splits_are_stored_and_read_back() -> None:
    splits = Splits(("a", "b"), ("c",), ("d",), seed=3)
    stored = json.loads(json.dumps(splits.to_manifest()))
    assert Splits.from_manifest(stored) == splits
    assert stored["digest"] == splits.digest
    others = [replace(splits, seed=4), replace(splits, select=("d",), test=("c",)), replace(splits, train=("b", "a"))]
    assert len({splits.digest, *(other.digest for other in others)}) == 4


def test_splits_that_were_tampered_with() -> None:
    stored = Splits(("a", "b"), ("c",), ("d",), seed=3).to_manifest()
    with pytest.raises(ValueError, match="splits: the digest is .*, that of the ids .*; cut them anew"):
        Splits.from_manifest({**stored, "train": ["a"]})
    with pytest.raises(ValueError, match="splits: 'seed' is missing"):
        Splits.from_manifest({key: value for key, value in stored.items() if key != "seed"})


@pytest.mark.parametrize(
    ("ids", "complaint"),
    [
        ((("a", "b"), ("b",), ()), "video 'b' is in train and in select"),
        ((("a",), (), ("b", "b")), "test: video 'b' is there twice"),
    ],
)
def test_a_video_is_in_one_split(ids: tuple[tuple[str, ...], ...], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Splits(*ids, seed=0)


def test_subsets_that_do_not_fit() -> None:
    annotations = _annotations([(0,), (1,)], ["x", "y"])
    with pytest.raises(ValueError, match="subset 'z' is none of x, y"):
        cut_subsets(annotations, train=["z"], test=["y"], num_select=0)
    with pytest.raises(ValueError, match="subset 'y' is to be trained on and scored"):
        cut_subsets(annotations, train=["x", "y"], test=["y"], num_select=0)
    with pytest.raises(ValueError, match="size: 2 of 1 videos"):
        cut_subsets(annotations, train=["x"], test=["y"], num_select=2)
    with pytest.raises(ValueError, match="THUMOS'14 has 200 annotated videos to train with.*here are 0, of x, y"):
        cut_thumos14(annotations)


@pytest.mark.parametrize(
    ("name", "num_test"),
    [("official_annotations", 213), ("thumos14.json", 212), ("thumos_gt.json", 210)],
)
def test_thumos14_is_cut_alike_in_all_its_forms(test_data: Path, name: str, num_test: int) -> None:
    official = read_annotations(test_data / "thumos14/official_annotations")
    annotations = read_annotations(test_data / "thumos14" / name)
    splits = cut_thumos14(annotations, seed=7)
    assert (len(splits.train), len(splits.select), len(splits.test)) == (180, 20, num_test)
    assert splits.select == cut_thumos14(official, seed=7).select
    whole = cut_thumos14(annotations, num_select=0)
    assert (len(whole.train), whole.select, whole.test) == (200, (), splits.test)
    assert set(whole.train) == {*splits.train, *splits.select}
    shown = class_table([v for v in official.videos if v.video_id in splits.select], 20).sum(axis=0)
    every = class_table(official.of_subset("validation").videos, 20).sum(axis=0)
    assert np.abs(shown - 0.1 * every).max() < 1
    assert (shown > 0).all(), "every class can be selected on"


@pytest.mark.parametrize(
    ("name", "num_select"), [("multithumos/multithumos.json", 20), ("charades/charades.json", 800)]
)
def test_dense_labels_keep_their_shares(test_data: Path, name: str, num_select: int) -> None:
    annotations = read_annotations(test_data / name)
    own = sorted(annotations.of_subset("training").videos, key=lambda video: video.video_id)
    splits = cut_subsets(annotations, train=["training"], test=["testing"], num_select=num_select)
    has_class = class_table(own, len(annotations.class_names))
    chosen = np.array([video.video_id in set(splits.select) for video in own])
    drawn = np.random.default_rng(0).permutation(chosen)
    share = num_select / len(own) * has_class.sum(axis=0)
    assert np.abs(has_class[chosen].sum(axis=0) - share).max() <= 1 + 1e-9
    assert _cost(has_class, chosen) < 0.2 * _cost(has_class, drawn), "a plain draw is far off"
