"""Average precision of matched detections, also for resampled videos without matching again."""

from __future__ import annotations

from typing import Literal

import numpy as np

from trainables.detections import FloatArray, IntArray
from trainables.evaluation.precision.matches import IGNORED, TRUE_POSITIVE, Matches, Outcomes

Rule = Literal["interpolated", "plain", "normalised"]

#: Numbers of positive and negative items that the normalised rule pretends every class to have.
#: Source: the Python evaluator of Charades' authors for temporal segmentation (``N_all``, ``F_all``).
NORMAL_POSITIVES, NORMAL_NEGATIVES = 1100.0, 45000.0

#: Numbers held at once while resampling.
_CHUNK = 1 << 22


def class_ap(matches: Matches, weights: FloatArray, rule: Rule) -> FloatArray:
    """AP of every class at every threshold under weights of the videos.

    A weight of w counts every detection and segment of the video w times; copies of one detection stand at one rank.

    Args:
        matches: N detections, K classes, H thresholds, V videos.
        weights: (R, V) non-negative; ones give the ordinary AP.
        rule: "interpolated": each precision replaced by the largest at its recall or beyond; "plain": precision at
            every true positive; "normalised": the same with u * tp / (u * tp + v * fp) for precision, where u and v
            bring the class to ``NORMAL_POSITIVES`` and ``NORMAL_NEGATIVES`` items (Hoiem et al., ECCV 2012, fix the
            positives only). Items are positive or negative by themselves there: none is ignored.

    Returns:
        (R, K, H); NaN where a class has no ground truth under the weights.
    """
    num_classes, num_thresholds = len(matches.class_names), len(matches.tiou_thresholds)
    result = np.full((len(weights), num_classes, num_thresholds), np.nan)
    positives = weights @ matches.num_gt  # (R, K)
    for label in range(num_classes):
        rows = matches.of_class(label)
        size = max(rows.stop - rows.start, 1)
        step = max(1, _CHUNK // size)
        for first in range(0, len(weights), step):
            part = slice(first, first + step)
            result[part, label] = _one_class(
                weights[part][:, matches.video[rows]], matches.outcome[rows], positives[part, label], rule
            )
    return result


def _one_class(weight: FloatArray, outcome: Outcomes, positives: FloatArray, rule: Rule) -> FloatArray:
    """(R, H) AP from (R, n) weights of detections in falling score and their (n, H) outcomes."""
    ap = np.zeros((len(weight), outcome.shape[1]))
    everything = np.cumsum(weight, axis=1)
    for h in range(outcome.shape[1]):
        hits = np.flatnonzero(outcome[:, h] == TRUE_POSITIVE)
        gained = weight[:, hits]
        counted = everything[:, hits] - _weight_before(weight, np.flatnonzero(outcome[:, h] == IGNORED), hits)
        true = np.cumsum(gained, axis=1)
        if rule == "normalised":
            counted = true + (counted - true) * _exchange_rate(everything, positives)[:, None]
        precision = np.divide(true, counted, out=np.zeros_like(counted), where=counted > 0)
        if rule == "interpolated":
            precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        ap[:, h] = (gained * precision).sum(axis=1)
    return ap / np.where(positives > 0, positives, np.nan)[:, None]


def _exchange_rate(everything: FloatArray, positives: FloatArray) -> FloatArray:
    """(R,) what one negative item counts where a positive one counts 1."""
    negatives = everything[:, -1] - positives if everything.shape[1] else np.zeros(len(positives))
    rate = np.divide(positives, negatives, out=np.zeros_like(positives), where=negatives > 0)
    result: FloatArray = rate * (NORMAL_NEGATIVES / NORMAL_POSITIVES)
    return result


def _weight_before(weight: FloatArray, ignored: IntArray, hits: IntArray) -> FloatArray:
    """(R, len(hits)) weight of the ignored detections above each hit."""
    running = np.zeros((len(weight), len(ignored) + 1))
    np.cumsum(weight[:, ignored], axis=1, out=running[:, 1:])
    return running[:, np.searchsorted(ignored, hits)]


def mean_over_classes(ap: FloatArray) -> FloatArray:
    """(R, H) mean of (R, K, H) over the classes with ground truth; NaN where no class has any."""
    present = ~np.isnan(ap)
    count = present.sum(axis=1).astype(np.float64)
    total = np.where(present, ap, 0.0).sum(axis=1)
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
