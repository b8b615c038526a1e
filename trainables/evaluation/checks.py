"""Ground truth and detections that cannot be scored are refused: one error that names the row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from trainables.detections import Detections, FloatArray, GroundTruth, IntArray
from trainables.segments import check_segments

BoolArray = npt.NDArray[np.bool_]


def check_ground_truth(truth: GroundTruth) -> None:
    """Refuse ground truth that cannot be scored against.

    Raises:
        ValueError: arrays that do not fit each other, a repeated video, no segment at all or one without length, a
            segment that ends before it starts, an index out of range; the first bad row is named.
    """
    what, num_videos = "ground truth", len(truth.video_ids)
    check_segments(truth.segments_s, what=what)
    check_segments(truth.ambiguous_s, what=f"{what}, ambiguous segments")
    _refuse_lengths(what, len(truth.segments_s), video=truth.video, labels=truth.labels)
    _refuse_lengths(f"{what}, ambiguous segments", len(truth.ambiguous_s), ambiguous_video=truth.ambiguous_video)
    _refuse_repeated(what, truth.video_ids)
    if not len(truth.segments_s):
        raise ValueError(f"{what}: no segment in any of its {num_videos} videos; there is nothing to score against")
    refuse(truth.segments_s[:, 1] == truth.segments_s[:, 0], what, "has no length")
    num_classes = len(truth.class_names)
    refuse(~within(truth.labels, num_classes), what, f"has a label outside the {num_classes} classes")
    refuse(~within(truth.video, num_videos), what, f"has a video outside the {num_videos} videos")
    refuse(~within(truth.ambiguous_video, num_videos), f"{what}, ambiguous segments", "has a video outside the videos")


def check_detections(found: Detections) -> None:
    """Refuse detections that cannot be ranked or matched; labels are left to the protocol.

    Raises:
        ValueError: arrays that do not fit each other, a repeated video, a segment that ends before it starts, a score
            that is not finite, an index out of range; the first bad row is named.
    """
    what, num_videos = "detections", len(found.video_ids)
    check_segments(found.segments_s, what=what)
    _refuse_lengths(what, len(found.segments_s), video=found.video, labels=found.labels, scores=found.scores)
    _refuse_repeated(what, found.video_ids)
    refuse(~np.isfinite(found.scores), what, "has a score that is not finite")
    refuse(~within(found.video, num_videos), what, f"has a video outside the {num_videos} videos")


def check_same_names(found: Detections, truth: GroundTruth) -> None:
    """Refuse detections none of which is on a video, or none of a class, of the ground truth: no score of 0.

    Raises:
        ValueError: names one id of each side.
    """
    if not len(found.labels):
        return
    used = [found.video_ids[v] for v in np.unique(found.video[within(found.video, len(found.video_ids))])]
    if used and not set(used) & set(truth.video_ids):
        raise ValueError(
            f"detections: none of the {len(used)} videos is in the ground truth; are the video ids of one kind "
            f"('{used[0]}' and '{truth.video_ids[0]}')?"
        )
    if not within(found.labels, len(truth.class_names)).any():
        raise ValueError(
            f"detections: no label is one of the {len(truth.class_names)} classes; are the class names of one kind?"
        )


def within(index: IntArray, size: int) -> BoolArray:
    """Whether each index is in [0, size)."""
    inside: BoolArray = (index >= 0) & (index < size)
    return inside


def refuse(bad: BoolArray, what: str, why: str) -> None:
    """Raise a ``ValueError`` naming the first bad row, if there is one."""
    if bad.any():
        raise ValueError(f"{what}: row {int(np.flatnonzero(bad)[0])} {why}; {int(bad.sum())} such rows")


def _refuse_lengths(what: str, expected: int, **arrays: IntArray | FloatArray) -> None:
    for name, values in arrays.items():
        if values.shape != (expected,):
            raise ValueError(f"{what}: {name} has shape {values.shape}, there are {expected} segments")


def _refuse_repeated(what: str, video_ids: Sequence[str]) -> None:
    repeated = [video_id for video_id, count in Counter(video_ids).items() if count > 1]
    if repeated:
        raise ValueError(f"{what}: video '{repeated[0]}' is listed more than once ({len(repeated)} such videos)")
