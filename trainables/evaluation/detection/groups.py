"""Detections and ground truth of the same video and class, side by side in padded arrays.

Matching goes through all groups at once, one detection (or one annotated segment) of every group a step: the number
of steps is that of the largest group, not that of the data set.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from trainables.detections import FloatArray, IntArray
from trainables.evaluation.ranks import count_up

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


@dataclass(frozen=True)
class Pairs:
    """Every detection beside every segment of its key, flat; N detections, G keys of the ground truth, Q pairs.

    Attributes:
        detection: (Q,) index of the detection.
        segment: (Q,) index of the segment.
        place: (Q,) which one of its key the segment is, file order.
        group: (N,) index of the detection's key among those of the ground truth; -1 = no segment has it.
        num_segments: (G,) segments of each key.
    """

    detection: IntArray
    segment: IntArray
    place: IntArray
    group: IntArray
    num_segments: IntArray


def pair_up(det_key: IntArray, gt_key: IntArray) -> Pairs:
    """Pairs of equal keys.

    Args:
        det_key: (N,) one number per detection.
        gt_key: (P,) one per segment; P > 0.
    """
    gt_order = np.argsort(gt_key, kind="stable")
    keys, gt_first, gt_count = np.unique(gt_key[gt_order], return_index=True, return_counts=True)
    group = np.minimum(np.searchsorted(keys, det_key), len(keys) - 1)
    group = np.where(keys[group] == det_key, group, -1)
    shared = np.flatnonzero(group >= 0)
    count = gt_count[group[shared]]
    detection = np.repeat(shared, count)
    place = count_up(count)
    return Pairs(detection, gt_order[gt_first[group[detection]] + place], place, group, gt_count)


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
    pairs = pair_up(det_key, gt_key)
    owner, column = pairs.detection, pairs.place
    tiou = paired_tiou(det_segments[owner], gt_segments[pairs.segment])
    group, gt_count = pairs.group, pairs.num_segments

    reaches = np.zeros(len(det_key), bool)
    reaches[owner[tiou >= least_tiou]] = True
    depth = np.bincount(group[reaches], minlength=len(gt_count))
    bucket = _octave(gt_count) * 64 + _octave(depth)
    result = []
    for number in np.unique(bucket[group[reaches]]):
        members = np.flatnonzero(reaches & (bucket[group] == number))
        members = members[np.argsort(group[members], kind="stable")]
        rows, row = np.unique(group[members], return_inverse=True)
        rank = count_up(depth[rows])
        shape = (len(rows), int(depth[rows].max()))
        detection = np.full(shape, -1)
        detection[row, rank] = members
        place = np.full(len(det_key), -1)
        place[members] = np.arange(len(members))
        own = np.flatnonzero(place[owner] >= 0)
        at = place[owner[own]]
        matrix = np.full((*shape, int(gt_count[rows].max())), -1.0)
        matrix[row[at], rank[at], column[own]] = tiou[own]
        result.append(Groups(detection, matrix))
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
    detection, threshold, _ = detections_choose_segments(groups, thresholds)
    return detection, threshold


def detections_choose_segments(groups: Groups, thresholds: FloatArray) -> tuple[IntArray, IntArray, IntArray]:
    """As :func:`detections_choose`, with the place of the chosen segment in its group, in file order."""
    # reversed: the first of equals is then the later one
    backwards = replace(groups, tiou=groups.tiou[:, :, ::-1])
    detection, threshold, place = _in_turn(backwards, thresholds, lambda tiou: tiou)
    return detection, threshold, groups.tiou.shape[2] - 1 - place


def detections_take_first(groups: Groups, thresholds: FloatArray) -> tuple[IntArray, IntArray]:
    """Each detection in turn takes the first free segment of the file with tIoU >= threshold (W-TALC's rule).

    Args:
        groups: one bucket.
        thresholds: (H,).

    Returns:
        Detection indices and threshold indices of the true positives.
    """
    detection, threshold, _ = _in_turn(groups, thresholds, np.ones_like)
    return detection, threshold


def _in_turn(
    groups: Groups, thresholds: FloatArray, worth: Callable[[FloatArray], FloatArray]
) -> tuple[IntArray, IntArray, IntArray]:
    """Each detection in turn takes the free segment worth most among those that reach the threshold."""
    num_groups, depth, width = groups.tiou.shape
    taken = np.zeros((num_groups, width, len(thresholds)), bool)
    hit_det, hit_thr, hit_place = [], [], []
    for step in range(depth):
        rows = np.flatnonzero(groups.detection[:, step] >= 0)
        tiou = groups.tiou[rows, step]
        free = ~taken[rows] & (tiou[:, :, None] >= thresholds)
        choice = np.where(free, worth(tiou)[:, :, None], -2.0).argmax(axis=1)  # (rows, H)
        hit_row, hit = np.nonzero(np.take_along_axis(free, choice[:, None], axis=1)[:, 0])
        place = choice[hit_row, hit]
        taken[rows[hit_row], place, hit] = True
        hit_det.append(groups.detection[rows[hit_row], step])
        hit_thr.append(hit)
        hit_place.append(place)
    return np.concatenate(hit_det), np.concatenate(hit_thr), np.concatenate(hit_place)


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
