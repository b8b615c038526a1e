"""Average precision that does not depend on how many instances a class or bucket has: DETAD's AP_N.

Plain precision rises with the number of instances, so classes or buckets of different size cannot be compared. DETAD
writes it with the recall R and the number F of false positives, and puts one N for every class in place of the class's
own number of instances (after Hoiem et al., "Diagnosing Error in Object Detectors", ECCV 2012):

    precision_N = R N / (R N + F),    N = annotated segments / classes that have any

Source: HumamAlwassel/DETAD: src/action_detector_diagnosis.py. Differs: N is not rounded down (there: a whole number
under Python 2).

Letters: n detections of one class in falling score, N_all of all classes, H thresholds, K classes.
"""

from __future__ import annotations

import numpy as np

from trainables.detections import FloatArray, IntArray
from trainables.evaluation.checks import BoolArray
from trainables.evaluation.diagnosis.assignment import Assignment


def normalized_precision(hits: BoolArray, misses: BoolArray, *, num_gt: int, mean_gt: float) -> FloatArray:
    """Normalised precision of the detections down to each rank.

    Args:
        hits: (n, H) true positives, falling score.
        misses: (n, H) false positives; a detection that is neither is as good as absent.
        num_gt: instances of the class, > 0.
        mean_gt: DETAD's N.

    Returns:
        (n, H) in [0, 1]; 0 before the first hit.
    """
    expected = np.cumsum(hits, axis=0) * (mean_gt / num_gt)
    total = expected + np.cumsum(misses, axis=0)
    return np.divide(expected, total, out=np.zeros_like(expected), where=total > 0)


def normalized_ap(hits: BoolArray, misses: BoolArray, *, num_gt: int, mean_gt: float) -> FloatArray:
    """(H,) interpolated AP_N of one class; arguments as in :func:`normalized_precision`.

    Every hit gains 1 / num_gt of recall at the best precision from there on.
    """
    precision = normalized_precision(hits, misses, num_gt=num_gt, mean_gt=mean_gt)
    envelope = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    result: FloatArray = (envelope * hits).sum(axis=0) / num_gt
    return result


def map_n(made: Assignment, hits: BoolArray, misses: BoolArray, num_gt: IntArray | None = None) -> FloatArray:
    """Mean over classes of AP_N for a choice among the detections.

    Args:
        made: the assignment; its N normalises whatever the choice.
        hits: (N_all, H) the true positives that count.
        misses: (N_all, H) the false positives that count.
        num_gt: (K,) instances that count; None = all. Classes without any are left out of the mean.

    Returns:
        (H,) in [0, 1]; NaN where no class has instances.
    """
    counts = made.num_gt if num_gt is None else num_gt
    present = np.flatnonzero(counts)
    if not len(present):
        return np.full(hits.shape[1], np.nan)
    first, mean_gt = made.class_first, made.mean_gt
    total = np.zeros(hits.shape[1])
    for label in present:
        rows = slice(first[label], first[label + 1])
        total += normalized_ap(hits[rows], misses[rows], num_gt=int(counts[label]), mean_gt=mean_gt)
    return total / len(present)
