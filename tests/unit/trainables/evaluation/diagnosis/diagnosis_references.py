"""DETAD's definitions one detection at a time: slow, and independent of the code under test.

Annotations are (video, start, end, class), detections (video, start, end, class, score), both in file order.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from trainables.detections import Detections, GroundTruth

Truth = list[tuple[str, float, float, str]]
Found = list[tuple[str, float, float, str, float]]
Takes = list[int | None]  # for every detection the annotation it takes


def arrays(videos: tuple[str, ...], classes: tuple[str, ...], gt: Truth, det: Found) -> tuple[Detections, GroundTruth]:
    """As the code under test takes them."""
    truth = GroundTruth(
        videos,
        classes,
        np.array([videos.index(g[0]) for g in gt], np.int64),
        np.array([g[1:3] for g in gt], np.float64).reshape(-1, 2),
        np.array([classes.index(g[3]) for g in gt], np.int64),
    )
    found = Detections(
        videos,
        np.array([videos.index(d[0]) for d in det], np.int64),
        np.array([d[1:3] for d in det], np.float64).reshape(-1, 2),
        np.array([classes.index(d[3]) for d in det], np.int64),
        np.array([d[4] for d in det], np.float64),
    )
    return found, truth


def tiou(a: tuple[float, float], b: tuple[float, float]) -> float:
    inter = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
    return inter / (a[1] - a[0] + b[1] - b[0] - inter)


def ranked(det: Found, label: str) -> list[int]:
    """Detections of a class by falling score, earlier in the file first."""
    return sorted((i for i, d in enumerate(det) if d[3] == label), key=lambda i: -det[i][4])


def takes(gt: Truth, det: Found, alpha: float) -> Takes:
    """ActivityNet's matching: the best free annotation that reaches alpha; equals: the later one."""
    result: Takes = [None] * len(det)
    for label in {d[3] for d in det}:
        taken = set()
        for i in ranked(det, label):
            best, best_tiou = None, alpha
            for j, g in enumerate(gt):
                value = tiou(det[i][1:3], g[1:3]) if g[0] == det[i][0] and g[3] == label else -1.0
                if j not in taken and value >= best_tiou:
                    best, best_tiou = j, value
            if best is not None:
                result[i] = best
                taken.add(best)
    return result


def error_type(gt: Truth, detection: tuple[str, float, float, str, float], took: int | None, alpha: float) -> int:
    """0 true positive, 1 double detection, 2 wrong label, 3 localisation, 4 confusion, 5 background."""
    if took is not None:
        return 0
    overlaps = [(tiou(detection[1:3], g[1:3]), g[3] == detection[3]) for g in gt if g[0] == detection[0]]
    if not overlaps:
        return 5
    largest, same_class = max(overlaps)  # of equals one of the same class: True > False
    if largest < 0.1:
        return 5
    if largest < alpha:
        return 3 if same_class else 4
    return 1 if same_class else 2


def mean_gt(gt: Truth) -> float:
    return len(gt) / len({g[3] for g in gt})


def curve(marks: list[bool], num_gt: int, n: float) -> list[tuple[float, float]]:
    """(recall, normalised precision) down to each rank."""
    points, tp, fp = [], 0, 0
    for hit in marks:
        tp, fp = tp + hit, fp + (not hit)
        recall = tp / num_gt
        points.append((recall, recall * n / (recall * n + fp)))
    return points


def ap_n(marks: list[bool], num_gt: int, n: float) -> float:
    """Interpolated AP_N as in the VOC toolkit: sentinels, envelope, sum where recall changes."""
    points = curve(marks, num_gt, n)
    recall = [0.0, *(r for r, _ in points), 1.0]
    precision = [0.0, *(p for _, p in points), 0.0]
    for k in range(len(precision) - 2, -1, -1):
        precision[k] = max(precision[k], precision[k + 1])
    return sum((recall[k] - recall[k - 1]) * precision[k] for k in range(1, len(recall)) if recall[k] != recall[k - 1])


def top(gt: Truth, det: Found, label: str, multiple: int) -> list[int]:
    """The best multiple x G detections of a class."""
    return ranked(det, label)[: multiple * sum(g[3] == label for g in gt)]


def type_counts(gt: Truth, det: Found, alpha: float, multiple: int) -> list[int]:
    took, counts = takes(gt, det, alpha), [0] * 6
    for label in {g[3] for g in gt}:
        for i in top(gt, det, label, multiple):
            counts[error_type(gt, det[i], took[i], alpha)] += 1
    return counts


def top_map_n(gt: Truth, det: Found, alpha: float, without: set[int], multiple: int = 10) -> float:
    """mAP_N of the best detections once those of some types are gone."""
    took, values = takes(gt, det, alpha), []
    for label in sorted({g[3] for g in gt}):
        rows = [i for i in top(gt, det, label, multiple) if error_type(gt, det[i], took[i], alpha) not in without]
        values.append(ap_n([took[i] is not None for i in rows], sum(g[3] == label for g in gt), mean_gt(gt)))
    return sum(values) / len(values)


def bucket_map_n(gt: Truth, det: Found, alphas: tuple[float, ...], inside: list[bool]) -> list[float] | None:
    """mAP_N of the annotations that are inside, at each threshold; None if there are none."""
    all_takes = [takes(gt, det, alpha) for alpha in alphas]
    labels = sorted({g[3] for g, held in zip(gt, inside, strict=True) if held})
    if not labels:
        return None
    result = []
    for took in all_takes:
        values = []
        for label in labels:
            rows = ranked(det, label)
            rows = [i for i in rows if all(t[i] is None or inside[t[i]] for t in all_takes)]
            num_gt = sum(held and g[3] == label for g, held in zip(gt, inside, strict=True))
            values.append(ap_n([took[i] is not None for i in rows], num_gt, mean_gt(gt)))
        result.append(sum(values) / len(values))
    return result


def missed(gt: Truth, det: Found, alpha: float, least_precision: float = 0.05) -> list[bool]:
    """Annotations that no detection takes at a normalised precision above the least one."""
    took, result = takes(gt, det, alpha), [True] * len(gt)
    for label in {g[3] for g in gt}:
        rows = ranked(det, label)
        points = curve([took[i] is not None for i in rows], sum(g[3] == label for g in gt), mean_gt(gt))
        for i, (_, precision) in zip(rows, points, strict=True):
            if took[i] is not None and precision > least_precision:
                result[took[i]] = False
    return result


def bucket_of(value: float, edges: tuple[float, ...]) -> int:
    """(edge, next edge], the first with its lower edge; -1 = none."""
    for b, (low, high) in enumerate(pairwise(edges)):
        if not math.isnan(value) and (low < value <= high or (b == 0 and value == low)):
            return b
    return -1
