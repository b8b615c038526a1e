"""Which annotated segment every detection takes under ActivityNet's rule: all three analyses start from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from trainables.detections import Detections, GroundTruth, IntArray
from trainables.evaluation.checks import BoolArray
from trainables.evaluation.detection.alignment import Aligned
from trainables.evaluation.detection.detection_map import groups_of
from trainables.evaluation.detection.groups import detections_choose_segments
from trainables.evaluation.detection.protocols import ActivityNet
from trainables.segments import paired_tiou


@dataclass(frozen=True)
class Assignment:
    """Detections and the segments they take.

    Letters: N detections, P annotated segments, H tIoU thresholds, K classes.

    Attributes:
        aligned: detections by class, falling score within a class, and the ground truth as the protocol takes it.
        tiou_thresholds: H values.
        segment: (N, H) row of the ground truth a detection takes at a threshold; -1 = a false positive.
        warnings: what was left out or is ambiguous, counted.
    """

    aligned: Aligned
    tiou_thresholds: tuple[float, ...]
    segment: IntArray
    warnings: Mapping[str, int]

    @property
    def truth(self) -> GroundTruth:
        """The ground truth as the protocol takes it."""
        return self.aligned.truth

    @property
    def hits(self) -> BoolArray:
        """(N, H) true positives."""
        return self.segment >= 0

    @property
    def num_gt(self) -> IntArray:
        """(K,) annotated segments of each class."""
        return np.bincount(self.truth.labels, minlength=len(self.truth.class_names))

    @property
    def mean_gt(self) -> float:
        """DETAD's N: annotated segments per class, over the classes that have any."""
        return len(self.truth.labels) / int((self.num_gt > 0).sum())

    @property
    def class_first(self) -> IntArray:
        """(K + 1,) first detection of each class, then N."""
        return np.searchsorted(self.aligned.labels, np.arange(len(self.truth.class_names) + 1))


def assign(found: Detections, truth: GroundTruth, protocol: ActivityNet) -> Assignment:
    """Match as the protocol does, and keep what was taken.

    Args:
        found: the detections.
        truth: the ground truth.
        protocol: ActivityNet's or one with its matching: thresholds, what it leaves out of either side.

    Raises:
        ValueError: detections or ground truth that cannot be scored; the first bad row is named.
    """
    aligned, left_out = protocol.aligned(found, truth)
    truth = aligned.truth
    thresholds = np.asarray(protocol.tiou_thresholds)
    num_classes = len(truth.class_names)
    det_key = aligned.video * num_classes + aligned.labels
    gt_key = truth.video * num_classes + truth.labels
    gt_order = np.argsort(gt_key, kind="stable")  # the file's order within a video and class, as in the groups
    gt_sorted = gt_key[gt_order]
    segment = np.full((len(aligned.labels), len(thresholds)), -1, np.int64)
    for groups in groups_of(aligned, least_tiou=float(thresholds.min()), paired_tiou=paired_tiou):
        detection, threshold, place = detections_choose_segments(groups, thresholds)
        segment[detection, threshold] = gt_order[np.searchsorted(gt_sorted, det_key[detection]) + place]
    return Assignment(aligned, protocol.tiou_thresholds, segment, {**left_out, **aligned.warnings})
