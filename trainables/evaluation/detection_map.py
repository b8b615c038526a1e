"""What every detection mAP shares: matching once, then scores and resamplings from the matches.

A protocol is a subclass that says who picks whom (:meth:`DetectionMap._outcomes`) and which AP it means.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from trainables.config import param
from trainables.detections import Detections, FloatArray, GroundTruth
from trainables.evaluation.alignment import Aligned, align
from trainables.evaluation.average_precision import Rule, class_ap, mean_over_classes
from trainables.evaluation.checks import check_same_names
from trainables.evaluation.exclusion import without_videos
from trainables.evaluation.groups import Groups, PairedTiou, make_groups
from trainables.evaluation.matches import Matches, Outcomes, load_matches

#: ActivityNet's grid, bit for bit: its ninth value is 0.8999999999999999.
ACTIVITYNET_GRID = tuple(float(t) for t in np.linspace(0.5, 0.95, 10))


@dataclass(frozen=True)
class DetectionMap(ABC):
    """Base of the protocols that match detections to segments."""

    key: ClassVar[str]
    version: ClassVar[str]
    #: one line for tables and descriptions.
    metrics_doc: ClassVar[str]
    rule: ClassVar[Rule]
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
        for name, allowed in (
            ("on_unknown_label", ("error", "drop")),
            ("on_unknown_video", ("error", "drop", "count")),
            ("on_reversed_segment", ("error", "miss", "swap")),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}: '{getattr(self, name)}' is none of {', '.join(allowed)}")

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

    def extras(self, found: Detections, truth: GroundTruth) -> dict[str, float]:
        """Further numbers that users of the protocol know, as fractions; they are not resampled.

        Raises:
            ValueError: as :meth:`match`.
        """
        return {}

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

    def score(self, matches: Matches, video_weights: npt.ArrayLike | None = None) -> dict[str, float]:
        """Metrics as fractions, classes without ground truth left out of the mean.

        Args:
            matches: of this protocol.
            video_weights: (V,) multiplicity of each video, see :meth:`resample`; None = once each.

        Raises:
            ValueError: matches of another protocol, or weights that leave no ground truth.
        """
        weights = np.ones(len(matches.video_ids)) if video_weights is None else np.asarray(video_weights, np.float64)
        values = self.resample(matches, weights[None])[0]
        if np.isnan(values).any():
            raise ValueError(
                "video_weights: no video with ground truth has a positive weight; there is nothing to score"
            )
        return dict(zip(self.metric_names(), values.tolist(), strict=True))

    def resample(self, matches: Matches, weights: FloatArray) -> FloatArray:
        """Metrics under multiplicities of the videos, without matching again.

        Args:
            matches: of this protocol.
            weights: (R, V) non-negative. A weight of w counts every detection and segment of the video w times; 0
                leaves the video out, and a class without any weighted ground truth is left out of the mean.

        Returns:
            (R, M) in the order of ``metric_names``; NaN rows where no ground truth has weight.

        Raises:
            ValueError: matches of another protocol, or weights of another shape, negative or not finite.
        """
        self._require_own(matches)
        num_videos = len(matches.video_ids)
        if weights.ndim != 2 or weights.shape[1] != num_videos:
            raise ValueError(
                f"video_weights: shape {weights.shape} does not give one weight to each of {num_videos} videos"
            )
        if not (np.isfinite(weights) & (weights >= 0)).all():
            raise ValueError("video_weights: every weight must be finite and not negative")
        by_threshold = mean_over_classes(class_ap(matches, weights, self.rule))
        return np.concatenate([by_threshold, by_threshold.mean(axis=1, keepdims=True)], axis=1)

    def bootstrap(self, matches: Matches, *, num_resamples: int, seed: int) -> FloatArray:
        """(num_resamples, M) metrics of data sets of as many videos, drawn with replacement.

        Args:
            matches: of this protocol.
            num_resamples: R.
            seed: the only source of randomness.
        """
        num_videos = len(matches.video_ids)
        share = np.full(num_videos, 1 / num_videos)
        draws = np.random.default_rng(seed).multinomial(num_videos, share, size=num_resamples)
        return self.resample(matches, draws.astype(np.float64))

    def per_class_ap(self, matches: Matches) -> dict[str, dict[str, float]]:
        """Class name -> metric name -> AP, classes with ground truth only."""
        self._require_own(matches)
        ap = class_ap(matches, np.ones((1, len(matches.video_ids))), self.rule)[0]
        return {
            name: dict(zip(self.metric_names(), [*row.tolist(), float(row.mean())], strict=True))
            for name, row in zip(matches.class_names, ap, strict=True)
            if not np.isnan(row).any()
        }

    def num_videos(self, matches: Matches) -> int:
        """V."""
        return len(matches.video_ids)

    def load_matches(self, path: Path) -> Matches:
        """Matches a trial left behind.

        Raises:
            ValueError: not such a file, or of another protocol; the file is named.
        """
        matches = load_matches(path)
        try:
            self._require_own(matches)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        return matches

    @property
    def _identity(self) -> str:
        return f"{self.key} {self.version}"

    def _require_own(self, matches: Matches) -> None:
        if matches.protocol != self._identity or matches.tiou_thresholds != self.tiou_thresholds:
            raise ValueError(
                f"matched by '{matches.protocol}' at {matches.tiou_thresholds}, not by '{self._identity}' at "
                f"{self.tiou_thresholds}; match the detections again"
            )


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
