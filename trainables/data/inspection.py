"""What is in a store: counts, durations, class balance, segment lengths, overlaps, per split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainables.data.store import SPLITS, FeatureStore

#: Edges of the segment-length histogram, seconds.
LENGTH_EDGES_S = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, float("inf"))


@dataclass(frozen=True)
class SplitSummary:
    """One split of a store.

    Attributes:
        split: train, select or test.
        videos: number of videos.
        segments: number of instances.
        hours: duration of all videos.
        action_share: part of the time covered by segments (overlaps counted once).
        per_class: instances by class name.
        lengths: instances by length, between ``LENGTH_EDGES_S``.
        overlapping: instances that overlap another one of their video.
        beyond_end: instances that end after their video.
    """

    split: str
    videos: int
    segments: int
    hours: float
    action_share: float
    per_class: dict[str, int]
    lengths: list[int]
    overlapping: int
    beyond_end: int


def summarise(store: FeatureStore) -> list[SplitSummary]:
    """A summary of every split."""
    by_video: dict[str, list[tuple[float, float, int]]] = {}
    for row in store.segments:
        if not row["ambiguous"]:
            by_video.setdefault(row["video_id"], []).append((row["start_s"], row["end_s"], row["label"]))
    return [_split(store, split, by_video) for split in SPLITS]


def _split(store: FeatureStore, split: str, by_video: dict[str, list[tuple[float, float, int]]]) -> SplitSummary:
    videos = [v for v in store.videos if v["split"] == split]
    segments = [s for v in videos for s in by_video.get(v["video_id"], [])]
    lengths = np.asarray([end - start for start, end, _ in segments])
    counts = np.bincount([label for _, _, label in segments], minlength=len(store.class_names))
    covered, overlapping, beyond = 0.0, 0, 0
    for video in videos:
        own = sorted(by_video.get(video["video_id"], []))
        reached = 0.0
        for i, (start, end, _) in enumerate(own):
            covered += max(0.0, min(end, video["duration_s"]) - max(start, reached))
            reached = max(reached, end)
            overlapping += any(start < e and s < end for j, (s, e, _) in enumerate(own) if j != i)
            beyond += end > video["duration_s"] + 1e-6
    duration = sum(v["duration_s"] for v in videos)
    return SplitSummary(
        split=split,
        videos=len(videos),
        segments=len(segments),
        hours=duration / 3600,
        action_share=covered / duration if duration else 0.0,
        per_class={name: int(n) for name, n in zip(store.class_names, counts, strict=True)},
        lengths=np.histogram(lengths, LENGTH_EDGES_S)[0].tolist(),
        overlapping=overlapping,
        beyond_end=beyond,
    )
