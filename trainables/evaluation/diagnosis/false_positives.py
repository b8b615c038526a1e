"""DETAD's false-positive profile: error types among the best-scored detections, and what removing each would gain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from trainables.detections import FloatArray, IntArray
from trainables.evaluation.diagnosis.assignment import Assignment
from trainables.evaluation.diagnosis.error_types import BACKGROUND_TIOU, ErrorType, error_types
from trainables.evaluation.diagnosis.jsonable import jsonable
from trainables.evaluation.diagnosis.normalized_ap import map_n

#: The profile's columns, in the order of their codes, and the error types whose removal is scored.
TYPES = tuple(ErrorType)
ERRORS = tuple(t for t in ErrorType if t is not ErrorType.TRUE_POSITIVE)


@dataclass(frozen=True)
class FalsePositiveProfile:
    """Error types of the detections among the ``multiple`` x G best of each class, G its number of instances.

    Letters: M multiples of G, H tIoU thresholds.

    Attributes:
        tiou_thresholds: H values of alpha.
        background_tiou: beta.
        counts: (M, H, 6) detections that rank in ((m - 1) G, m G] of their class, by type in the order of TYPES.
        map_n: (H,) mAP_N of the detections down to rank M G of each class.
        gains: (5, H) what it rises by when all detections of one type in ERRORS go.
        num_beyond: detections of lower rank or of a class without instances, which the profile leaves out.
    """

    tiou_thresholds: tuple[float, ...]
    background_tiou: float
    counts: IntArray
    map_n: FloatArray
    gains: FloatArray
    num_beyond: int

    @property
    def top_shares(self) -> FloatArray:
        """(M, 6) share of each type among the best m G of each class, mean over thresholds; NaN without detections."""
        return _shares(np.cumsum(self.counts, axis=0))

    @property
    def range_shares(self) -> FloatArray:
        """(M, 6) share of each type among ranks ((m - 1) G, m G], the bars DETAD draws; NaN without detections."""
        return _shares(self.counts)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        names = [t.name.lower() for t in TYPES]
        return {
            "tiou_thresholds": list(self.tiou_thresholds),
            "background_tiou": self.background_tiou,
            "types": names,
            "top_shares": jsonable(self.top_shares),
            "range_shares": jsonable(self.range_shares),
            "counts": self.counts.tolist(),
            "num_beyond": self.num_beyond,
            "avg_map_n": jsonable(self.map_n.mean()),
            "map_n": jsonable(self.map_n),
            "removal": {
                kind.name.lower(): {"avg_gain": jsonable(gain.mean()), "gain": jsonable(gain)}
                for kind, gain in zip(ERRORS, self.gains, strict=True)
            },
        }


def _shares(counts: IntArray) -> FloatArray:
    # every threshold sees the same detections, so the mean of the shares is the share of the sum
    by_type = counts.sum(axis=1).astype(np.float64)
    total = by_type.sum(axis=1, keepdims=True)
    return np.divide(by_type, total, out=np.full_like(by_type, np.nan), where=total > 0)


def false_positive_profile(
    made: Assignment, *, multiples: int = 10, background_tiou: float = BACKGROUND_TIOU
) -> FalsePositiveProfile:
    """Profile of the best ``multiples`` x G detections of each class.

    Source: Alwassel et al. 2018; HumamAlwassel/DETAD: src/false_positive_analysis.py, limit_factor 10.

    Args:
        made: the assignment.
        multiples: M, at least 1.
        background_tiou: beta.

    Raises:
        ValueError: no multiple at all, or beta is not in (0, smallest threshold].
    """
    if multiples < 1:
        raise ValueError(f"multiples: {multiples} must be at least 1")
    rank_range = _rank_range(made)
    top = np.flatnonzero(rank_range < multiples)
    types = error_types(made, top, background_tiou=background_tiou)
    num_thresholds = len(made.tiou_thresholds)
    counts = np.zeros((multiples, num_thresholds, len(TYPES)), np.int64)
    np.add.at(counts, (rank_range[top, None], np.arange(num_thresholds), types), 1)

    code = np.full(made.segment.shape, -1, np.int8)  # -1 = beyond the profile
    code[top] = types
    hits, misses = code == ErrorType.TRUE_POSITIVE, code > ErrorType.TRUE_POSITIVE
    base = map_n(made, hits, misses)
    gains = np.stack([map_n(made, hits, misses & (code != kind)) - base for kind in ERRORS])
    return FalsePositiveProfile(
        tiou_thresholds=made.tiou_thresholds,
        background_tiou=background_tiou,
        counts=counts,
        map_n=base,
        gains=gains,
        num_beyond=len(code) - len(top),
    )


def _rank_range(made: Assignment) -> IntArray:
    """(N,) m - 1 of the range ((m - 1) G, m G] a detection ranks in; beyond every range where its class has no G."""
    labels = made.aligned.labels
    rank = np.arange(len(labels)) - made.class_first[labels]
    per_class = made.num_gt[labels]
    return np.where(per_class > 0, rank // np.maximum(per_class, 1), np.iinfo(np.int64).max)
