"""The three analyses of one set of detections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainables.detections import Detections, FloatArray, GroundTruth
from trainables.evaluation.detection.protocols import ActivityNet
from trainables.evaluation.diagnosis.assignment import assign
from trainables.evaluation.diagnosis.buckets import ACTIVITYNET_BUCKETS, Buckets
from trainables.evaluation.diagnosis.characteristics import annotated_characteristics, characterise
from trainables.evaluation.diagnosis.extra_characteristics import ExtraCharacteristics
from trainables.evaluation.diagnosis.false_negatives import FalseNegatives, false_negatives
from trainables.evaluation.diagnosis.false_positives import FalsePositiveProfile, false_positive_profile
from trainables.evaluation.diagnosis.jsonable import jsonable
from trainables.evaluation.diagnosis.normalized_ap import map_n
from trainables.evaluation.diagnosis.sensitivity import Sensitivity, sensitivity


@dataclass(frozen=True)
class Diagnosis:
    """Why a detector loses average precision.

    Attributes:
        tiou_thresholds: H values; averages are over them.
        num_instances: annotated segments, as the protocol takes them.
        num_detections: detections that were ranked.
        mean_instances_per_class: DETAD's N, the normaliser of every mAP_N.
        map_n: (H,) mAP_N of all detections.
        false_positives: error types among the best-scored detections.
        sensitivity: one for each characteristic.
        false_negatives: missed instances.
        warnings: what was left out or is ambiguous, counted.
    """

    tiou_thresholds: tuple[float, ...]
    num_instances: int
    num_detections: int
    mean_instances_per_class: float
    map_n: FloatArray
    false_positives: FalsePositiveProfile
    sensitivity: tuple[Sensitivity, ...]
    false_negatives: FalseNegatives
    warnings: Mapping[str, int]

    def to_dict(self) -> dict[str, Any]:
        """For JSON, always in this order; None where there is nothing to measure."""
        return {
            "tiou_thresholds": list(self.tiou_thresholds),
            "num_instances": self.num_instances,
            "num_detections": self.num_detections,
            "mean_instances_per_class": self.mean_instances_per_class,
            "avg_map_n": jsonable(self.map_n.mean()),
            "map_n": jsonable(self.map_n),
            "false_positives": self.false_positives.to_dict(),
            "sensitivity": {part.characteristic.name: part.to_dict() for part in self.sensitivity},
            "false_negatives": self.false_negatives.to_dict(),
            "warnings": dict(sorted(self.warnings.items())),
        }


def diagnose(
    found: Detections,
    truth: GroundTruth,
    durations_s: Mapping[str, float],
    *,
    protocol: ActivityNet | None = None,
    buckets: Mapping[str, Buckets] = ACTIVITYNET_BUCKETS,
    extra: ExtraCharacteristics | None = None,
) -> Diagnosis:
    """False positives, sensitivity and false negatives in DETAD's manner, with ActivityNet's matching.

    Source: Alwassel et al., "Diagnosing Error in Temporal Action Detectors", ECCV 2018; HumamAlwassel/DETAD.

    Args:
        found: the detections.
        truth: the annotated segments.
        durations_s: video id -> seconds.
        protocol: thresholds, and what is left out of either side; None = ActivityNet's defaults.
        buckets: characteristic -> ranges; one without gets quantile buckets.
        extra: further characteristics; they replace computed ones of the same name.

    Raises:
        ValueError: input that cannot be scored, a duration that is missing, or a segment that ``extra`` does not know;
            the first one is named.
    """
    made = assign(found, truth, protocol or ActivityNet())
    values = annotated_characteristics(made.truth, durations_s) | (extra.of(made.truth) if extra else {})
    characteristics = characterise(values, buckets)
    overall = map_n(made, made.hits, ~made.hits)
    return Diagnosis(
        tiou_thresholds=made.tiou_thresholds,
        num_instances=len(made.truth.labels),
        num_detections=len(made.aligned.labels),
        mean_instances_per_class=made.mean_gt,
        map_n=overall,
        false_positives=false_positive_profile(made),
        sensitivity=tuple(sensitivity(made, c, overall) for c in characteristics),
        false_negatives=false_negatives(made, characteristics),
        warnings=made.warnings,
    )
