"""What every detection mAP shares: matching once, means over classes and thresholds.

A protocol is a subclass that says who picks whom (:meth:`DetectionMap._outcomes`) and which AP it means.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from trainables.config import param
from trainables.detections import Detections, FloatArray, GroundTruth
from trainables.evaluation.checks import check_same_names
from trainables.evaluation.detection.alignment import Aligned, align
from trainables.evaluation.detection.groups import Groups, PairedTiou, make_groups
from trainables.evaluation.exclusion import without_videos
from trainables.evaluation.precision.average_precision import class_ap, mean_over_classes
from trainables.evaluation.precision.matches import Matches, Outcomes
from trainables.evaluation.precision.ranking import RankingProtocol
from trainables.evaluation.protocol import Takes

#: ActivityNet's grid, bit for bit: its ninth value is 0.8999999999999999.
ACTIVITYNET_GRID = tuple(float(t) for t in np.linspace(0.5, 0.95, 10))


@dataclass(frozen=True)
class DetectionMap(RankingProtocol):
    """Base of the protocols that match detections to segments; classes without ground truth stay out of the mean."""

    takes: ClassVar[Takes] = "detections"
    #: equal scores: by video id before the order of the file.
    ties_by_video_id: ClassVar[bool] = False

    tiou_thresholds: tuple[float, ...] = param(
        ACTIVITYNET_GRID, "tIoU thresholds of the mean", source="activitynet/ActivityNet:Evaluation/eval_detection.py"
    )
    on_unknown_label: Literal["error", "drop"] = param(
        "error", "detections with a class id outside the classes: refuse, or leave out and count"
    )
    on_unknown_video: Literal["error", "drop", "count"] = param(
        "error", "detections on videos that are not in the ground truth: refuse, leave out, or count as misses"
    )
    on_reversed_segment: Literal["error", "miss", "swap"] = param(
        "error", "detections that end before they start: refuse, count as misses, or exchange the two times"
    )
    exclude_videos: tuple[str, ...] = param(
        (), "videos left out of both sides, for instance ActivityNet's blocked ones; their number and digest are kept"
    )

    def __post_init__(self) -> None:
        if not self.tiou_thresholds or not all(0 < t <= 1 for t in self.tiou_thresholds):
            raise ValueError(f"tiou_thresholds: {self.tiou_thresholds} must be one or more values in (0, 1]")
        if len(set(self.metric_names())) <= len(self.tiou_thresholds):
            raise ValueError(f"tiou_thresholds: {self.tiou_thresholds} must differ in the first two decimals")
        self._check_choice("on_unknown_label", ("error", "drop"))
        self._check_choice("on_unknown_video", ("error", "drop", "count"))
        self._check_choice("on_reversed_segment", ("error", "miss", "swap"))

    @property
    def _thresholds(self) -> tuple[float, ...]:
        return self.tiou_thresholds

    def metric_names(self) -> tuple[str, ...]:
        """``map_tiou_x.xx`` per threshold, then ``avg_map``."""
        return (*(f"map_tiou_{t:.2f}" for t in self.tiou_thresholds), "avg_map")

    def match(self, found: Detections, truth: GroundTruth) -> Matches:
        """Match once; every score and resampling works from the result.

        Raises:
            ValueError: detections or ground truth that cannot be scored; the first bad row is named.
        """
        aligned, left_out = self.aligned(found, truth)
        truth = aligned.truth
        num_gt = np.zeros((len(aligned.video_ids), len(truth.class_names)), np.int64)
        np.add.at(num_gt, (truth.video, truth.labels), 1)
        return Matches(
            protocol=self._identity,
            tiou_thresholds=self.tiou_thresholds,
            class_names=truth.class_names,
            video_ids=aligned.video_ids,
            label=aligned.labels,
            video=aligned.video,
            score=aligned.scores,
            outcome=self._outcomes(aligned),
            num_gt=num_gt,
            warnings={**left_out, **aligned.warnings},
        )

    def aligned(self, found: Detections, truth: GroundTruth) -> tuple[Aligned, dict[str, int]]:
        """Both sides as the protocol takes them, and counts of what was left out before they were aligned."""
        check_same_names(found, truth)
        found, truth, excluded = without_videos(found, truth, self.exclude_videos)
        truth, cleaned = self._clean(truth)
        aligned = align(
            found,
            truth,
            on_unknown_label=self.on_unknown_label,
            on_unknown_video=self.on_unknown_video,
            on_reversed_segment=self.on_reversed_segment,
            ties_by_video_id=self.ties_by_video_id,
        )
        return aligned, {**excluded, **cleaned}

    def _clean(self, truth: GroundTruth) -> tuple[GroundTruth, dict[str, int]]:
        """Ground truth as the protocol takes it, and counts of what it leaves out."""
        return truth, {}

    @abstractmethod
    def _outcomes(self, aligned: Aligned) -> Outcomes:
        """(N, H) outcome of every detection at every threshold."""

    def _resample(self, matches: Matches, weights: FloatArray) -> FloatArray:
        return _with_mean(mean_over_classes(class_ap(matches, weights, self.rule)))

    def _class_values(self, matches: Matches) -> FloatArray:
        return _with_mean(super()._class_values(matches))


def _with_mean(by_threshold: FloatArray) -> FloatArray:
    """(n, H) -> (n, H + 1): the mean over the thresholds last."""
    return np.concatenate([by_threshold, by_threshold.mean(axis=1, keepdims=True)], axis=1)


def groups_of(aligned: Aligned, *, least_tiou: float, paired_tiou: PairedTiou) -> list[Groups]:
    """Detections and segments that share video and class."""
    num_classes = len(aligned.truth.class_names)
    return make_groups(
        aligned.video * num_classes + aligned.labels,
        aligned.segments_s,
        aligned.truth.video * num_classes + aligned.truth.labels,
        aligned.truth.segments_s,
        least_tiou=least_tiou,
        paired_tiou=paired_tiou,
    )
