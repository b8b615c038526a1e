"""Detections and ground truth in one order, fit for matching; what is left out is counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from trainables.detections import Detections, FloatArray, GroundTruth, IntArray
from trainables.evaluation.checks import BoolArray, check_detections, check_ground_truth, refuse, within


@dataclass(frozen=True)
class Aligned:
    """Detections sorted by class, then falling score, beside the ground truth they are held against.

    Attributes:
        video_ids: of the ground truth, then unknown ones that are counted.
        video: (N,) index into ``video_ids``.
        segments_s: (N, 2) seconds.
        labels: (N,) ascending.
        scores: (N,) falling within a class.
        truth: its videos come first in ``video_ids``, so its indices hold.
        warnings: counts of what was left out or is ambiguous, without zeros.
    """

    video_ids: tuple[str, ...]
    video: IntArray
    segments_s: FloatArray
    labels: IntArray
    scores: FloatArray
    truth: GroundTruth
    warnings: Mapping[str, int]


def align(
    found: Detections,
    truth: GroundTruth,
    *,
    on_unknown_label: Literal["error", "drop"],
    on_unknown_video: Literal["error", "drop", "count"],
    on_reversed_segment: Literal["error", "miss", "swap"],
    ties_by_video_id: bool,
) -> Aligned:
    """Check both sides and bring them into one order.

    Args:
        found: N detections.
        truth: the ground truth.
        on_unknown_label: detections with a class id outside the classes.
        on_unknown_video: detections on videos that are not in the ground truth; counted ones are misses.
        on_reversed_segment: detections that end before they start; one that counts as a miss overlaps nothing.
        ties_by_video_id: equal scores of a class are ordered by video id first; otherwise as in the file alone.

    Raises:
        ValueError: arrays that do not fit each other, no annotated segment at all or one without length, a segment
            that ends before it starts, a score that is not finite, or (if told so) a label outside the classes or a
            video outside the ground truth; the first one is named.
    """
    check_ground_truth(truth)
    found, is_reversed = _settle_reversed(found, on_reversed_segment)
    check_detections(found)
    num_classes = len(truth.class_names)
    named = within(found.labels, num_classes)
    if on_unknown_label == "error":
        refuse(~named, "detections", f"has a label outside the {num_classes} classes; drop: on_unknown_label")
    ids, video, known = _align_videos(found, truth, on_unknown_video)
    empty = (found.segments_s[:, 1] == found.segments_s[:, 0]) & ~is_reversed  # a miss stays, without length
    kept = np.flatnonzero(known & named & ~empty)
    ties = _rank(ids)[video[kept]] if ties_by_video_id else np.zeros(len(kept), np.int64)
    order = kept[np.lexsort((ties, -found.scores[kept], found.labels[kept]))]
    aligned = Aligned(
        video_ids=ids,
        video=video[order],
        segments_s=found.segments_s[order],
        labels=found.labels[order],
        scores=found.scores[order],
        truth=truth,
        warnings={
            "unknown_label_detections_dropped": int((~named).sum()),
            "unknown_video_detections_dropped": int((~known & named).sum()),
            "empty_detections_dropped": int((empty & known & named).sum()),
            "reversed_detections": int((is_reversed & known & named).sum()),
        },
    )
    warnings = {**aligned.warnings, **_oddities(aligned)}
    return replace(aligned, warnings={name: count for name, count in warnings.items() if count})


def _settle_reversed(found: Detections, policy: Literal["error", "miss", "swap"]) -> tuple[Detections, BoolArray]:
    """Detections none of which ends before it starts, and (N,) which of them did."""
    segments = found.segments_s
    if policy == "error" or segments.ndim != 2 or segments.shape[1] != 2:  # the checks refuse these
        return found, np.zeros(len(segments), bool)
    is_reversed: BoolArray = segments[:, 1] < segments[:, 0]
    settled = (
        np.sort(segments, axis=1) if policy == "swap" else np.where(is_reversed[:, None], segments[:, :1], segments)
    )
    return replace(found, segments_s=settled), is_reversed


def _rank(video_ids: Sequence[str]) -> IntArray:
    """(V,) position of each id in sorted order."""
    rank = np.empty(len(video_ids), np.int64)
    rank[sorted(range(len(video_ids)), key=video_ids.__getitem__)] = np.arange(len(video_ids))
    return rank


def _align_videos(
    found: Detections, truth: GroundTruth, on_unknown_video: Literal["error", "drop", "count"]
) -> tuple[tuple[str, ...], IntArray, BoolArray]:
    """Video ids, each detection's index into them, and whether the detection takes part."""
    index = {video_id: i for i, video_id in enumerate(truth.video_ids)}
    ids = list(truth.video_ids)
    used = set(np.unique(found.video).tolist())
    unknown = [v for i, v in enumerate(found.video_ids) if v not in index and i in used]
    if unknown and on_unknown_video == "error":
        raise ValueError(
            f"detections: video '{unknown[0]}' is not in the ground truth ({len(unknown)} such videos); "
            "set on_unknown_video to drop or count"
        )
    if on_unknown_video == "count":
        for video_id in unknown:
            index[video_id] = len(ids)
            ids.append(video_id)
    position = np.asarray([index.get(v, -1) for v in found.video_ids], np.int64)
    video = position[found.video]
    return tuple(ids), video, video >= 0


def _oddities(aligned: Aligned) -> dict[str, int]:
    """Counts that a reader of the score should know; nothing is left out because of them."""
    num_videos = len(aligned.truth.video_ids)
    scored = np.bincount(aligned.video, minlength=num_videos) > 0
    present = np.bincount(aligned.truth.labels, minlength=len(aligned.truth.class_names)) > 0
    tied = (np.diff(aligned.scores) == 0) & (np.diff(aligned.labels) == 0)
    return {
        "tied_scores": int(tied.sum()),
        "unknown_video_detections_counted": int((aligned.video >= num_videos).sum()),
        "videos_without_detections": int((~scored[:num_videos]).sum()),
        "classes_without_ground_truth": int((~present).sum()),
        "detections_of_classes_without_ground_truth": int((~present[aligned.labels]).sum()),
    }
