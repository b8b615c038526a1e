"""What is in a store: counts, durations, class balance, segment lengths, overlaps, per split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from trainables.data.schema import SPLITS
from trainables.data.store import FeatureStore
from trainables.segments import FloatArray, tiou_matrix

#: Edges of the segment-length histogram, seconds.
LENGTH_EDGES_S = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, float("inf"))

#: A segment that ends this much after its video does so by rounding.
_TOLERANCE_S = 1e-6


@dataclass(frozen=True)
class SplitSummary:
    """One split of a store. Ambiguous segments are counted apart and nowhere else.

    Attributes:
        split: train, select or test.
        videos: number of videos.
        segments: number of instances.
        ambiguous: number of ambiguous segments.
        hours: duration of all videos.
        durations_s: shortest, median and longest video; empty without videos.
        action_share: part of the time covered by segments (overlaps counted once).
        per_class: instances by class name.
        videos_per_class: videos that show a class, by class name.
        lengths: instances by length, between ``LENGTH_EDGES_S``.
        overlapping: instances that overlap another one of their video.
        beyond_end: instances that end after their video.
    """

    split: str
    videos: int
    segments: int
    ambiguous: int
    hours: float
    durations_s: tuple[float, ...]
    action_share: float
    per_class: dict[str, int]
    videos_per_class: dict[str, int]
    lengths: list[int]
    overlapping: int
    beyond_end: int


def summarise(store: FeatureStore) -> list[SplitSummary]:
    """A summary of every split."""
    by_video: dict[str, list[dict[str, Any]]] = {}
    for row in store.segments:
        by_video.setdefault(row["video_id"], []).append(row)
    return [_split(store, split, by_video) for split in SPLITS]


def shared_clips(store: FeatureStore) -> list[str]:
    """Names of the clips that are in videos of more than one split: what a test set may not have seen."""
    own = [{clip for v in store.videos if v["split"] == split for clip in v["clips"]} for split in SPLITS]
    return sorted({clip for a, b in combinations(own, 2) for clip in a & b})


def _split(store: FeatureStore, split: str, by_video: dict[str, list[dict[str, Any]]]) -> SplitSummary:
    videos = [v for v in store.videos if v["split"] == split]
    rows = [[r for r in by_video.get(v["video_id"], []) if not r["ambiguous"]] for v in videos]
    times = [np.asarray([(r["start_s"], r["end_s"]) for r in own], np.float64).reshape(-1, 2) for own in rows]
    labels = [[r["label"] for r in own] for own in rows]
    durations = [v["duration_s"] for v in videos]
    lengths = np.concatenate([np.zeros(0), *(t[:, 1] - t[:, 0] for t in times)])
    every = sum(len(by_video.get(v["video_id"], [])) for v in videos)
    covered = sum(_covered(t, duration) for t, duration in zip(times, durations, strict=True))
    return SplitSummary(
        split=split,
        videos=len(videos),
        segments=len(lengths),
        ambiguous=every - len(lengths),
        hours=sum(durations) / 3600,
        durations_s=tuple(np.quantile(durations, [0.0, 0.5, 1.0]).tolist()) if durations else (),
        action_share=covered / sum(durations) if durations else 0.0,
        per_class=_by_name(store, [label for own in labels for label in own]),
        videos_per_class=_by_name(store, [label for own in labels for label in set(own)]),
        lengths=np.histogram(lengths, LENGTH_EDGES_S)[0].tolist(),
        overlapping=sum(_overlapping(t) for t in times),
        beyond_end=sum(int((t[:, 1] > d + _TOLERANCE_S).sum()) for t, d in zip(times, durations, strict=True)),
    )


def _by_name(store: FeatureStore, labels: Sequence[int]) -> dict[str, int]:
    counts = np.bincount(np.asarray(labels, np.int64), minlength=len(store.class_names))
    return {name: int(n) for name, n in zip(store.class_names, counts, strict=True)}


def _covered(times: FloatArray, duration_s: float) -> float:
    """Seconds of the video that lie in some segment."""
    covered = reached = 0.0
    for start, end in sorted(map(tuple, times.tolist())):
        covered += max(0.0, min(end, duration_s) - max(start, reached))
        reached = max(reached, end)
    return covered


def _overlapping(times: FloatArray) -> int:
    tiou = tiou_matrix(times, times)
    np.fill_diagonal(tiou, 0.0)
    return int((tiou > 0).any(axis=1).sum())
