"""Detection mAP by name: five public evaluators that give five numbers on the same detections.

They differ in who picks whom, in the comparison with the threshold, in AP, in ambiguous segments and in what they
leave out of the ground truth (0.833 and 0.583 on a toy case). Another protocol is a sibling class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from trainables.config import param
from trainables.detections import Detections, FloatArray, GroundTruth, IntArray
from trainables.evaluation.checks import BoolArray
from trainables.evaluation.detection.alignment import Aligned
from trainables.evaluation.detection.deduplication import without_near_duplicates
from trainables.evaluation.detection.detection_map import DetectionMap, groups_of
from trainables.evaluation.detection.groups import (
    Groups,
    PairedTiou,
    detections_choose,
    detections_take_first,
    segments_choose,
)
from trainables.evaluation.detection.recall import recall_at_multiples
from trainables.evaluation.exclusion import keep_videos
from trainables.evaluation.precision.average_precision import Rule
from trainables.evaluation.precision.matches import FALSE_POSITIVE, IGNORED, TRUE_POSITIVE, Outcomes
from trainables.segments import paired_tiou

THUMOS14_GRID = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)

#: Test videos with wrong annotations, or with ambiguous segments only, that G-TAD's ground truth lacks.
THUMOS14_LEFT_OUT = ("video_test_0000270", "video_test_0001292", "video_test_0001496")

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
class Afsd(ActivityNet):
    """ActivityNet's algorithm on THUMOS'14 as G-TAD and AFSD use it: 210 test videos, outsiders dropped.

    Source: TencentYoutuResearch/ActionDetection-AFSD:AFSD/evaluation. Videos without any instance take no part, nor do
    detections on them (G-TAD's copy counts those as misses: ``on_unknown_video: count``).
    """

    key: ClassVar[str] = "afsd"
    metrics_doc: ClassVar[str] = (
        "activitynet's mAP without the test videos 270, 1292 and 1496; detections on other videos or labels are dropped"
    )

    tiou_thresholds: tuple[float, ...] = param(
        (0.3, 0.4, 0.5, 0.6, 0.7), "tIoU thresholds of the mean", source="AFSD Sec. 4.1 (CVPR 2021)"
    )
    on_unknown_label: Literal["error", "drop"] = param(
        "drop", "detections with a class id outside the classes: refuse, or leave out and count"
    )
    on_unknown_video: Literal["error", "drop", "count"] = param(
        "drop", "detections on videos without ground truth: refuse, leave out, or count as misses"
    )
    exclude_videos: tuple[str, ...] = param(
        THUMOS14_LEFT_OUT, "videos left out of both sides", source="frostinassiky/gtad:evaluation/thumos_gt.json"
    )

    def _clean(self, truth: GroundTruth) -> tuple[GroundTruth, dict[str, int]]:
        annotated = np.bincount(truth.video, minlength=len(truth.video_ids)) > 0
        bare = int((~annotated).sum())
        return keep_videos(truth, annotated), {"videos_without_instances_left_out": bare} if bare else {}


@dataclass(frozen=True)
class OpenTad(ActivityNet):
    """ActivityNet's algorithm as OpenTAD and ActionFormer use it: near-duplicate instances count once.

    Source: sming256/OpenTAD:opentad/evaluations/mAP.py, happyharrycn/actionformer_release:libs/utils/metrics.py.
    Unknown labels are dropped (there: mapped to a spare index), other videos are misses.
    """

    key: ClassVar[str] = "opentad"
    metrics_doc: ClassVar[str] = "activitynet's mAP after removing instances within 1 ms of an earlier one"

    tiou_thresholds: tuple[float, ...] = param(
        (0.3, 0.4, 0.5, 0.6, 0.7),
        "tIoU thresholds of the mean",
        source="sming256/OpenTAD:configs/_base_/datasets/thumos-14",
    )
    on_unknown_label: Literal["error", "drop"] = param(
        "drop", "detections with a class id outside the classes: refuse, or leave out and count"
    )
    on_unknown_video: Literal["error", "drop", "count"] = param(
        "count", "detections on videos that are not in the ground truth: refuse, leave out, or count as misses"
    )

    recall_multiples: tuple[int, ...] = param(
        (1, 5),
        "recall of the best k * n detections of a class and video with n instances is given for these k",
        source="sming256/OpenTAD:opentad/evaluations/mAP.py, top_k",
    )

    def extras(self, found: Detections, truth: GroundTruth) -> dict[str, float]:
        """``recall_<k>x_tiou_x.xx``: mean over classes of the recall of the best k * n detections."""
        recall = recall_at_multiples(self.aligned(found, truth)[0], self.recall_multiples, self.tiou_thresholds)
        return {
            f"recall_{multiple}x_tiou_{threshold:.2f}": float(recall[i, h])
            for i, multiple in enumerate(self.recall_multiples)
            for h, threshold in enumerate(self.tiou_thresholds)
        }

    def _clean(self, truth: GroundTruth) -> tuple[GroundTruth, dict[str, int]]:
        return without_near_duplicates(truth, tolerance_s=1e-3)


@dataclass(frozen=True)
class Thumos14Official(DetectionMap):
    """The THUMOS'14 toolkit: the segment picks, tIoU > threshold, plain AP, ambiguous segments excuse misses.

    Source: THUMOS14_evalkit_20150930, TH14evalDet.m and intervaloverlapvalseconds.m. Differs: segments that end
    before they start are refused unless ``on_reversed_segment`` is "swap" (there: always); detections without length
    are left out and counted.
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


@dataclass(frozen=True)
class Wtalc(DetectionMap):
    """The evaluator of the W-TALC line of weakly supervised papers: whole snippets, first instance that fits.

    Source: sujoyp/wtalc-pytorch:detectionMAP.py. Times become ``round(t * 25 / 16)`` snippets; a detection takes the
    first free instance of the file with tIoU >= threshold; detections that share a snippet with an ambiguous segment
    are deleted beforehand, true ones as well; plain AP. Only for comparing with those papers. Differs: a class without
    detections has AP 0 (there: the whole mAP is 0).
    """

    key: ClassVar[str] = "wtalc"
    version: ClassVar[str] = "1"
    metrics_doc: ClassVar[str] = (
        "mean over classes of plain AP on whole snippets; the detection takes the first instance that fits"
    )
    rule: ClassVar[Rule] = "plain"

    tiou_thresholds: tuple[float, ...] = param(
        (0.1, 0.2, 0.3, 0.4, 0.5), "tIoU thresholds of the mean", source="sujoyp/wtalc-pytorch:detectionMAP.py"
    )
    snippets_per_second: float = param(
        25 / 16,
        "snippets per second that times are rounded to",
        bounds=(1e-9, None),
        source="sujoyp/wtalc-pytorch:detectionMAP.py, I3D features",
    )

    def _outcomes(self, aligned: Aligned) -> Outcomes:
        snippets = self._in_snippets(aligned)
        deleted = _touches_ambiguous(snippets)
        left = np.flatnonzero(~deleted)
        outcome = np.full((len(deleted), len(self.tiou_thresholds)), IGNORED, np.int8)
        kept = replace(
            snippets,
            video=snippets.video[left],
            segments_s=snippets.segments_s[left],
            labels=snippets.labels[left],
            scores=snippets.scores[left],
        )
        outcome[left] = _marks(kept, self.tiou_thresholds, detections_take_first, paired_tiou)
        return outcome

    def _in_snippets(self, aligned: Aligned) -> Aligned:
        """Every time as a whole number of snippets."""
        truth, rate = aligned.truth, self.snippets_per_second
        snapped = replace(
            truth, segments_s=np.rint(truth.segments_s * rate), ambiguous_s=np.rint(truth.ambiguous_s * rate)
        )
        return replace(aligned, segments_s=np.rint(aligned.segments_s * rate), truth=snapped)


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
