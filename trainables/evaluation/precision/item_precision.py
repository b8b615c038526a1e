"""Average precision of items that are true or false by themselves, for many resamples of the videos at once.

Frames and points are many and their true ones few: between two true items, all that a resample needs is how many items
each video has there. These counts times the videos' weights are one sparse product; no item is looked at again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy import sparse

from trainables.detections import FloatArray
from trainables.evaluation.precision.average_precision import NORMAL_NEGATIVES, NORMAL_POSITIVES
from trainables.evaluation.precision.matches import TRUE_POSITIVE, Matches

ItemRule = Literal["plain", "normalised"]

#: Resamples side by side: their weights stay in a processor's cache.
_SIDE_BY_SIDE = 64


def item_ap(matches: Matches, weights: FloatArray, rules: Sequence[ItemRule]) -> list[FloatArray]:
    """AP of every class under weights of the videos, by each of the rules.

    The same numbers as :func:`trainables.evaluation.precision.average_precision.class_ap`, which says what the rules
    are.

    Args:
        matches: N items, K classes, V videos; one threshold, nothing ignored.
        weights: (R, V) non-negative.
        rules: S names.

    Returns:
        S times (R, K); NaN where a class has no true item under the weights.
    """
    results = [np.full((len(weights), len(matches.class_names)), np.nan) for _ in rules]
    positives = weights @ matches.num_gt
    blocks = [slice(k, k + _SIDE_BY_SIDE) for k in range(0, len(weights), _SIDE_BY_SIDE)]
    columns = [np.ascontiguousarray(weights[block].T) for block in blocks]
    for label in range(len(matches.class_names)):
        rows = matches.of_class(label)
        video = matches.video[rows]
        hits = np.flatnonzero(matches.outcome[rows, 0] == TRUE_POSITIVE)
        if not len(hits):
            continue
        between = _items_between(hits, video, len(matches.video_ids))
        for block, column in zip(blocks, columns, strict=True):
            own = positives[block, label]
            gained = column[video[hits]]
            counts = np.cumsum(between @ column, axis=0)
            for result, rule in zip(results, rules, strict=True):
                result[block, label] = _ap(gained, counts, own, rule)
    return results


def _items_between(hits: np.ndarray, video: np.ndarray, num_videos: int) -> sparse.csr_array:
    """(P + 1, V) items of each video from behind one true item up to the next; behind the last of P in the last row."""
    place = np.searchsorted(hits, np.arange(len(video)), side="left")
    counted = sparse.coo_array((np.ones(len(video)), (place, video)), shape=(len(hits) + 1, num_videos))
    return counted.tocsr()


def _ap(gained: FloatArray, counts: FloatArray, positives: FloatArray, rule: ItemRule) -> FloatArray:
    """(r,) AP from the (P, r) weights of true items, and (P + 1, r) of all items up to them and in all."""
    true = np.cumsum(gained, axis=0)
    counted = counts[:-1]
    if rule == "normalised":
        negatives = counts[-1] - positives
        rate = np.divide(positives, negatives, out=np.zeros_like(positives), where=negatives > 0)
        counted = true + (counted - true) * (rate * (NORMAL_NEGATIVES / NORMAL_POSITIVES))
    precision = np.divide(true, counted, out=np.zeros_like(counted), where=counted > 0)
    result: FloatArray = (gained * precision).sum(axis=0) / np.where(positives > 0, positives, np.nan)
    return result
