"""Annotated segments that say the same thing twice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from trainables.detections import GroundTruth


def without_near_duplicates(truth: GroundTruth, *, tolerance_s: float) -> tuple[GroundTruth, dict[str, int]]:
    """Ground truth without instances that repeat an earlier kept one of their video and class, or have no length.

    Source: sming256/OpenTAD:opentad/evaluations/builder.py.

    Args:
        truth: instances in file order.
        tolerance_s: seconds by which both start and end may differ.

    Returns:
        What is left, and how many went for which reason (without zeros).
    """
    has_length = ~(truth.segments_s[:, 1] <= truth.segments_s[:, 0])
    keep = has_length.copy()
    key = truth.video * len(truth.class_names) + truth.labels
    order = np.argsort(key, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(key[order])) + 1):
        for place, row in enumerate(rows):
            earlier = rows[:place][keep[rows[:place]]]
            near = np.abs(truth.segments_s[earlier] - truth.segments_s[row]) <= tolerance_s
            keep[row] &= not near.all(axis=1).any()
    counts = {
        "instances_without_length_left_out": int((~has_length).sum()),
        "near_duplicate_instances_left_out": int((has_length & ~keep).sum()),
    }
    left = replace(truth, video=truth.video[keep], segments_s=truth.segments_s[keep], labels=truth.labels[keep])
    return left, {name: count for name, count in counts.items() if count}
