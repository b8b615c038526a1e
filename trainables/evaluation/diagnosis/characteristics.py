"""What is known of every annotated instance beside its class: how long it is, how often the class occurs, ..."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from trainables.detections import FloatArray, GroundTruth, IntArray
from trainables.evaluation.checks import check_ground_truth
from trainables.evaluation.diagnosis.buckets import Buckets, quantile_buckets
from trainables.evaluation.diagnosis.jsonable import jsonable


@dataclass(frozen=True)
class Characteristic:
    """One number for each of P instances, and the ranges it is grouped by.

    Attributes:
        name: for instance ``coverage``.
        values: (P,), NaN = unknown.
        buckets: B ranges.
    """

    name: str
    values: FloatArray
    buckets: Buckets

    @cached_property
    def bucket(self) -> IntArray:
        """(P,) index of the range; -1 for an instance in none (unknown, or outside the edges)."""
        return self.buckets.index(self.values)

    @property
    def num_instances(self) -> IntArray:
        """(B,) instances in each range."""
        return np.bincount(self.bucket[self.bucket >= 0], minlength=len(self.buckets.names))

    def to_dict(self) -> dict[str, Any]:
        """For JSON; an open end is None."""
        return {
            "buckets": list(self.buckets.names),
            "edges": jsonable(self.buckets.edges),
            "num_instances": self.num_instances.tolist(),
            "num_in_no_bucket": int((self.bucket < 0).sum()),
        }


def annotated_characteristics(truth: GroundTruth, durations_s: Mapping[str, float]) -> dict[str, FloatArray]:
    """The characteristics that follow from annotations and durations alone.

    Source: Alwassel et al. 2018.

    Args:
        truth: P segments.
        durations_s: video id -> seconds; further videos are ignored.

    Returns:
        (P,) each: ``coverage`` (length / duration of the video, above 1 where an annotation is longer than its video),
        ``length_s`` (seconds), ``num_instances`` (segments of the class in the video).

    Raises:
        ValueError: ground truth that cannot be scored, or a video with segments whose duration is missing or not a
            positive number; the first is named.
    """
    check_ground_truth(truth)
    duration = np.full(len(truth.video_ids), np.nan)
    for video in np.unique(truth.video).tolist():
        video_id = truth.video_ids[video]
        duration[video] = durations_s.get(video_id, np.nan)
        if not 0 < duration[video] < np.inf:
            state = f"{duration[video]} s" if video_id in durations_s else "missing"
            raise ValueError(f"durations: video '{video_id}' is {state}; coverage needs a positive number of seconds")
    length = truth.segments_s[:, 1] - truth.segments_s[:, 0]
    key = truth.video * len(truth.class_names) + truth.labels
    _, row, count = np.unique(key, return_inverse=True, return_counts=True)
    return {
        "coverage": length / duration[truth.video],
        "length_s": length,
        "num_instances": count[row].astype(np.float64),
    }


def characterise(values: Mapping[str, FloatArray], buckets: Mapping[str, Buckets]) -> tuple[Characteristic, ...]:
    """Characteristics in the order of ``values``; quantile buckets for those without buckets of their own.

    Raises:
        ValueError: a characteristic without any known value and without buckets; it is named.
    """
    made = []
    for name, column in values.items():
        try:
            made.append(Characteristic(name, column, buckets.get(name) or quantile_buckets(column)))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    return tuple(made)
