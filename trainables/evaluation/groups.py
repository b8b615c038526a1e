"""Detections and ground truth of the same video and class, side by side in padded arrays.

Matching goes through all groups at once, one detection (or one annotated segment) of every group a step: the number
of steps is that of the largest group, not that of the data set.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainables.detections import FloatArray, IntArray
from trainables.segments import paired_tiou


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
    det_key: IntArray, det_segments: FloatArray, gt_key: IntArray, gt_segments: FloatArray, least_tiou: float
) -> list[Groups]:
    """Groups by key, bucketed by size so that padding stays small.

    Args:
        det_key: (N,) one number per (video, class); detections in falling score within a key.
        det_segments: (N, 2).
        gt_key: (P,) the same numbers, file order within a key.
        gt_segments: (P, 2).
        least_tiou: detections that reach it with no segment of their group are left out.
    """
    gt_order = np.argsort(gt_key, kind="stable")
    keys, gt_start, gt_count = np.unique(gt_key[gt_order], return_index=True, return_counts=True)
    slot = np.searchsorted(keys, det_key)
    slot_safe = np.minimum(slot, max(len(keys) - 1, 0))
    candidates = np.flatnonzero((slot < len(keys)) & (keys[slot_safe] == det_key)) if len(keys) else np.zeros(0, int)
    # every pair of the candidates, flat
    group = slot[candidates]
    repeats = gt_count[group]
    pair_det = np.repeat(np.arange(len(candidates)), repeats)
    offset = np.arange(len(pair_det)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    pair_gt = gt_order[gt_start[group][pair_det] + offset]
    tiou = paired_tiou(det_segments[candidates[pair_det]], gt_segments[pair_gt])
    best = np.zeros(len(candidates))
    np.maximum.at(best, pair_det, tiou)
    kept = best >= least_tiou
    return _bucketed(candidates, group, gt_count, pair_det, offset, tiou, kept)


def _bucketed(
    candidates: IntArray,
    group: IntArray,
    gt_count: IntArray,
    pair_det: IntArray,
    offset: IntArray,
    tiou: FloatArray,
    kept: np.ndarray[tuple[int], np.dtype[np.bool_]],
) -> list[Groups]:
    used = np.flatnonzero(kept)
    order = used[np.argsort(group[used], kind="stable")]
    found, first, count = np.unique(group[order], return_index=True, return_counts=True)
    rank_of = np.full(len(candidates), -1)
    rank_of[order] = np.arange(len(order)) - np.repeat(first, count)
    row_of_group = np.full(len(gt_count), -1)
    result = []
    size_class = np.ceil(np.log2(gt_count[found])).astype(int) if len(found) else np.zeros(0, int)
    for size in np.unique(size_class):
        members = found[size_class == size]
        row_of_group[:] = -1
        row_of_group[members] = np.arange(len(members))
        depth, width = int(count[size_class == size].max()), int(gt_count[members].max())
        detection = np.full((len(members), depth), -1)
        matrix = np.full((len(members), depth, width), -1.0)
        inside = order[row_of_group[group[order]] >= 0]
        detection[row_of_group[group[inside]], rank_of[inside]] = candidates[inside]
        pairs = kept[pair_det] & (row_of_group[group[pair_det]] >= 0)
        owner = pair_det[pairs]
        matrix[row_of_group[group[owner]], rank_of[owner], offset[pairs]] = tiou[pairs]
        result.append(Groups(detection, matrix))
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
