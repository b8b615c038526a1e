"""What a published annotation file says: videos, segments, and every fault that was met and how it was settled."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from trainables.data.schema import Segment
from trainables.detections import GroundTruth


@dataclass(frozen=True)
class AnnotatedVideo:
    """One video of a file.

    Attributes:
        video_id: unique.
        subset: the file's own word for the part it belongs to.
        duration_s: seconds, None where the file does not say.
        fps: frames per second, None where the file does not say.
        segments: in the order of the file.
    """

    video_id: str
    subset: str
    duration_s: float | None
    fps: float | None
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class Fault:
    """A known kind of fault of published files, with its number.

    Attributes:
        rule: what is broken.
        count: how often.
        first: the first one, in the file's own terms.
        action: what was done: "kept", "left out", "read as a number", ...
    """

    rule: str
    count: int
    first: str
    action: str


@dataclass(frozen=True)
class AnnotationSet:
    """All of one file or folder.

    Attributes:
        format: name of the reader.
        class_names: K names; labels index into them.
        videos: in the order of the file.
        faults: empty for a clean file.
    """

    format: str
    class_names: tuple[str, ...]
    videos: tuple[AnnotatedVideo, ...]
    faults: tuple[Fault, ...] = ()

    @property
    def subsets(self) -> tuple[str, ...]:
        """The file's words for its parts, in order of appearance."""
        return tuple(dict.fromkeys(video.subset for video in self.videos))

    def of_subset(self, subset: str) -> AnnotationSet:
        """The videos of one part; classes stay those of the whole.

        Raises:
            ValueError: no video is in it.
        """
        videos = tuple(video for video in self.videos if video.subset == subset)
        if not videos:
            raise ValueError(f"subset '{subset}' is none of {', '.join(self.subsets)}")
        return replace(self, videos=videos)

    def without(self, video_ids: Collection[str]) -> AnnotationSet:
        """Without some videos; ids that are not there are no error: lists of blocked videos are for all versions."""
        gone = set(video_ids)
        return replace(self, videos=tuple(video for video in self.videos if video.video_id not in gone))

    def ground_truth(self, subset: str | None = None) -> GroundTruth:
        """Segments for scoring, in the order of the file and with its times; those without length were left out there.

        Args:
            subset: only these videos; None = all.

        Raises:
            ValueError: no video is in the subset.
        """
        videos = (self if subset is None else self.of_subset(subset)).videos
        rows = [(i, s.start_s, s.end_s, s.label, s.ambiguous) for i, v in enumerate(videos) for s in v.segments]
        table = np.asarray(rows, np.float64).reshape(-1, 5)
        ambiguous = table[:, 4] > 0
        real, excused = table[~ambiguous], table[ambiguous]
        return GroundTruth(
            video_ids=tuple(video.video_id for video in videos),
            class_names=self.class_names,
            video=real[:, 0].astype(np.int64),
            segments_s=real[:, 1:3].copy(),
            labels=real[:, 3].astype(np.int64),
            ambiguous_video=excused[:, 0].astype(np.int64),
            ambiguous_s=excused[:, 1:3].copy(),
        )


class FaultLog:
    """Collects faults while a file is read."""

    def __init__(self) -> None:
        self._faults: dict[tuple[str, str], tuple[int, str]] = {}

    def add(self, rule: str, where: str, action: str) -> None:
        """Count one.

        Args:
            rule: what is broken.
            where: in the file's own terms, with the values.
            action: what is done about it.
        """
        count, first = self._faults.get((rule, action), (0, where))
        self._faults[rule, action] = (count + 1, first)

    def faults(self) -> tuple[Fault, ...]:
        """In order of first appearance."""
        return tuple(Fault(rule, count, first, action) for (rule, action), (count, first) in self._faults.items())
