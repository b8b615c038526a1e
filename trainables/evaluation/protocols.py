"""Detection mAP by name: ActivityNet's protocol and the THUMOS'14 challenge toolkit's.

The two differ in who picks whom, in the comparison with the threshold, in AP and in ambiguous segments; the same
detections score differently (0.833 and 0.583 on a toy case). Add a sibling class for another protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from trainables.config import param
from trainables.detections import Detections, FloatArray, GroundTruth, IntArray
from trainables.evaluation.average_precision import Rule, class_ap, mean_over_classes
from trainables.evaluation.checks import Checked, check_inputs
from trainables.evaluation.groups import Groups, detections_choose, make_groups, segments_choose
from trainables.evaluation.matches import FALSE_POSITIVE, IGNORED, TRUE_POSITIVE, Matches, load_matches
from trainables.segments import paired_tiou

#: The official grid, bit for bit: its ninth value is 0.8999999999999999.
ACTIVITYNET_GRID = tuple(float(t) for t in np.linspace(0.5, 0.95, 10))
THUMOS14_GRID = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)

Chooser = Callable[[Groups, FloatArray], tuple[IntArray, IntArray]]


def _metric_names(thresholds: Sequence[float]) -> tuple[str, ...]:
    return (*(f"map_tiou_{t:.2f}" for t in thresholds), "avg_map")


@dataclass(frozen=True)
class _DetectionMap:
    """What every detection mAP shares."""

    key: ClassVar[str]
    version: ClassVar[str]
    _rule: ClassVar[Rule]

    tiou_thresholds: tuple[float, ...] = param(
        ACTIVITYNET_GRID, "tIoU thresholds of the mean", source="activitynet/ActivityNet:Evaluation/eval_detection.py"
    )
    on_unknown_video: Literal["error", "drop", "count"] = param(
        "error", "detections on videos that are not in the ground truth: refuse, leave out, or count as misses"
    )

    def __post_init__(self) -> None:
        names = _metric_names(self.tiou_thresholds)
        if not self.tiou_thresholds or not all(0 < t <= 1 for t in self.tiou_thresholds):
            raise ValueError(f"tiou_thresholds: {self.tiou_thresholds} must be one or more values in (0, 1]")
        if len(set(names)) != len(names):
            raise ValueError(f"tiou_thresholds: {self.tiou_thresholds} must differ in the first two decimals")

    def metric_names(self) -> tuple[str, ...]:
        """``map_tiou_x.xx`` per threshold, then ``avg_map``."""
        return _metric_names(self.tiou_thresholds)

    def match(self, found: Detections, truth: GroundTruth) -> Matches:
        """Match once; every score and resampling works from the result.

        Raises:
            ValueError: detections or ground truth that cannot be scored; the first bad row is named.
        """
        checked = check_inputs(found, truth, self.on_unknown_video)
        outcome = self._outcomes(checked)
        num_gt = np.zeros((len(checked.video_ids), len(truth.class_names)), np.int64)
        np.add.at(num_gt, (checked.gt_video, checked.gt_label), 1)
        return Matches(
            protocol=f"{self.key} {self.version}",
            tiou_thresholds=self.tiou_thresholds,
            class_names=truth.class_names,
            video_ids=checked.video_ids,
            label=checked.label,
            video=checked.video,
            score=checked.score,
            outcome=outcome,
            num_gt=num_gt,
            warnings=checked.warnings,
        )

    def _outcomes(self, checked: Checked) -> np.ndarray[tuple[int, int], np.dtype[np.int8]]:
        raise TypeError("a protocol says how detections are matched")

    def score(self, matches: Matches, video_weights: FloatArray | None = None) -> dict[str, float]:
        """Metrics as fractions, classes without ground truth left out of the mean.

        Args:
            matches: of this protocol.
            video_weights: (V,) multiplicity of each video; None = once each.
        """
        weights = np.ones(len(matches.video_ids)) if video_weights is None else np.asarray(video_weights, np.float64)
        values = self.resample(matches, weights[None])[0]
        return {name: float(value) for name, value in zip(self.metric_names(), values, strict=True)}

    def resample(self, matches: Matches, weights: FloatArray) -> FloatArray:
        """(R, M) metrics, in the order of ``metric_names``, under (R, V) multiplicities of the videos."""
        by_threshold = mean_over_classes(class_ap(matches, weights, self._rule))
        return np.concatenate([by_threshold, by_threshold.mean(axis=1, keepdims=True)], axis=1)

    def per_class_ap(self, matches: Matches) -> dict[str, dict[str, float]]:
        """Class name -> metric name -> AP, classes with ground truth only."""
        ap = class_ap(matches, np.ones((1, len(matches.video_ids))), self._rule)[0]
        names = self.metric_names()
        return {
            name: {n: float(v) for n, v in zip(names, [*row, row.mean()], strict=True)}
            for name, row in zip(matches.class_names, ap, strict=True)
            if not np.isnan(row).any()
        }

    def num_videos(self, matches: Matches) -> int:
        """V."""
        return len(matches.video_ids)

    def load_matches(self, path: Path) -> Matches:
        """Matches a trial left behind.

        Raises:
            ValueError: they are of another protocol.
        """
        matches = load_matches(path)
        if matches.protocol != f"{self.key} {self.version}" or matches.tiou_thresholds != self.tiou_thresholds:
            raise ValueError(f"{path}: matched by '{matches.protocol}', not by '{self.key} {self.version}'")
        return matches

    def _choose(self, checked: Checked, chooser: Chooser) -> np.ndarray[tuple[int, int], np.dtype[np.int8]]:
        outcome = np.full((len(checked.label), len(self.tiou_thresholds)), FALSE_POSITIVE, np.int8)
        num_classes = max(checked.num_classes, 1)
        for groups in make_groups(
            checked.video * num_classes + checked.label,
            checked.segments_s,
            checked.gt_video * num_classes + checked.gt_label,
            checked.gt_segments_s,
            min(self.tiou_thresholds),
        ):
            detection, threshold = chooser(groups, np.asarray(self.tiou_thresholds))
            outcome[detection, threshold] = TRUE_POSITIVE
        return outcome


@dataclass(frozen=True)
class ActivityNet(_DetectionMap):
    """ActivityNet detection mAP: the detection picks, tIoU >= threshold, interpolated AP.

    Source: activitynet/ActivityNet:Evaluation/eval_detection.py. Ties in score are ordered as in the file (the
    official order depends on NumPy's build) and counted.
    """

    key: ClassVar[str] = "activitynet"
    version: ClassVar[str] = "1"
    _rule: ClassVar[Rule] = "interpolated"

    def _outcomes(self, checked: Checked) -> np.ndarray[tuple[int, int], np.dtype[np.int8]]:
        return self._choose(checked, detections_choose)


@dataclass(frozen=True)
class Thumos14Official(_DetectionMap):
    """The THUMOS'14 toolkit: the segment picks, tIoU > threshold, plain AP, ambiguous segments excuse misses.

    Source: the challenge's TH14evalDet.m.
    """

    key: ClassVar[str] = "thumos14_official"
    version: ClassVar[str] = "1"
    _rule: ClassVar[Rule] = "plain"

    tiou_thresholds: tuple[float, ...] = param(
        THUMOS14_GRID, "tIoU thresholds of the mean", source="THUMOS'14 challenge; 0.6 and 0.7 by later papers"
    )

    def _outcomes(self, checked: Checked) -> np.ndarray[tuple[int, int], np.dtype[np.int8]]:
        outcome = self._choose(checked, segments_choose)
        excused = _touches_ambiguous(checked)
        outcome[excused[:, None] & (outcome == FALSE_POSITIVE)] = IGNORED
        return outcome


def _touches_ambiguous(checked: Checked) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """(N,) whether a detection overlaps any ambiguous segment of its video."""
    touches = np.zeros(len(checked.label), bool)
    for video, segment in zip(checked.ambiguous_video, checked.ambiguous_s, strict=True):
        rows = np.flatnonzero(checked.video == video)
        touches[rows] |= paired_tiou(checked.segments_s[rows], segment) > 0
    return touches
