"""Protocols whose metrics are average precisions of ranked items: detections, frames, videos."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from trainables.config import param
from trainables.detections import FloatArray, IntArray
from trainables.evaluation.checks import BoolArray
from trainables.evaluation.precision.average_precision import Rule, class_ap
from trainables.evaluation.precision.matches import Matches, Outcomes, load_matches
from trainables.evaluation.protocol import ScoringProtocol

#: Stands for the tIoU thresholds of items that are true or false by themselves.
NO_THRESHOLD = (0.0,)


@dataclass(frozen=True)
class RankingProtocol(ScoringProtocol[Matches]):
    """Base: its matches can be stored, and taken up again."""

    rule: ClassVar[Rule]

    @property
    def _thresholds(self) -> tuple[float, ...]:
        return NO_THRESHOLD

    def load_matches(self, path: Path) -> Matches:
        """Matches that were saved.

        Raises:
            ValueError: not such a file, or of another protocol; the file is named.
        """
        matches = load_matches(path)
        try:
            self._require_own(matches)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        return matches

    def per_class_ap(self, matches: Matches) -> dict[str, dict[str, float]]:
        """Class name -> metric name -> AP, classes with ground truth only."""
        self._require_own(matches)
        ap = self._class_values(matches)
        names = self.metric_names()
        return {
            name: dict(zip(names, row.tolist(), strict=False))
            for name, row in zip(matches.class_names, ap, strict=True)
            if not np.isnan(row).any()
        }

    def _class_values(self, matches: Matches) -> FloatArray:
        """(K, m) the first m metrics of every class alone."""
        return class_ap(matches, np.ones((1, len(matches.video_ids))), self.rule)[0]

    def counts(self, matches: Matches) -> dict[str, int]:
        """Videos, classes with ground truth, instances and predictions."""
        return {
            "videos": len(matches.video_ids),
            "classes": int((matches.num_gt.sum(axis=0) > 0).sum()),
            "instances": int(matches.num_gt.sum()),
            "predictions": len(matches.score),
        }

    def _require_own(self, matches: Matches) -> None:
        if matches.protocol != self._identity or matches.tiou_thresholds != self._thresholds:
            raise ValueError(
                f"matched by '{matches.protocol}' at {matches.tiou_thresholds}, not by '{self._identity}' at "
                f"{self._thresholds}; match the {self._kind} again"
            )


@dataclass(frozen=True)
class PlainMap(RankingProtocol):
    """Base of the mAPs over items that each have a score and a truth for every class: frames, points, videos."""

    rule: ClassVar[Rule] = "plain"

    on_empty_class: Literal["error", "zero", "exclude"] = param(
        "error", "classes without any positive item: refuse, count as AP 0, or leave out of the mean"
    )
    on_unknown_video: Literal["error", "drop"] = param(
        "error", "predictions on videos that are not in the ground truth: refuse, or leave out and count"
    )

    def __post_init__(self) -> None:
        self._check_choice("on_empty_class", ("error", "zero", "exclude"))
        self._check_choice("on_unknown_video", ("error", "drop"))

    def _matches(
        self,
        video_ids: tuple[str, ...],
        class_names: tuple[str, ...],
        video: IntArray,
        scores: FloatArray,
        positive: BoolArray,
        warnings: Mapping[str, int],
    ) -> Matches:
        """Rank the items of every class.

        Args:
            video_ids: V ids.
            class_names: K names.
            video: (N,) index into ``video_ids``.
            scores: (N, K); minus infinity ranks last.
            positive: (N, K).
            warnings: counts, zeros among them.

        Raises:
            ValueError: a class without a positive item, where those are refused.
        """
        bare = np.flatnonzero(~positive.any(axis=0))
        if len(bare) and (self.on_empty_class == "error" or len(bare) == len(class_names)):
            raise ValueError(
                f"ground truth: class '{class_names[bare[0]]}' has no positive item, so it has no AP ({len(bare)} such "
                "classes); set on_empty_class to exclude or zero, or score all videos"
            )
        order = np.argsort(-scores.T, axis=1, kind="stable")  # (K, N): earlier items first among equals
        ranked = np.take_along_axis(scores.T, order, axis=1)
        num_gt = np.zeros((len(video_ids), len(class_names)), np.int64)
        np.add.at(num_gt, video, positive)
        outcome: Outcomes = np.take_along_axis(positive.T, order, axis=1).astype(np.int8).reshape(-1, 1)
        counts = {
            **warnings,
            "tied_scores": int((ranked[:, 1:] == ranked[:, :-1]).sum()),
            "classes_without_ground_truth": len(bare),
        }
        return Matches(
            protocol=self._identity,
            tiou_thresholds=NO_THRESHOLD,
            class_names=class_names,
            video_ids=video_ids,
            label=np.repeat(np.arange(len(class_names)), len(video)),
            video=video[order].reshape(-1),
            score=ranked.reshape(-1),
            outcome=outcome,
            num_gt=num_gt,
            warnings={name: count for name, count in counts.items() if count},
        )

    def _mean(self, ap: FloatArray) -> FloatArray:
        """(R,) mean over classes of (R, K) AP, NaN where a class has no positive item."""
        present = ~np.isnan(ap)
        number = np.full(len(ap), ap.shape[1]) if self.on_empty_class == "zero" else present.sum(axis=1)
        total = np.where(present, ap, 0.0).sum(axis=1)
        some = present.any(axis=1)
        return np.divide(total, number, out=np.full(len(ap), np.nan), where=some)


def mean_by_positives(ap: FloatArray, num_positives: FloatArray) -> FloatArray:
    """Mean over classes, each weighted by its number of positive items.

    Args:
        ap: (R, K), NaN where a class has none.
        num_positives: (R, K).

    Returns:
        (R,), NaN where no class has any.
    """
    total = num_positives.sum(axis=1)
    gained = (np.nan_to_num(ap) * num_positives).sum(axis=1)
    return np.divide(gained, total, out=np.full(len(ap), np.nan), where=total > 0)
