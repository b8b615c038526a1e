"""Ambiguous segments: an excuse for a miss at scoring, nothing that training may see."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from trainables.config import Sampling
from trainables.data.features.dataset import FeatureDataset
from trainables.data.features.store import write_store
from trainables.data.schema import Segment, Video


@pytest.fixture
def dataset(tmp_path: Path) -> FeatureDataset:
    feats = np.zeros((10, 2), np.float32)
    videos = [
        Video("a", "validation", "train", 0.5, feats, (Segment(3, 4, 1, ambiguous=True), Segment(1, 2, 0))),
        Video("b", "validation", "train", 0.5, feats, (Segment(0, 1, 1), Segment(2, 3, 1))),
        Video("c", "validation", "train", 0.5, feats, (Segment(0, 5, 1, ambiguous=True),)),
        Video("d", "test", "test", 0.5, feats, (), annotated_duration_s=4.8),
    ]
    write_store(tmp_path / "s", videos, ["jump", "run"], {})
    return FeatureDataset(tmp_path / "s")


def test_ambiguous_segments_are_apart_in_the_ground_truth(dataset: FeatureDataset) -> None:
    truth = dataset.ground_truth("train")
    assert truth.video_ids == ("a", "b", "c")
    assert truth.video.tolist() == [0, 1, 1]
    assert truth.segments_s.tolist() == [[1, 2], [0, 1], [2, 3]]
    assert truth.labels.tolist() == [0, 1, 1]
    assert truth.ambiguous_video.tolist() == [0, 2]
    assert truth.ambiguous_s.tolist() == [[3, 4], [0, 5]]


def test_ambiguous_segments_are_never_handed_out(dataset: FeatureDataset) -> None:
    sampling = Sampling("native", "native", 1)
    (batch,) = dataset.batches("train", sampling=sampling, batch_size=3, supervision="segments", seed=0, epoch=None)
    assert batch.video_labels is not None
    assert batch.segments is not None
    assert batch.frame_labels is not None
    assert batch.video_labels.tolist() == [[1, 0], [0, 1], [0, 0]]
    assert [s.segments_grid.tolist() for s in batch.segments] == [[[2, 4]], [[0, 2], [4, 6]], []]
    assert batch.frame_labels[:, :, 1].sum(dim=1).tolist() == [0, 4, 0]


def test_splits_without_segments_or_videos(dataset: FeatureDataset) -> None:
    truth = dataset.ground_truth("test")
    assert (truth.video_ids, truth.segments_s.shape, truth.labels.tolist()) == (("d",), (0, 2), [])
    assert dataset.ground_truth("select").video_ids == ()
    assert dataset.durations_s() == {"a": 5.0, "b": 5.0, "c": 5.0, "d": 4.8}
    with pytest.raises(ValueError, match="split 'validation' is none of train, select, test"):
        dataset.ground_truth("validation")
