"""Videos left out of the scoring, on both sides."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from trainables.detections import Detections, GroundTruth, IntArray
from trainables.evaluation.checks import BoolArray, refuse, within


def without_videos(
    found: Detections, truth: GroundTruth, excluded: Collection[str]
) -> tuple[Detections, GroundTruth, dict[str, int]]:
    """Both sides without some videos; ids that neither side has are no error.

    Args:
        found: detections.
        truth: ground truth.
        excluded: ids, for instance of videos that are no longer available.

    Returns:
        Detections, ground truth, and how many videos and detections went (without zeros).
    """
    gone = set(excluded)
    if not gone:
        return found, truth, {}
    refuse(~within(found.video, len(found.video_ids)), "detections", "has a video outside the listed ones")
    keep = np.asarray([v not in gone for v in found.video_ids], bool)
    rows = keep[found.video]
    counts = {
        "excluded_videos": len(gone & set(truth.video_ids)),
        "excluded_video_detections": int((~rows).sum()),
    }
    left = Detections(
        video_ids=tuple(v for v, kept in zip(found.video_ids, keep, strict=True) if kept),
        video=_renumber(keep)[found.video[rows]],
        segments_s=found.segments_s[rows],
        labels=found.labels[rows],
        scores=found.scores[rows],
    )
    kept_truth = keep_videos(truth, np.asarray([v not in gone for v in truth.video_ids], bool))
    return left, kept_truth, {name: count for name, count in counts.items() if count}


def keep_videos(truth: GroundTruth, keep: BoolArray) -> GroundTruth:
    """Ground truth of some of its videos.

    Args:
        truth: V videos.
        keep: (V,) True = stays.
    """
    for index in (truth.video, truth.ambiguous_video):
        refuse(~within(index, len(keep)), "ground truth", f"has a video outside the {len(keep)} videos")
    number, rows, ambiguous = _renumber(keep), keep[truth.video], keep[truth.ambiguous_video]
    return replace(
        truth,
        video_ids=tuple(v for v, kept in zip(truth.video_ids, keep, strict=True) if kept),
        video=number[truth.video[rows]],
        segments_s=truth.segments_s[rows],
        labels=truth.labels[rows],
        ambiguous_video=number[truth.ambiguous_video[ambiguous]],
        ambiguous_s=truth.ambiguous_s[ambiguous],
    )


def _renumber(keep: BoolArray) -> IntArray:
    """New index of every kept item."""
    number: IntArray = np.cumsum(keep, dtype=np.int64) - 1
    return number
