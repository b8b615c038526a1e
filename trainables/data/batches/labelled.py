"""Annotated videos in three splits: what every data set is, whatever it holds of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from trainables.config import Sampling
from trainables.data.batches.annotated import SplitVideo, permuted
from trainables.data.batches.passes import Pass
from trainables.data.schema import SPLITS
from trainables.detections import FloatArray, GroundTruth
from trainables.records import Batch, Supervision


class LabelledVideos(ABC):
    """Splits, ground truth, and the passes over a split.

    Args:
        videos: in their order.
        class_names: K names.
        permute_labels_seed: exchange the annotations of the training videos (a control whose score must be near
            chance); None = leave them.
        overfit: select and test are the training videos (a control that says what a model can memorise).
    """

    def __init__(
        self,
        videos: Sequence[SplitVideo],
        class_names: tuple[str, ...],
        *,
        permute_labels_seed: int | None,
        overfit: bool,
    ) -> None:
        self._videos = tuple(videos)
        self._class_names = class_names
        self._rows = {split: [i for i, video in enumerate(videos) if video.split == split] for split in SPLITS}
        if overfit:
            self._rows = dict.fromkeys(SPLITS, self._rows["train"])
        self._annotations = {i: video.annotations for i, video in enumerate(videos)}
        if permute_labels_seed is not None:
            durations_s = [video.duration_s for video in videos]
            self._annotations |= permuted(self._annotations, self._rows["train"], durations_s, permute_labels_seed)

    @property
    def class_names(self) -> tuple[str, ...]:
        """K names."""
        return self._class_names

    def video_ids(self, split: str) -> tuple[str, ...]:
        """Ids of a split, in the order of the videos."""
        return tuple(self._videos[i].video_id for i in self._of(split))

    def durations_s(self) -> Mapping[str, float]:
        """Video id -> seconds."""
        return {video.video_id: video.duration_s for video in self._videos}

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
        return self._batches(split, Pass(sampling, batch_size, supervision, seed, epoch, rank, world_size))

    @abstractmethod
    def _batches(self, split: str, wanted: Pass) -> Iterator[Batch]:
        """Also of the split "trimmed"."""

    def _of(self, split: str) -> list[int]:
        if split not in self._rows:
            raise ValueError(f"split '{split}' is none of {', '.join(SPLITS)}")
        return self._rows[split]

    def _instances(self, index: int) -> tuple[FloatArray, npt.NDArray[np.int64]]:
        """(n, 2) segments in seconds and (n,) labels of a video, as training may see them: no ambiguous ones."""
        own = self._annotations[index]
        return own.segments_s[~own.ambiguous], own.labels[~own.ambiguous]
