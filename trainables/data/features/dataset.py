"""A store as a data set: splits, ground truth, batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trainables.data.batches.annotated import Annotations, SplitVideo
from trainables.data.batches.labelled import LabelledVideos
from trainables.data.batches.passes import Pass
from trainables.data.features.loader import FeaturesVideo, load_batches
from trainables.data.features.store import FeatureStore
from trainables.data.features.trimmed import has_trimmed, trimmed_folder
from trainables.data.schema import TRIMMED
from trainables.records import Batch
from trainables.segments import check_segments


class FeatureDataset(LabelledVideos):
    """Videos with pre-extracted features.

    Args:
        folder: of the store.
        permute_labels_seed: exchange the annotations of the training videos, and of the trimmed clips (a control whose
            score must be near chance); None = leave them.
        overfit: select and test are the training videos (a control that says what a model can memorise).
    """

    def __init__(self, folder: Path, *, permute_labels_seed: int | None = None, overfit: bool = False) -> None:
        self._store = FeatureStore(folder)
        super().__init__(
            _split_videos(self._store.videos, self._store.segments),
            self._store.class_names,
            permute_labels_seed=permute_labels_seed,
            overfit=overfit,
        )
        self._trimmed: FeatureDataset | None = None
        if has_trimmed(folder):
            self._trimmed = FeatureDataset(trimmed_folder(folder), permute_labels_seed=permute_labels_seed)
            _check_same_kind(self, self._trimmed)

    @property
    def feat_dim(self) -> int:
        """C."""
        return self._store.feat_dim

    def _batches(self, split: str, wanted: Pass) -> Iterator[Batch]:
        if split == TRIMMED:
            if self._trimmed is None:
                raise ValueError(f"split '{TRIMMED}': {self._store.folder} has no trimmed clips")
            return self._trimmed._batches("train", wanted)
        return load_batches([self._labelled(i) for i in self._of(split)], len(self.class_names), wanted)

    def _labelled(self, index: int) -> FeaturesVideo:
        row = self._store.videos[index]
        segments_s, labels = self._instances(index)
        return FeaturesVideo(
            video_id=row["video_id"],
            snippet_seconds=row["snippet_seconds"],
            feats=self._store.features(index),
            segments_s=segments_s,
            labels=labels,
            start_s=self._store.start_s(index),
        )


def _check_same_kind(whole: FeatureDataset, clips: FeatureDataset) -> None:
    """Clips of other classes or channels would teach something else."""
    if clips.class_names != whole.class_names or clips.feat_dim != whole.feat_dim:
        raise ValueError(
            f"trimmed clips have {clips.feat_dim} channels and classes {', '.join(clips.class_names)}; the videos have "
            f"{whole.feat_dim} and {', '.join(whole.class_names)}; build them together"
        )


def _split_videos(videos: Sequence[Mapping[str, Any]], segments: Sequence[Mapping[str, Any]]) -> list[SplitVideo]:
    """Rows of a store as videos with their annotations."""
    rows: dict[str, list[Mapping[str, Any]]] = {v["video_id"]: [] for v in videos}
    for segment in segments:
        rows[segment["video_id"]].append(segment)
    return [
        SplitVideo(v["video_id"], v["split"], v["duration_s"], _annotations(v, rows[v["video_id"]])) for v in videos
    ]


def _annotations(video: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Annotations:
    segments_s = np.asarray([(s["start_s"], s["end_s"]) for s in rows], np.float64).reshape(-1, 2)
    check_segments(segments_s, what=f"segments of '{video['video_id']}'")
    labels = np.asarray([s["label"] for s in rows], np.int64)
    return Annotations(segments_s, labels, np.asarray([s["ambiguous"] for s in rows], bool))
