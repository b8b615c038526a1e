"""What is in a data set: counts, durations, class balance, segment lengths, overlaps, for every part of it.

One summary for annotations as they are published, whose parts are their subsets, and for stores, whose parts are their
splits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from trainables.data.annotations import AnnotatedVideo, AnnotationSet
from trainables.data.features.store import FeatureStore
from trainables.data.schema import SPLITS, Segment
from trainables.segments import FloatArray, tiou_matrix

#: Edges of the segment-length histogram, seconds.
LENGTH_EDGES_S = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, float("inf"))

#: A segment that ends this much after its video does so by rounding.
_TOLERANCE_S = 1e-6


@dataclass(frozen=True)
class PartSummary:
    """One part of a data set. Ambiguous segments are counted apart and nowhere else.

    Attributes:
        part: name of the subset or split.
        videos: number of videos.
        without_segments: videos without an instance.
        several_classes: videos with instances of two or more classes.
        segments: number of instances.
        ambiguous: number of ambiguous segments.
        known_durations: videos whose duration is known; the next three are of these.
        hours: duration of all together.
        durations_s: shortest, median and longest video; empty without videos.
        action_share: part of the time covered by segments (overlaps counted once), None without videos.
        per_class: instances by class name.
        videos_per_class: videos that show a class, by class name.
        lengths: instances by length, between ``LENGTH_EDGES_S``.
        lengths_s: shortest, median and longest instance; empty without instances.
        overlapping: instances that overlap another one of their video.
        same_times: instances with exactly the times of another one of their video and of another class.
        beyond_end: instances that end after their video.
    """

    part: str
    videos: int
    without_segments: int
    several_classes: int
    segments: int
    ambiguous: int
    known_durations: int
    hours: float
    durations_s: tuple[float, ...]
    action_share: float | None
    per_class: dict[str, int]
    videos_per_class: dict[str, int]
    lengths: list[int]
    lengths_s: tuple[float, ...]
    overlapping: int
    same_times: int
    beyond_end: int


def store_annotations(store: FeatureStore) -> AnnotationSet:
    """What a store says about its videos, with their splits for subsets."""
    own: dict[str, list[Segment]] = {video["video_id"]: [] for video in store.videos}
    for row in store.segments:
        own[row["video_id"]].append(Segment(row["start_s"], row["end_s"], row["label"], row["ambiguous"]))
    videos = tuple(
        AnnotatedVideo(v["video_id"], v["split"], v["duration_s"], v["fps"], tuple(own[v["video_id"]]))
        for v in store.videos
    )
    return AnnotationSet("store", store.class_names, videos)


def summarise(annotations: AnnotationSet, parts: Sequence[str]) -> list[PartSummary]:
    """A summary of every part, also of those without a video.

    Args:
        annotations: of all parts.
        parts: subsets or splits.
    """
    return [_part(p, [v for v in annotations.videos if v.subset == p], annotations.class_names) for p in parts]


def shared_clips(store: FeatureStore) -> list[str]:
    """Names of the clips that are in videos of more than one split: what a test set may not have seen."""
    own = [{clip for v in store.videos if v["split"] == split for clip in v["clips"]} for split in SPLITS]
    return sorted({clip for a, b in combinations(own, 2) for clip in a & b})


def _part(part: str, videos: Sequence[AnnotatedVideo], class_names: Sequence[str]) -> PartSummary:
    rows = [[s for s in v.segments if not s.ambiguous] for v in videos]
    times = [np.asarray([(s.start_s, s.end_s) for s in own], np.float64).reshape(-1, 2) for own in rows]
    labels = [np.asarray([s.label for s in own], np.int64) for own in rows]
    lengths = np.concatenate([np.zeros(0), *(t[:, 1] - t[:, 0] for t in times)])
    timed = [(t, v.duration_s) for t, v in zip(times, videos, strict=True) if v.duration_s is not None]
    durations = [duration for _, duration in timed]
    overlaps = [_overlaps(t, own) for t, own in zip(times, labels, strict=True)]
    return PartSummary(
        part=part,
        videos=len(videos),
        without_segments=sum(not own for own in rows),
        several_classes=sum(len(set(own.tolist())) > 1 for own in labels),
        segments=len(lengths),
        ambiguous=sum(len(v.segments) for v in videos) - len(lengths),
        known_durations=len(timed),
        hours=sum(durations) / 3600,
        durations_s=_spread(durations),
        action_share=sum(_covered(t, duration) for t, duration in timed) / sum(durations) if timed else None,
        per_class=_by_name(class_names, np.concatenate([np.zeros(0, np.int64), *labels])),
        videos_per_class=_by_name(class_names, np.concatenate([np.zeros(0, np.int64), *map(np.unique, labels)])),
        lengths=np.histogram(lengths, LENGTH_EDGES_S)[0].tolist(),
        lengths_s=_spread(lengths.tolist()),
        overlapping=sum(overlapping for overlapping, _ in overlaps),
        same_times=sum(same for _, same in overlaps),
        beyond_end=sum(int((t[:, 1] > duration + _TOLERANCE_S).sum()) for t, duration in timed),
    )


def _spread(values: Sequence[float]) -> tuple[float, ...]:
    """Lowest, median and highest."""
    return tuple(np.quantile(values, [0.0, 0.5, 1.0]).tolist()) if values else ()


def _by_name(class_names: Sequence[str], labels: npt.NDArray[np.int64]) -> dict[str, int]:
    counts = np.bincount(labels, minlength=len(class_names))
    return {name: int(n) for name, n in zip(class_names, counts, strict=True)}


def _covered(times: FloatArray, duration_s: float) -> float:
    """Seconds of the video that lie in some segment."""
    covered = reached = 0.0
    for start, end in sorted(map(tuple, times.tolist())):
        covered += max(0.0, min(end, duration_s) - max(start, reached))
        reached = max(reached, end)
    return covered


def _overlaps(times: FloatArray, labels: npt.NDArray[np.int64]) -> tuple[int, int]:
    """Instances that overlap another one, and instances that have the times of one of another class."""
    tiou = tiou_matrix(times, times)
    same = (times[:, None] == times[None]).all(axis=2) & (labels[:, None] != labels[None])
    np.fill_diagonal(tiou, 0.0)
    return int((tiou > 0).any(axis=1).sum()), int(same.any(axis=1).sum())
