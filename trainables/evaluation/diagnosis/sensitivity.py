"""How far average mAP_N depends on a characteristic of the instances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from trainables.detections import FloatArray
from trainables.evaluation.diagnosis.assignment import Assignment
from trainables.evaluation.diagnosis.characteristics import Characteristic
from trainables.evaluation.diagnosis.jsonable import jsonable
from trainables.evaluation.diagnosis.normalized_ap import map_n


@dataclass(frozen=True)
class Sensitivity:
    """mAP_N of the instances in each bucket of one characteristic.

    Letters: B buckets, H tIoU thresholds.

    Attributes:
        characteristic: whose buckets.
        overall: (H,) mAP_N of all instances, also of those in no bucket.
        map_n: (B, H); NaN for a bucket without instances.
    """

    characteristic: Characteristic
    overall: FloatArray
    map_n: FloatArray

    @property
    def avg_map_n(self) -> FloatArray:
        """(B,) mean over thresholds; NaN for a bucket without instances."""
        return self.map_n.mean(axis=1)

    @property
    def sensitivity(self) -> float:
        """Best minus worst bucket; NaN where no bucket has instances."""
        known = self._known
        return float(known.max() - known.min()) if len(known) else float("nan")

    @property
    def impact(self) -> float:
        """Best bucket minus all instances; NaN where no bucket has instances."""
        known = self._known
        return float(known.max() - self.overall.mean()) if len(known) else float("nan")

    @property
    def _known(self) -> FloatArray:
        return self.avg_map_n[~np.isnan(self.avg_map_n)]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **self.characteristic.to_dict(),
            "avg_map_n": jsonable(self.avg_map_n),
            "map_n": jsonable(self.map_n),
            "sensitivity": jsonable(self.sensitivity),
            "impact": jsonable(self.impact),
        }


def sensitivity(made: Assignment, characteristic: Characteristic, overall: FloatArray) -> Sensitivity:
    """Score each bucket as if its instances were the only ones.

    A bucket is scored against its own instances with the detections that take one of them or none: a detection that
    takes an instance of another bucket, or of none, at any threshold is left out at every threshold. N stays that of
    all instances.

    Source: HumamAlwassel/DETAD: src/sensitivity_analysis.py, ``compute_average_mAP_N_for_characteristic``. Differs:
    an instance in no bucket counts in ``overall`` (there: instances of coverage above 1 leave the ground truth), and a
    class without detections scores 0 (there: an error).

    Args:
        made: the assignment.
        characteristic: of its P instances.
        overall: (H,) mAP_N of all instances.
    """
    truth, hits = made.truth, made.hits
    taken = np.where(hits, characteristic.bucket[made.segment], -2)  # (N, H); -2 = takes nothing
    rows = []
    for bucket in range(len(characteristic.buckets.names)):
        kept = ((taken == bucket) | ~hits).all(axis=1, keepdims=True)
        num_gt = np.bincount(truth.labels[characteristic.bucket == bucket], minlength=len(truth.class_names))
        rows.append(map_n(made, hits & kept, ~hits & kept, num_gt))
    return Sensitivity(characteristic, overall, np.stack(rows))
