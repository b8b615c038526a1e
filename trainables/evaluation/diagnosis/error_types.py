"""What kind of error each false positive is.

The annotated segment with the largest tIoU decides, whatever its class (alpha = the tIoU threshold, beta = 0.1):

| largest tIoU | segment of the detection's class | of another class |
|---|---|---|
| >= alpha | double detection | wrong label |
| >= beta | localisation error | confusion error |
| < beta | background error | background error |

A true positive is none of them. Source: Alwassel et al. 2018; HumamAlwassel/DETAD:
src/action_detector_diagnosis.py, ``analyze_fp_error_types``. Differs: among equal tIoU a segment of the detection's
own class decides (there: the first of the file), so that a second detection of an event annotated twice under two
names, as THUMOS'14 does with every CliffDiving, is a double detection in whatever order the names are listed; and on
a video without annotation every detection is a background error (there: from the second on, judged by another video).
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt

from trainables.detections import FloatArray, IntArray
from trainables.evaluation.detection.alignment import Aligned
from trainables.evaluation.detection.groups import pair_up
from trainables.evaluation.diagnosis.assignment import Assignment
from trainables.segments import paired_tiou

ErrorCodes = npt.NDArray[np.int8]

#: DETAD's beta: least tIoU with any segment for a detection not to be a background error.
BACKGROUND_TIOU = 0.1

#: Pairs of a detection and a segment of its video held at once.
_CHUNK = 1 << 22


class ErrorType(IntEnum):
    """DETAD's codes."""

    TRUE_POSITIVE = 0
    DOUBLE_DETECTION = 1
    WRONG_LABEL = 2
    LOCALISATION = 3
    CONFUSION = 4
    BACKGROUND = 5


def error_types(made: Assignment, rows: IntArray, *, background_tiou: float = BACKGROUND_TIOU) -> ErrorCodes:
    """Type of some detections at every threshold.

    Args:
        made: the assignment.
        rows: (n,) detections.
        background_tiou: beta.

    Returns:
        (n, H) codes of :class:`ErrorType`.

    Raises:
        ValueError: beta is not in (0, smallest threshold].
    """
    alpha = np.asarray(made.tiou_thresholds)
    if not 0 < background_tiou <= alpha.min():
        raise ValueError(
            f"background_tiou: {background_tiou} must be positive and at most the smallest tIoU threshold {alpha.min()}"
        )
    own, other = best_overlaps(made.aligned, rows)
    right_class = (own >= other)[:, None]
    largest = np.maximum(own, other)[:, None]
    near = np.where(right_class, ErrorType.DOUBLE_DETECTION, ErrorType.WRONG_LABEL)
    loose = np.where(right_class, ErrorType.LOCALISATION, ErrorType.CONFUSION)
    false = np.where(largest >= alpha, near, np.where(largest >= background_tiou, loose, ErrorType.BACKGROUND))
    return np.where(made.hits[rows], ErrorType.TRUE_POSITIVE, false).astype(np.int8)


def best_overlaps(aligned: Aligned, rows: IntArray) -> tuple[FloatArray, FloatArray]:
    """Largest tIoU of some detections with the segments of their video.

    Args:
        aligned: detections and ground truth.
        rows: (n,) detections.

    Returns:
        (n,) over the segments of the detection's class and (n,) over those of other classes; 0 where there is none.
    """
    truth, video = aligned.truth, aligned.video[rows]
    num_pairs = np.bincount(truth.video, minlength=len(aligned.video_ids))[video]
    part = np.cumsum(num_pairs) // _CHUNK
    own, other = np.zeros(len(rows)), np.zeros(len(rows))
    for chunk in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(part)) + 1):
        pairs = pair_up(video[chunk], truth.video)
        place = chunk[pairs.detection]
        tiou = paired_tiou(aligned.segments_s[rows[place]], truth.segments_s[pairs.segment])
        same = aligned.labels[rows[place]] == truth.labels[pairs.segment]
        np.maximum.at(own, place[same], tiou[same])
        np.maximum.at(other, place[~same], tiou[~same])
    return own, other
