"""Recall of the best-scored detections, as ActionFormer and OpenTAD report it beside mAP."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trainables.detections import FloatArray
from trainables.evaluation.detection.alignment import Aligned
from trainables.evaluation.detection.groups import pair_up
from trainables.evaluation.ranks import count_up
from trainables.segments import paired_tiou


def recall_at_multiples(aligned: Aligned, multiples: Sequence[int], thresholds: Sequence[float]) -> FloatArray:
    """Mean over classes of the share of instances that one of the best detections reaches.

    Of each class and video with n instances the k * n best-scored detections are kept; an instance is recalled if any
    of them has tIoU >= threshold with it. Instances of a class are pooled over the videos.

    Source: sming256/OpenTAD:opentad/evaluations/mAP.py, ``compute_topkx_recall_detection``.

    Args:
        aligned: N detections beside the ground truth.
        multiples: k values.
        thresholds: H tIoU thresholds.

    Returns:
        (len(multiples), H); classes without instances are left out of the mean.
    """
    truth, num_classes = aligned.truth, len(aligned.truth.class_names)
    det_key, gt_key = aligned.video * num_classes + aligned.labels, truth.video * num_classes + truth.labels
    pairs = pair_up(det_key, gt_key)
    order = np.argsort(det_key, kind="stable")  # falling score within a key
    rank = np.empty(len(det_key), np.int64)
    rank[order] = count_up(np.unique(det_key, return_counts=True)[1])
    tiou = paired_tiou(aligned.segments_s[pairs.detection], truth.segments_s[pairs.segment])
    allowed = pairs.num_segments[pairs.group[pairs.detection]]
    num_gt = np.bincount(truth.labels, minlength=num_classes)
    present = num_gt > 0
    result = np.zeros((len(multiples), len(thresholds)))
    for i, multiple in enumerate(multiples):
        kept = rank[pairs.detection] < multiple * allowed
        best = np.zeros(len(truth.labels))
        np.maximum.at(best, pairs.segment[kept], tiou[kept])
        for h, threshold in enumerate(thresholds):
            found = np.bincount(truth.labels[best >= threshold], minlength=num_classes)
            result[i, h] = np.mean(found[present] / num_gt[present])
    return result
