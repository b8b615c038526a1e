"""A store as a data set: splits, ground truth, batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trainables.config import Sampling
from trainables.data.loader import LabelledVideo, load_batches
from trainables.data.schema import SPLITS
from trainables.data.store import FeatureStore
from trainables.data.trimmed import TRIMMED, has_trimmed, trimmed_folder
from trainables.detections import FloatArray, GroundTruth
from trainables.records import Batch, Supervision
from trainables.segments import check_segments


@dataclass(frozen=True)
class Annotations:
    """Segments of one video.

    Attributes:
        segments_s: (n, 2) start, end in seconds.
        labels: (n,) class ids.
        ambiguous: (n,) True = excuses a miss, is no instance.
    """

    segments_s: FloatArray
    labels: npt.NDArray[np.int64]
    ambiguous: npt.NDArray[np.bool_]


class FeatureDataset:
    """Videos with pre-extracted features.

    Args:
        folder: of the store.
        permute_labels_seed: exchange the annotations of the training videos, and of the trimmed clips (a control whose
            score must be near chance); None = leave them.
        overfit: select and test are the training videos (a control that says what a model can memorise).
    """

    def __init__(self, folder: Path, *, permute_labels_seed: int | None = None, overfit: bool = False) -> None:
        self._store = FeatureStore(folder)
        videos = self._store.videos
        self._rows = {split: [i for i, v in enumerate(videos) if v["split"] == split] for split in SPLITS}
        if overfit:
            self._rows = dict.fromkeys(SPLITS, self._rows["train"])
        self._annotations = _by_video(videos, self._store.segments)
        if permute_labels_seed is not None:
            durations_s = [v["duration_s"] for v in videos]
            self._annotations |= permuted(self._annotations, self._rows["train"], durations_s, permute_labels_seed)
        self._trimmed: FeatureDataset | None = None
        if has_trimmed(folder):
            self._trimmed = FeatureDataset(trimmed_folder(folder), permute_labels_seed=permute_labels_seed)
            _check_same_kind(self, self._trimmed)

    @property
    def class_names(self) -> tuple[str, ...]:
        """K names."""
        return self._store.class_names

    @property
    def feat_dim(self) -> int:
        """C."""
        return self._store.feat_dim

    def video_ids(self, split: str) -> tuple[str, ...]:
        """Ids of a split, in the order of the store."""
        return tuple(self._store.videos[i]["video_id"] for i in self._of(split))

    def durations_s(self) -> Mapping[str, float]:
        """Video id -> seconds."""
        return {v["video_id"]: v["duration_s"] for v in self._store.videos}

    def ground_truth(self, split: str) -> GroundTruth:
        """Segments of a split, for scoring."""
        own = [self._annotations[i] for i in self._of(split)]
        video = np.repeat(np.arange(len(own)), np.asarray([len(a.labels) for a in own], np.int64))
        segments_s = np.concatenate([np.zeros((0, 2)), *(a.segments_s for a in own)])
        labels = np.concatenate([np.zeros(0, np.int64), *(a.labels for a in own)])
        ambiguous = np.concatenate([np.zeros(0, bool), *(a.ambiguous for a in own)])
        return GroundTruth(
            video_ids=self.video_ids(split),
            class_names=self.class_names,
            video=video[~ambiguous],
            segments_s=segments_s[~ambiguous],
            labels=labels[~ambiguous],
            ambiguous_video=video[ambiguous],
            ambiguous_s=segments_s[ambiguous],
        )

    def batches(
        self,
        split: str,
        *,
        sampling: Sampling,
        batch_size: int,
        supervision: Supervision,
        seed: int,
        epoch: int | None,
        rank: int = 0,
        world_size: int = 1,
    ) -> Iterator[Batch]:
        """Inputs of one pass; see :class:`trainables.contracts.Dataset`. Ambiguous segments are never handed out.

        Raises:
            ValueError: an argument out of bounds, or trimmed clips of a data set without any.
        """
        if split == TRIMMED:
            if self._trimmed is None:
                raise ValueError(f"split '{TRIMMED}': {self._store.folder} has no trimmed clips")
            return self._trimmed.batches(
                "train",
                sampling=sampling,
                batch_size=batch_size,
                supervision=supervision,
                seed=seed,
                epoch=epoch,
                rank=rank,
                world_size=world_size,
            )
        return load_batches(
            [self._labelled(i) for i in self._of(split)],
            len(self.class_names),
            sampling=sampling,
            batch_size=batch_size,
            supervision=supervision,
            seed=seed,
            epoch=epoch,
            rank=rank,
            world_size=world_size,
        )

    def _of(self, split: str) -> list[int]:
        if split not in self._rows:
            raise ValueError(f"split '{split}' is none of {', '.join(SPLITS)}")
        return self._rows[split]

    def _labelled(self, index: int) -> LabelledVideo:
        row, own = self._store.videos[index], self._annotations[index]
        return LabelledVideo(
            video_id=row["video_id"],
            snippet_seconds=row["snippet_seconds"],
            feats=self._store.features(index),
            segments_s=own.segments_s[~own.ambiguous],
            labels=own.labels[~own.ambiguous],
            start_s=self._store.start_s(index),
        )


def _check_same_kind(whole: FeatureDataset, clips: FeatureDataset) -> None:
    """Clips of other classes or channels would teach something else."""
    if clips.class_names != whole.class_names or clips.feat_dim != whole.feat_dim:
        raise ValueError(
            f"trimmed clips have {clips.feat_dim} channels and classes {', '.join(clips.class_names)}; the videos have "
            f"{whole.feat_dim} and {', '.join(whole.class_names)}; build them together"
        )


def _by_video(videos: Sequence[Mapping[str, Any]], segments: Sequence[Mapping[str, Any]]) -> dict[int, Annotations]:
    """Annotations by index of the video."""
    rows: dict[str, list[Mapping[str, Any]]] = {v["video_id"]: [] for v in videos}
    for segment in segments:
        rows[segment["video_id"]].append(segment)
    annotations = {}
    for index, (video_id, own) in enumerate(rows.items()):
        segments_s = np.asarray([(s["start_s"], s["end_s"]) for s in own], np.float64).reshape(-1, 2)
        check_segments(segments_s, what=f"segments of '{video_id}'")
        labels = np.asarray([s["label"] for s in own], np.int64)
        annotations[index] = Annotations(segments_s, labels, np.asarray([s["ambiguous"] for s in own], bool))
    return annotations


def permuted(
    annotations: Mapping[int, Annotations], rows: Sequence[int], durations_s: Sequence[float], seed: int
) -> dict[int, Annotations]:
    """Annotations of whole videos exchanged among ``rows``: no video keeps its own where there are two or more.

    Args:
        annotations: by index of the video.
        rows: the videos that take part.
        durations_s: by index; times are scaled with the videos' lengths, so that every segment stays inside.
        seed: of the order.
    """
    order = np.random.Generator(np.random.PCG64([2, seed, 0, 0])).permutation(len(rows))
    result = {}
    for place, source in zip(order, np.roll(order, 1), strict=True):
        to, own = rows[place], annotations[rows[source]]
        scale = durations_s[to] / durations_s[rows[source]]
        result[to] = Annotations(own.segments_s * scale, own.labels, own.ambiguous)
    return result
