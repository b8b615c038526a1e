"""Detection mAP by name: ActivityNet's protocol and the THUMOS'14 challenge toolkit's.

The two differ in who picks whom, in the comparison with the threshold, in AP and in ambiguous segments; the same
detections score differently (0.833 and 0.583 on a toy case). Another protocol is a sibling class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from trainables.config import param
from trainables.detections import FloatArray, IntArray
from trainables.evaluation.alignment import Aligned
from trainables.evaluation.average_precision import Rule
from trainables.evaluation.checks import BoolArray
from trainables.evaluation.detection_map import DetectionMap, groups_of
from trainables.evaluation.groups import Groups, PairedTiou, detections_choose, segments_choose
from trainables.evaluation.matches import FALSE_POSITIVE, IGNORED, TRUE_POSITIVE, Outcomes
from trainables.segments import paired_tiou

THUMOS14_GRID = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)

Chooser = Callable[[Groups, FloatArray], tuple[IntArray, IntArray]]


@dataclass(frozen=True)
class ActivityNet(DetectionMap):
    """ActivityNet detection mAP: the detection picks, tIoU >= threshold, interpolated AP.

    Source: activitynet/ActivityNet:Evaluation/eval_detection.py. Differs: equal scores keep the order of the file
    (the official order depends on NumPy's build) and are counted; detections without length are left out and
    counted (officially misses).
    """

    key: ClassVar[str] = "activitynet"
    version: ClassVar[str] = "1"
    metrics_doc: ClassVar[str] = "mean over classes of interpolated AP; the detection picks, tIoU >= threshold"
    rule: ClassVar[Rule] = "interpolated"

    def _outcomes(self, aligned: Aligned) -> Outcomes:
        return _marks(aligned, self.tiou_thresholds, detections_choose, paired_tiou)


@dataclass(frozen=True)
class Thumos14Official(DetectionMap):
    """The THUMOS'14 toolkit: the segment picks, tIoU > threshold, plain AP, ambiguous segments excuse misses.

    Source: THUMOS14_evalkit_20150930, TH14evalDet.m and intervaloverlapvalseconds.m. Differs: segments that end
    before they start are refused (there: swapped); detections without length are left out and counted.
    """

    key: ClassVar[str] = "thumos14_official"
    version: ClassVar[str] = "1"
    metrics_doc: ClassVar[str] = (
        "mean over classes of plain AP; the segment picks, tIoU > threshold, ambiguous segments excuse misses"
    )
    rule: ClassVar[Rule] = "plain"
    ties_by_video_id: ClassVar[bool] = True  # the toolkit goes through sorted video names

    tiou_thresholds: tuple[float, ...] = param(
        THUMOS14_GRID, "tIoU thresholds of the mean", source="THUMOS'14 challenge; 0.6 and 0.7 by later papers"
    )

    def _outcomes(self, aligned: Aligned) -> Outcomes:
        outcome = _marks(aligned, self.tiou_thresholds, segments_choose, _hull_tiou)
        excused = _touches_ambiguous(aligned)
        outcome[excused[:, None] & (outcome == FALSE_POSITIVE)] = IGNORED
        return outcome


def _marks(aligned: Aligned, thresholds: tuple[float, ...], chooser: Chooser, overlap: PairedTiou) -> Outcomes:
    """(N, H) true and false positives."""
    outcome = np.full((len(aligned.labels), len(thresholds)), FALSE_POSITIVE, np.int8)
    for groups in groups_of(aligned, least_tiou=min(thresholds), paired_tiou=overlap):
        detection, threshold = chooser(groups, np.asarray(thresholds))
        outcome[detection, threshold] = TRUE_POSITIVE
    return outcome


def _hull_tiou(a: FloatArray, b: FloatArray) -> FloatArray:
    """(n,) tIoU with the hull as union, as the toolkit computes it.

    The two agree but for the last bit, which decides where the tIoU is a threshold: annotations are in tenths of a
    second, so that happens.
    """
    inter = np.minimum(a[:, 1], b[:, 1]) - np.maximum(a[:, 0], b[:, 0])
    hull = np.maximum(a[:, 1], b[:, 1]) - np.minimum(a[:, 0], b[:, 0])
    result: FloatArray = np.divide(inter, hull, out=np.zeros_like(hull), where=inter > 0)
    return result


def _touches_ambiguous(aligned: Aligned) -> BoolArray:
    """(N,) whether a detection overlaps any ambiguous segment of its video."""
    touches = np.zeros(len(aligned.labels), bool)
    truth = aligned.truth
    for video, segment in zip(truth.ambiguous_video, truth.ambiguous_s, strict=True):
        rows = np.flatnonzero(aligned.video == video)
        touches[rows] |= paired_tiou(aligned.segments_s[rows], segment) > 0
    return touches
