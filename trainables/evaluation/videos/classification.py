"""ActivityNet's video classification: AP of (video, class) pairs, and how often a true class is among the best k."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from trainables.config import param
from trainables.detections import FloatArray, GroundTruth, IntArray
from trainables.evaluation.checks import BoolArray, check_ground_truth, refuse, within
from trainables.evaluation.exclusion import keep_videos
from trainables.evaluation.precision.average_precision import class_ap, mean_over_classes
from trainables.evaluation.precision.matches import FALSE_POSITIVE, TRUE_POSITIVE, Matches
from trainables.evaluation.precision.ranking import NO_THRESHOLD
from trainables.evaluation.protocol import ScoringProtocol, Takes
from trainables.evaluation.ranks import count_up
from trainables.evaluation.videos.scores import VideoScores, check_video_scores, video_labels


@dataclass(frozen=True)
class ClassifiedVideos:
    """What the metrics are made of; V videos.

    Attributes:
        matches: ranked (video, class) pairs.
        hits: (V, S) every top-k figure of each video; 0 where a video has no label.
    """

    matches: Matches
    hits: FloatArray

    @property
    def protocol(self) -> str:
        """Key and version."""
        return self.matches.protocol

    @property
    def video_ids(self) -> tuple[str, ...]:
        """V ids."""
        return self.matches.video_ids

    @property
    def warnings(self) -> Mapping[str, int]:
        """What was counted instead of refused."""
        return self.matches.warnings


@dataclass(frozen=True)
class ActivityNetClassification(ScoringProtocol[ClassifiedVideos]):
    """Mean over classes of interpolated AP; the second prediction of a class on a video is a miss. And hits@k.

    ``avg_hit_k``: share of a video's classes among its k best predictions, mean over the videos with a class, 0 without
    predictions. ``hit_k``: the same, any class suffices.

    Source: activitynet/ActivityNet:Evaluation/eval_classification.py. Differs: equal scores keep the order of the file
    (the official order depends on NumPy's build) and are counted.
    """

    key: ClassVar[str] = "activitynet_classification"
    version: ClassVar[str] = "1"
    metrics_doc: ClassVar[str] = (
        "mean over classes of interpolated AP of (video, class) pairs; a true class among the k best (hit), share of "
        "the true classes there (avg_hit)"
    )
    takes: ClassVar[Takes] = "video_scores"

    top_k: tuple[int, ...] = param(
        (1, 3), "numbers of best predictions", source="activitynet/ActivityNet:Evaluation/eval_classification.py"
    )
    on_unknown_label: Literal["error", "drop"] = param(
        "error", "predictions with a class id outside the classes: refuse, or leave out and count"
    )
    on_unknown_video: Literal["error", "drop", "count"] = param(
        "error", "predictions on videos that are not in the ground truth: refuse, leave out, or count as misses"
    )
    exclude_videos: tuple[str, ...] = param(
        (), "videos left out of both sides, for instance ActivityNet's blocked ones; their number and digest are kept"
    )

    def __post_init__(self) -> None:
        if not self.top_k or min(self.top_k) < 1 or len(set(self.top_k)) < len(self.top_k):
            raise ValueError(f"top_k: {self.top_k} must be one or more different positive numbers")
        self._check_choice("on_unknown_label", ("error", "drop"))
        self._check_choice("on_unknown_video", ("error", "drop", "count"))

    def metric_names(self) -> tuple[str, ...]:
        """``video_map``, then ``hit_k`` and ``avg_hit_k`` for every k."""
        return ("video_map", *(f"{name}_{k}" for k in self.top_k for name in ("hit", "avg_hit")))

    def match(self, found: VideoScores, truth: GroundTruth) -> ClassifiedVideos:
        """Hold predictions against the classes of each video.

        Raises:
            ValueError: predictions or ground truth that cannot be scored; the first bad row is named.
        """
        check_video_scores(found)
        truth, excluded = self._exclude(truth)
        check_ground_truth(truth)
        ids, video, left_out = self._videos(found, truth)
        num_classes = len(truth.class_names)
        named = within(found.labels, num_classes)
        if self.on_unknown_label == "error":
            refuse(~named, "video scores", f"has a label outside the {num_classes} classes; drop: on_unknown_label")
        kept = np.flatnonzero((video >= 0) & named)
        if len(found.scores) and not (video[kept] < len(truth.video_ids)).any():
            raise ValueError(
                f"video scores: none of the {len(found.scores)} is on a video and of a class that are known"
            )
        video, labels, scores = video[kept], found.labels[kept], found.scores[kept]
        true = np.zeros((len(ids), num_classes), bool)
        true[: len(truth.video_ids)] = video_labels(truth)
        warnings = {**excluded, **left_out, "unknown_label_predictions_dropped": int((~named).sum())}
        return ClassifiedVideos(
            matches=self._ranked(ids, truth.class_names, video, labels, scores, true, warnings),
            hits=top_hits(video, labels, scores, true, self.top_k),
        )

    def _exclude(self, truth: GroundTruth) -> tuple[GroundTruth, dict[str, int]]:
        gone = set(self.exclude_videos)
        keep = np.asarray([v not in gone for v in truth.video_ids], bool)
        return (truth if keep.all() else keep_videos(truth, keep)), {"excluded_videos": int((~keep).sum())}

    def _videos(self, found: VideoScores, truth: GroundTruth) -> tuple[tuple[str, ...], IntArray, dict[str, int]]:
        """Ids of the ground truth, then counted unknown ones; (N,) index of each prediction's video, -1 = left out."""
        place = {v: i for i, v in enumerate(truth.video_ids)}
        gone, used = set(self.exclude_videos), set(np.unique(found.video).tolist())
        unknown = [v for i, v in enumerate(found.video_ids) if i in used and v not in place and v not in gone]
        if unknown and self.on_unknown_video == "error":
            raise ValueError(
                f"video scores: video '{unknown[0]}' is not in the ground truth ({len(unknown)} such videos); set "
                "on_unknown_video to drop or count"
            )
        if self.on_unknown_video == "count":
            place |= {v: len(place) + i for i, v in enumerate(unknown)}
        video = np.asarray([place.get(v, -1) for v in found.video_ids], np.int64)[found.video]
        outside = np.asarray([v in set(unknown) for v in found.video_ids], bool)[found.video]
        own = np.asarray([v in gone for v in found.video_ids], bool)[found.video]
        return (
            tuple(place),
            video,
            {
                "excluded_video_predictions": int(own.sum()),
                f"unknown_video_predictions_{'counted' if self.on_unknown_video == 'count' else 'dropped'}": int(
                    outside.sum()
                ),
            },
        )

    def _ranked(
        self,
        ids: tuple[str, ...],
        class_names: tuple[str, ...],
        video: IntArray,
        labels: IntArray,
        scores: FloatArray,
        true: BoolArray,
        warnings: Mapping[str, int],
    ) -> Matches:
        order = np.lexsort((-scores, labels))
        video, labels, scores = video[order], labels[order], scores[order]
        best = np.zeros(len(video), bool)  # of its class on its video
        best[np.unique(video * len(class_names) + labels, return_index=True)[1]] = True
        hit = best & true[video, labels]
        predicted = np.bincount(video, minlength=len(ids)) > 0
        counts = {
            **warnings,
            "tied_scores": int(((np.diff(scores) == 0) & (np.diff(labels) == 0)).sum()),
            "repeated_predictions": int((~best).sum()),
            "videos_without_predictions": int((~predicted & true.any(axis=1)).sum()),
            "classes_without_ground_truth": int((~true.any(axis=0)).sum()),
        }
        return Matches(
            protocol=self._identity,
            tiou_thresholds=NO_THRESHOLD,
            class_names=class_names,
            video_ids=ids,
            label=labels,
            video=video,
            score=scores,
            outcome=np.where(hit, TRUE_POSITIVE, FALSE_POSITIVE).astype(np.int8)[:, None],
            num_gt=true.astype(np.int64),
            warnings={name: count for name, count in counts.items() if count},
        )

    def _resample(self, matches: ClassifiedVideos, weights: FloatArray) -> FloatArray:
        video_map = mean_over_classes(class_ap(matches.matches, weights, "interpolated"))
        own = weights * matches.matches.num_gt.any(axis=1)
        number = own.sum(axis=1, keepdims=True)
        hits = np.divide(
            own @ matches.hits, number, out=np.full((len(own), matches.hits.shape[1]), np.nan), where=number > 0
        )
        return np.concatenate([video_map, hits], axis=1)

    def counts(self, matches: ClassifiedVideos) -> dict[str, int]:
        """Videos, classes with ground truth, (video, class) pairs and predictions."""
        num_gt = matches.matches.num_gt
        return {
            "videos": len(num_gt),
            "classes": int(num_gt.any(axis=0).sum()),
            "instances": int(num_gt.sum()),
            "predictions": len(matches.matches.score),
        }

    def per_class_ap(self, matches: ClassifiedVideos) -> dict[str, dict[str, float]]:
        """Class name -> ``video_map`` -> AP, classes with ground truth only."""
        self._require_own(matches)
        ap = class_ap(matches.matches, np.ones((1, len(matches.video_ids))), "interpolated")[0, :, 0]
        names = matches.matches.class_names
        return {name: {"video_map": float(v)} for name, v in zip(names, ap, strict=True) if not np.isnan(v)}


def top_hits(
    video: IntArray, labels: IntArray, scores: FloatArray, true: BoolArray, top_k: tuple[int, ...]
) -> FloatArray:
    """Whether, and what share of, a video's classes are among its k best predictions.

    Args:
        video: (N,) index in [0, V).
        labels: (N,) class ids.
        scores: (N,); equal ones keep their order.
        true: (V, K).
        top_k: numbers of best predictions.

    Returns:
        (V, 2 * len(top_k)) for every k: any of them, share of them; 0 where a video has no class.
    """
    order = np.lexsort((-scores, video))
    rank = np.empty(len(video), np.int64)
    rank[order] = count_up(np.unique(video, return_counts=True)[1])
    number = np.maximum(true.sum(axis=1), 1)
    columns = []
    for k in top_k:
        best = rank < k
        seen = np.zeros(true.shape, bool)
        seen[video[best], labels[best]] = True
        hit = (seen & true).sum(axis=1)
        columns += [hit > 0, hit / number]
    return np.stack(columns, axis=1).astype(np.float64)
