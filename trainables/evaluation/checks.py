"""Detections and ground truth made fit for matching: refused or counted, never silently worse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from trainables.detections import Detections, FloatArray, GroundTruth, IntArray
from trainables.segments import check_segments


@dataclass(frozen=True)
class Checked:
    """Detections sorted by class, then falling score (stable); every index refers to ``video_ids``.

    Attributes:
        video_ids: of the ground truth, then unknown ones that are counted.
        num_classes: K.
        label: (N,).
        video: (N,).
        segments_s: (N, 2) seconds.
        score: (N,).
        gt_video: (P,).
        gt_label: (P,).
        gt_segments_s: (P, 2) seconds.
        ambiguous_video: (A,).
        ambiguous_s: (A, 2) seconds.
        warnings: counts of what was left out or is ambiguous.
    """

    video_ids: tuple[str, ...]
    num_classes: int
    label: IntArray
    video: IntArray
    segments_s: FloatArray
    score: FloatArray
    gt_video: IntArray
    gt_label: IntArray
    gt_segments_s: FloatArray
    ambiguous_video: IntArray
    ambiguous_s: FloatArray
    warnings: Mapping[str, int]


def check_inputs(found: Detections, truth: GroundTruth, on_unknown_video: Literal["error", "drop", "count"]) -> Checked:
    """Check both sides and bring them into one order.

    Raises:
        ValueError: a segment that ends before it starts, an annotated segment without length, a score that is not
            finite, a label outside the classes, or a video outside the ground truth; the first one is named.
    """
    check_segments(truth.segments_s, what="ground truth")
    check_segments(found.segments_s, what="detections")
    _refuse(truth.segments_s[:, 1] == truth.segments_s[:, 0], "ground truth", "has no length")
    _refuse(~np.isfinite(found.scores), "detections", "has a score that is not finite")
    for labels, what in ((truth.labels, "ground truth"), (found.labels, "detections")):
        outside = (labels < 0) | (labels >= len(truth.class_names))
        _refuse(outside, what, f"has a label outside the {len(truth.class_names)} classes")
    ids, video, known = _align_videos(found, truth, on_unknown_video)
    empty = found.segments_s[:, 1] == found.segments_s[:, 0]
    kept = np.flatnonzero(known & ~empty)
    order = kept[np.lexsort((-found.scores[kept], found.labels[kept]))]
    label, score = found.labels[order], found.scores[order]
    tied = int(((np.diff(score) == 0) & (np.diff(label) == 0)).sum())
    warnings = {
        "tied_scores": tied,
        "empty_detections_dropped": int((empty & known).sum()),
        "unknown_video_detections_dropped": int((~known).sum()),
        "videos_without_detections": len(truth.video_ids)
        - len(np.unique(video[kept][video[kept] < len(truth.video_ids)])),
    }
    return Checked(
        video_ids=ids,
        num_classes=len(truth.class_names),
        label=label,
        video=video[order],
        segments_s=found.segments_s[order],
        score=score,
        gt_video=truth.video,
        gt_label=truth.labels,
        gt_segments_s=truth.segments_s,
        ambiguous_video=truth.ambiguous_video,
        ambiguous_s=truth.ambiguous_s,
        warnings={name: count for name, count in warnings.items() if count},
    )


def _refuse(bad: np.ndarray[tuple[int], np.dtype[np.bool_]], what: str, why: str) -> None:
    if bad.any():
        raise ValueError(f"{what}: row {int(np.flatnonzero(bad)[0])} {why}; {int(bad.sum())} such rows")


def _align_videos(
    found: Detections, truth: GroundTruth, on_unknown_video: str
) -> tuple[tuple[str, ...], IntArray, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
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
    video = position[found.video] if len(position) else np.zeros(0, np.int64)
    return tuple(ids), video, video >= 0
