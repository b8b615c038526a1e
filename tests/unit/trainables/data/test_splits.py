"""Cutting select from training videos: sizes are exact, classes keep their shares."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.data.splits import stratified_subset


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
