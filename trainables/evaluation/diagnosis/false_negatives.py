"""Which instances a detector misses, by their characteristics and by pairs of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from trainables.detections import FloatArray, IntArray
from trainables.evaluation.checks import BoolArray
from trainables.evaluation.diagnosis.assignment import Assignment
from trainables.evaluation.diagnosis.characteristics import Characteristic
from trainables.evaluation.diagnosis.jsonable import jsonable
from trainables.evaluation.diagnosis.normalized_ap import normalized_precision

#: A detection finds its instance only where the normalised precision at its rank is above this.
LEAST_PRECISION = 0.05


@dataclass(frozen=True)
class MissedShares:
    """Share of missed instances in the buckets of one characteristic.

    Attributes:
        characteristic: B buckets.
        shares: (B, H) of the bucket's instances at each threshold; NaN for a bucket without instances.
    """

    characteristic: Characteristic
    shares: FloatArray

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **self.characteristic.to_dict(),
            "avg_missed": jsonable(self.shares.mean(axis=1)),
            "missed": jsonable(self.shares),
        }


@dataclass(frozen=True)
class MissedPairShares:
    """Share of missed instances in the buckets of two characteristics at once.

    Attributes:
        first: rows, B1 buckets.
        second: columns, B2 buckets.
        num_instances: (B1, B2).
        avg_shares: (B1, B2) mean over thresholds; NaN for a pair of buckets without instances.
    """

    first: Characteristic
    second: Characteristic
    num_instances: IntArray
    avg_shares: FloatArray

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "characteristics": [self.first.name, self.second.name],
            "rows": list(self.first.buckets.names),
            "columns": list(self.second.buckets.names),
            "num_instances": self.num_instances.tolist(),
            "avg_missed": jsonable(self.avg_shares),
        }


@dataclass(frozen=True)
class FalseNegatives:
    """Missed instances of the whole ground truth and by characteristic.

    Attributes:
        missed: (P, H) instances that no detection finds at a threshold.
        by_characteristic: in the order of the characteristics.
        by_pair: every pair of them, the earlier one first.
    """

    missed: BoolArray
    by_characteristic: tuple[MissedShares, ...]
    by_pair: tuple[MissedPairShares, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "avg_missed": jsonable(self.missed.mean()),
            "missed": jsonable(self.missed.mean(axis=0)),
            "by_characteristic": {part.characteristic.name: part.to_dict() for part in self.by_characteristic},
            "by_pair": [part.to_dict() for part in self.by_pair],
        }


def false_negatives(made: Assignment, characteristics: Sequence[Characteristic]) -> FalseNegatives:
    """Missed instances, all detections counted.

    Source: Alwassel et al. 2018; HumamAlwassel/DETAD: src/false_negative_analysis.py.

    Args:
        made: the assignment.
        characteristics: of its P instances.
    """
    missed = missed_instances(made)
    return FalseNegatives(
        missed=missed,
        by_characteristic=tuple(_by_bucket(missed, c) for c in characteristics),
        by_pair=tuple(_by_pair(missed, a, b) for a, b in combinations(characteristics, 2)),
    )


def missed_instances(made: Assignment, *, least_precision: float = LEAST_PRECISION) -> BoolArray:
    """Instances no detection finds.

    A detection that takes an instance finds it if the normalised precision of its class down to its rank is above
    ``least_precision``: a hit below a heap of false positives would never be shown to anyone.

    Args:
        made: the assignment.
        least_precision: in [0, 1).

    Returns:
        (P, H).
    """
    hits, first, num_gt, mean_gt = made.hits, made.class_first, made.num_gt, made.mean_gt
    missed = np.ones((len(made.truth.labels), hits.shape[1]), bool)
    for label in np.flatnonzero(num_gt):
        rows = slice(first[label], first[label + 1])
        precision = normalized_precision(hits[rows], ~hits[rows], num_gt=int(num_gt[label]), mean_gt=mean_gt)
        detection, threshold = np.nonzero(hits[rows] & (precision > least_precision))
        missed[made.segment[rows][detection, threshold], threshold] = False
    return missed


def _by_bucket(missed: BoolArray, characteristic: Characteristic) -> MissedShares:
    placed = characteristic.bucket >= 0
    total = np.zeros((len(characteristic.buckets.names), missed.shape[1]))
    np.add.at(total, characteristic.bucket[placed], missed[placed])
    return MissedShares(characteristic, _ratio(total, characteristic.num_instances[:, None]))


def _by_pair(missed: BoolArray, first: Characteristic, second: Characteristic) -> MissedPairShares:
    placed = (first.bucket >= 0) & (second.bucket >= 0)
    cell = first.bucket[placed], second.bucket[placed]
    shape = len(first.buckets.names), len(second.buckets.names)
    count, total = np.zeros(shape, np.int64), np.zeros(shape)
    np.add.at(count, cell, 1)
    np.add.at(total, cell, missed[placed].mean(axis=1))
    return MissedPairShares(first, second, count, _ratio(total, count))


def _ratio(total: FloatArray, count: IntArray) -> FloatArray:
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
