"""Charades' 25 points scored from detections, as detectors of segments are compared there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from trainables.config import param
from trainables.detections import Detections, FloatArray
from trainables.evaluation.charades.point_scores import FINE_POINTS, point_scores
from trainables.evaluation.checks import check_same_names, refuse
from trainables.evaluation.detection.alignment import align
from trainables.evaluation.frames.labels import CHARADES_POINTS, charades_times, label_points
from trainables.evaluation.frames.scores import TimedTruth, check_timed_truth
from trainables.evaluation.precision.item_precision import item_ap
from trainables.evaluation.precision.matches import Matches
from trainables.evaluation.precision.ranking import PlainMap
from trainables.evaluation.protocol import Takes


@dataclass(frozen=True)
class Charades25(PlainMap):
    """Plain AP over 25 points of every video; a point has the best score of the detections that cover it, or 0.

    ``frame_map`` is the mean over classes; ``frame_map_smoothed`` the same after averaging on a grid of 150 points.
    Points of equal score, many of them without a detection, rank by video id and time.

    In the matches the averaged scores stand as classes of their own behind the others.

    Source: VisionLearningGroup/R-C3D:experiments/charades/test, for Charades_v1_localize.m. Differs: equal scores
    do not depend on the order of the files; a class without positive point is left out and counted (there: the mean is
    NaN).
    """

    key: ClassVar[str] = "charades25"
    version: ClassVar[str] = "1"
    metrics_doc: ClassVar[str] = (
        "mean over classes of plain AP over 25 points of each video, scored by the best detection there; the same with "
        "scores averaged over their neighbours"
    )
    takes: ClassVar[Takes] = "detections"
    timed: ClassVar[bool] = True

    on_empty_class: Literal["error", "zero", "exclude"] = param(
        "exclude", "classes without any positive point: refuse, count as AP 0, or leave out of the mean"
    )
    on_unknown_label: Literal["error", "drop"] = param(
        "error", "detections with a class id outside the classes: refuse, or leave out and count"
    )
    on_reversed_segment: Literal["error", "swap"] = param(
        "error", "detections that end before they start: refuse, or exchange the two times"
    )
    smooth_half: int = param(
        10, "averaging reaches so many of 150 points back, and one fewer ahead", bounds=(1, FINE_POINTS),
        source="Three Birds 4.3 (20 points); 15: VisionLearningGroup/R-C3D:experiments/charades/test",
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_choice("on_unknown_label", ("error", "drop"))
        self._check_choice("on_reversed_segment", ("error", "swap"))
        if not 1 <= self.smooth_half <= FINE_POINTS:
            raise ValueError(f"smooth_half: {self.smooth_half} must be from 1 to {FINE_POINTS}")

    def metric_names(self) -> tuple[str, ...]:
        """Without and with averaging."""
        return ("frame_map", "frame_map_smoothed")

    def match(self, found: Detections, truth: TimedTruth) -> Matches:
        """Score and rank 25 points of every annotated video, twice.

        Raises:
            ValueError: detections or ground truth that cannot be scored, or a score below 0; the first bad row is
                named.
        """
        check_timed_truth(truth)
        check_same_names(found, truth.segments)
        refuse(found.scores < 0, "detections", "has a score below 0, which is what a point without detections has")
        aligned = align(
            found,
            truth.segments,
            on_unknown_label=self.on_unknown_label,
            on_unknown_video=self.on_unknown_video,
            on_reversed_segment=self.on_reversed_segment,
            ties_by_video_id=False,
        )
        shape = (len(truth.video_ids), CHARADES_POINTS, len(truth.class_names))
        scores = np.empty((2, *shape))
        for block, plain, smoothed in point_scores(aligned, truth.durations_s, self.smooth_half):
            scores[0, block], scores[1, block] = plain, smoothed
        times = np.stack([charades_times(d) for d in truth.durations_s.tolist()])
        first = np.arange(shape[0] + 1) * CHARADES_POINTS
        positive = label_points(times.reshape(-1), first, truth.segments, interval="closed").reshape(shape)
        order = np.asarray(sorted(range(shape[0]), key=truth.video_ids.__getitem__))
        video = np.repeat(order, CHARADES_POINTS)
        warnings = {k: aligned.warnings[k] for k in aligned.warnings if not k.startswith(("tied_scores", "classes_"))}
        rows = positive[order].reshape(-1, shape[2])
        ranked = [
            self._matches(truth.video_ids, truth.class_names, video, s[order].reshape(-1, shape[2]), rows, warnings)
            for s in scores
        ]
        return _side_by_side(*ranked)

    def per_class_ap(self, matches: Matches) -> dict[str, dict[str, float]]:
        """Class name -> metric name -> AP, classes with a positive point only."""
        self._require_own(matches)
        ap = self._by_metric(matches, np.ones((1, len(matches.video_ids))))[0]
        names = matches.class_names[: ap.shape[1]]
        return {
            name: dict(zip(self.metric_names(), column.tolist(), strict=True))
            for name, column in zip(names, ap.T, strict=True)
            if not np.isnan(column).any()
        }

    def counts(self, matches: Matches) -> dict[str, int]:
        """Videos, classes with a positive point, positive points, scored points of all classes."""
        whole = super().counts(matches)
        return {name: count if name == "videos" else count // 2 for name, count in whole.items()}

    def _resample(self, matches: Matches, weights: FloatArray) -> FloatArray:
        ap = self._by_metric(matches, weights)
        return np.stack([self._mean(ap[:, m]) for m in range(2)], axis=1)

    @staticmethod
    def _by_metric(matches: Matches, weights: FloatArray) -> FloatArray:
        """(R, 2, K) AP."""
        (ap,) = item_ap(matches, weights, ("plain",))
        return ap.reshape(len(weights), 2, -1)


def _side_by_side(plain: Matches, smoothed: Matches) -> Matches:
    """Both rankings as one, the classes of the second behind those of the first."""
    return replace(
        plain,
        class_names=(*plain.class_names, *(f"{name} (smoothed)" for name in smoothed.class_names)),
        label=np.concatenate([plain.label, smoothed.label + len(plain.class_names)]),
        video=np.concatenate([plain.video, smoothed.video]),
        score=np.concatenate([plain.score, smoothed.score]),
        outcome=np.concatenate([plain.outcome, smoothed.outcome]),
        num_gt=np.concatenate([plain.num_gt, smoothed.num_gt], axis=1),
    )
