"""Detections and ground truth of the same video and class, side by side in padded arrays.

Matching goes through all groups at once, one detection (or one annotated segment) of every group a step: the number
of steps is that of the largest group, not that of the data set.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from trainables.detections import FloatArray, IntArray

#: (n, 2) and (n, 2) segments -> (n,) tIoU.
PairedTiou = Callable[[FloatArray, FloatArray], FloatArray]


@dataclass(frozen=True)
class Groups:
    """G groups with both detections and ground truth; D and M are the largest numbers of each in a group.

    Attributes:
        detection: (G, D) index of the detection, falling score; -1 = padding.
        tiou: (G, D, M) of each pair; -1 = padding.
    """

    detection: IntArray
    tiou: FloatArray


def make_groups(
    det_key: IntArray,
    det_segments: FloatArray,
    gt_key: IntArray,
    gt_segments: FloatArray,
    *,
    least_tiou: float,
    paired_tiou: PairedTiou,
) -> list[Groups]:
    """Groups by key, bucketed by size so that padding at most doubles each side.

    Args:
        det_key: (N,) one number per (video, class); detections in falling score within a key.
        det_segments: (N, 2).
        gt_key: (P,) the same numbers, file order within a key; P > 0.
        gt_segments: (P, 2).
        least_tiou: detections that reach it with no segment of their group are left out.
        paired_tiou: the protocol's overlap.
    """
    gt_order = np.argsort(gt_key, kind="stable")
    keys, gt_first, gt_count = np.unique(gt_key[gt_order], return_index=True, return_counts=True)
    group = np.minimum(np.searchsorted(keys, det_key), len(keys) - 1)
    shared = np.flatnonzero(keys[group] == det_key)
    group = group[shared]
    # every detection beside every segment of its group, flat
    owner = np.repeat(np.arange(len(shared)), gt_count[group])
    column = _count_up(gt_count[group])
    segment = gt_order[gt_first[group][owner] + column]
    tiou = paired_tiou(det_segments[shared[owner]], gt_segments[segment])

    reaches = np.zeros(len(shared), bool)
    reaches[owner[tiou >= least_tiou]] = True
    depth = np.bincount(group[reaches], minlength=len(keys))
    bucket = _octave(gt_count) * 64 + _octave(depth)
    result = []
    for number in np.unique(bucket[group[reaches]]):
        members = np.flatnonzero(reaches & (bucket[group] == number))
        members = members[np.argsort(group[members], kind="stable")]
        rows, row = np.unique(group[members], return_inverse=True)
        rank = _count_up(depth[rows])
        shape = (len(rows), int(depth[rows].max()))
        detection = np.full(shape, -1)
        detection[row, rank] = shared[members]
        place = np.full(len(shared), -1)
        place[members] = np.arange(len(members))
        pairs = np.flatnonzero(place[owner] >= 0)
        at = place[owner[pairs]]
        matrix = np.full((*shape, int(gt_count[rows].max())), -1.0)
        matrix[row[at], rank[at], column[pairs]] = tiou[pairs]
        result.append(Groups(detection, matrix))
    return result


def _count_up(lengths: IntArray) -> IntArray:
    """0, 1, ... anew for every length: [2, 3] -> [0, 1, 0, 1, 2]."""
    ends = np.cumsum(lengths)
    result: IntArray = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - lengths, lengths)
    return result


def _octave(counts: IntArray) -> IntArray:
    """Equal for counts within a factor of two."""
    result: IntArray = np.ceil(np.log2(np.maximum(counts, 1))).astype(np.int64)
    return result


def detections_choose(groups: Groups, thresholds: FloatArray) -> tuple[IntArray, IntArray]:
    """Each detection in turn takes the best free segment with tIoU >= threshold (ActivityNet's rule).

    Equal tIoU: the later segment of the file, as the official reversed sort does.

    Args:
        groups: one bucket.
        thresholds: (H,).

    Returns:
        Detection indices and threshold indices of the true positives.
    """
    num_groups, depth, width = groups.tiou.shape
    taken = np.zeros((num_groups, width, len(thresholds)), bool)
    hit_det, hit_thr = [], []
    for step in range(depth):
        rows = np.flatnonzero(groups.detection[:, step] >= 0)
        values = groups.tiou[rows, step, ::-1]  # reversed: argmax then finds the later of equals
        free = ~taken[rows][:, ::-1] & (values[:, :, None] >= thresholds)
        masked = np.where(free, values[:, :, None], -2.0)
        choice = masked.argmax(axis=1)  # (rows, H)
        hit_row, hit = np.nonzero(np.take_along_axis(free, choice[:, None], axis=1)[:, 0])
        taken[rows[hit_row], width - 1 - choice[hit_row, hit], hit] = True
        hit_det.append(groups.detection[rows[hit_row], step])
        hit_thr.append(hit)
    return np.concatenate(hit_det), np.concatenate(hit_thr)


def segments_choose(groups: Groups, thresholds: FloatArray) -> tuple[IntArray, IntArray]:
    """Each segment in file order takes the best free detection with tIoU > threshold (the THUMOS'14 toolkit's rule).

    Equal tIoU: the higher-scored detection.

    Args:
        groups: one bucket.
        thresholds: (H,).

    Returns:
        Detection indices and threshold indices of the true positives.
    """
    num_groups, depth, width = groups.tiou.shape
    taken = np.zeros((num_groups, depth, len(thresholds)), bool)
    hit_det, hit_thr = [], []
    for step in range(width):
        values = groups.tiou[:, :, step]
        masked = np.where(taken, -2.0, values[:, :, None])
        choice = masked.argmax(axis=1)
        best = np.take_along_axis(masked, choice[:, None], axis=1)[:, 0]
        row, hit = np.nonzero(best > thresholds)
        taken[row, choice[row, hit], hit] = True
        hit_det.append(groups.detection[row, choice[row, hit]])
        hit_thr.append(hit)
    return np.concatenate(hit_det), np.concatenate(hit_thr)
