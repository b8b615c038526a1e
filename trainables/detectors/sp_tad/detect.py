"""Inference of SP-TAD: from raw outputs to scored segments. Only this runs when inference values change.

Letters: W clips, N proposals, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from trainables.detections import Detections
from trainables.detectors.sp_tad.settings import Settings
from trainables.layers.nms import suppress
from trainables.layers.ranking import best_per_group
from trainables.layers.windows import Windows
from trainables.records import RawOutput


def detect_segments(raw: Sequence[RawOutput], config: Settings) -> Detections:
    """Scored segments of whole videos.

    Args:
        raw: clips of any number of videos; tensors ``class_logits`` (N, K), ``segments`` (N, 2) temporal samples, and,
            where the network has the head, ``act_probs`` (K,).
        config: with the inference values to use.

    Returns:
        Per video the best ``infer.max_detections``, in falling score.
    """
    infer = config.infer
    windows = Windows.of(raw)
    if not raw:
        none = np.zeros(0, np.int64)
        return Detections((), none, np.zeros((0, 2)), none, np.zeros(0))
    scores = torch.stack([_scores(r, infer.act_score_power) for r in raw])  # (W, N, K)
    num_proposals, num_classes = scores.shape[1:]
    pairs = num_proposals if infer.top_pairs is None else infer.top_pairs
    best, place = scores.flatten(1).topk(min(pairs, num_proposals * num_classes), dim=1)
    row, label = place // num_classes, place % num_classes
    window = torch.arange(len(raw))[:, None].expand_as(place)
    segments = torch.stack([_inside(r) for r in raw])[window, row]
    times = windows.seconds(segments.flatten(0, 1), window.flatten())
    score, label, video = best.flatten(), label.flatten(), windows.video[window.flatten()]
    rows = torch.nonzero((score >= infer.score_threshold) & (times[:, 1] > times[:, 0]))[:, 0]
    times, score, label, video = times[rows], score[rows], label[rows], video[rows]
    if infer.nms_sigma is not None:
        kept, score = suppress(
            times,
            score,
            video * num_classes + label,
            decay="gaussian",
            sigma=infer.nms_sigma,
            min_score=infer.nms_min_score,
        )
        times, label, video = times[kept], label[kept], video[kept]
    order = best_per_group(score, video, max_num=infer.max_detections)
    found = (part[order].numpy() for part in (video, times, label, score))
    return Detections(windows.video_ids, *found)


def _scores(r: RawOutput, power: float) -> Tensor:
    """(N, K) double probability of the segment's class, times that of the clip's."""
    probs = r.tensors["class_logits"].double().sigmoid()
    if "act_probs" in r.tensors:
        probs = probs * r.tensors["act_probs"].double() ** power
    return probs


def _inside(r: RawOutput) -> Tensor:
    """(N, 2) double segments cut to the clip, samples."""
    return r.tensors["segments"].double().clamp(0.0, float(r.num_samples))
