"""Annotated videos in three splits: what every data set is, whatever it holds of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainables.data.schema import SPLITS
from trainables.detections import FloatArray, GroundTruth


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


@dataclass(frozen=True)
class SplitVideo:
    """One video.

    Attributes:
        video_id: unique.
        split: train, select or test.
        duration_s: length, seconds.
        annotations: its segments.
    """

    video_id: str
    split: str
    duration_s: float
    annotations: Annotations


class LabelledVideos:
    """Splits and ground truth.

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

    def _of(self, split: str) -> list[int]:
        if split not in self._rows:
            raise ValueError(f"split '{split}' is none of {', '.join(SPLITS)}")
        return self._rows[split]

    def _instances(self, index: int) -> tuple[FloatArray, npt.NDArray[np.int64]]:
        """(n, 2) segments in seconds and (n,) labels of a video, as training may see them: no ambiguous ones."""
        own = self._annotations[index]
        return own.segments_s[~own.ambiguous], own.labels[~own.ambiguous]


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
