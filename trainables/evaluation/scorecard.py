"""One scoring of detections, with everything needed to say what was scored and how."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from trainables.detections import Detections, GroundTruth

#: Part of the resamples that an interval holds.
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Scorecard:
    """Scores of one file of predictions under one protocol.

    Attributes:
        protocol: key.
        version: of the evaluator.
        settings: every field of the protocol but the excluded ids.
        counts: videos, classes, instances, predictions that took part.
        metrics: name -> fraction.
        intervals: name -> (low, high), percentiles of the bootstrap over videos; empty without one.
        num_resamples: of the bootstrap.
        per_class: class -> metric -> AP, classes with ground truth only.
        warnings: what was counted instead of refused.
        digests: SHA-256 of the class list and of the excluded ids.
    """

    protocol: str
    version: str
    settings: Mapping[str, Any]
    counts: Mapping[str, int]
    metrics: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    num_resamples: int
    per_class: Mapping[str, Mapping[str, float]]
    warnings: Mapping[str, int]
    digests: Mapping[str, str]

    @property
    def tiou_thresholds(self) -> tuple[float, ...]:
        """Of the mean; empty for a protocol without any."""
        return tuple(self.settings.get("tiou_thresholds", ()))

    @property
    def by_threshold(self) -> tuple[str, ...]:
        """Names of the metrics at each threshold."""
        return tuple(f"map_tiou_{t:.2f}" for t in self.tiou_thresholds if f"map_tiou_{t:.2f}" in self.metrics)

    def as_dict(self) -> dict[str, Any]:
        """For JSON. ``map`` and the lists of ``per_class_ap`` are in the order of ``tiou_thresholds``."""
        result: dict[str, Any] = {"protocol": self.protocol, "protocol_version": self.version}
        if self.by_threshold:
            names = self.by_threshold
            result |= {
                "tiou_thresholds": list(self.tiou_thresholds),
                "map": [self.metrics[name] for name in names],
                "average_map": self.metrics["avg_map"],
                "per_class_ap": {c: [values[name] for name in names] for c, values in self.per_class.items()},
            }
        else:
            result["per_class_ap"] = {c: dict(values) for c, values in self.per_class.items()}
        return {
            **result,
            "metrics": dict(self.metrics),
            "intervals": {name: list(interval) for name, interval in self.intervals.items()},
            "bootstrap": {"num_resamples": self.num_resamples, "over": "videos", "confidence": CONFIDENCE},
            "counts": dict(self.counts),
            "warnings": dict(self.warnings),
            "settings": dict(self.settings),
            "digests": dict(self.digests),
        }


def score_predictions(
    protocol: Any, found: Detections, truth: GroundTruth, *, num_resamples: int = 0, seed: int = 0
) -> Scorecard:
    """Score, and resample the videos if asked.

    Args:
        protocol: of :mod:`trainables.evaluation.protocols`, or a plug-in's.
        found: predictions of the kind the protocol takes.
        truth: ground truth.
        num_resamples: draws of the bootstrap over videos; 0 = none.
        seed: of the draws.

    Raises:
        ValueError: predictions or ground truth that cannot be scored.
    """
    matches = protocol.match(found, truth)
    metrics = dict(protocol.score(matches))
    intervals: dict[str, tuple[float, float]] = {}
    if num_resamples:
        draws = protocol.bootstrap(matches, num_resamples=num_resamples, seed=seed)
        tail = 100 * (1 - CONFIDENCE) / 2
        bounds = np.nanpercentile(draws, [tail, 100 - tail], axis=0)
        names = protocol.metric_names()
        intervals = {name: (float(low), float(high)) for name, low, high in zip(names, *bounds, strict=True)}
    settings = asdict(protocol)
    excluded = settings.pop("exclude_videos", ())
    return Scorecard(
        protocol=protocol.key,
        version=protocol.version,
        settings=settings,
        counts={
            "videos": int(protocol.num_videos(matches)),
            "classes": len(protocol.per_class_ap(matches)),
            "instances": int(np.sum(matches.num_gt)),
            "predictions": len(matches.score),
        },
        metrics={**metrics, **protocol.extras(found, truth)},
        intervals=intervals,
        num_resamples=num_resamples,
        per_class=protocol.per_class_ap(matches),
        warnings=dict(matches.warnings),
        digests={"class_names": digest(truth.class_names), "exclude_videos": digest(sorted(excluded))},
    )


def digest(names: Sequence[str]) -> str:
    """SHA-256 of a list of names, one a line."""
    return hashlib.sha256("".join(f"{name}\n" for name in names).encode()).hexdigest()
