"""Inference of PBRNet: from raw outputs to scored segments. Only this runs when inference values change.

The release has no inference code. Ours: the classes of RPD at the boundaries of FGD, weighted by the probability of
these boundaries, suppressed class by class over all windows of a video.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from trainables.detections import Detections
from trainables.detectors.pbrnet.settings import Settings
from trainables.layers.nms import suppress
from trainables.layers.windows import Windows
from trainables.records import RawOutput


def detect_segments(raw: Sequence[RawOutput], config: Settings) -> Detections:
    """Scored segments of whole videos.

    Args:
        raw: windows of any number of videos; tensors ``class_logits`` (N, K + 1), ``coarse_background`` (N,),
            ``segments`` (N, 2) temporal samples, ``boundary_probs`` (N, 2).
        config: with the inference values to use.

    Returns:
        Per video the best ``infer.top``, in falling score.
    """
    infer = config.infer
    windows = Windows.of(raw)
    if not raw:
        none = np.zeros(0, np.int64)
        return Detections((), none, np.zeros((0, 2)), none, np.zeros(0))
    scores = torch.stack([_class_scores(r, config) for r in raw])  # (W, N, K)
    window, row, label = torch.nonzero(scores >= infer.score_thresh, as_tuple=True)
    segments = windows.seconds(torch.stack([r.tensors["segments"] for r in raw])[window, row], window)
    real = segments[:, 1] > segments[:, 0]
    window, label, segments, kept_scores = window[real], label[real], segments[real], scores[window, row, label][real]
    video = windows.video[window]
    kept, final = suppress(
        segments,
        kept_scores,
        video * scores.shape[2] + label,
        decay="hard" if infer.soft_nms_sigma is None else "truncated_gaussian",
        tiou_threshold=math.nextafter(infer.pbr_nms, math.inf),
        sigma=infer.soft_nms_sigma,
        min_score=infer.score_thresh,
    )
    return _best_of_each(windows.video_ids, video[kept], segments[kept], label[kept], final, infer.top)


def _class_scores(r: RawOutput, config: Settings) -> Tensor:
    """(N, K) double scores of a window; 0 for segments that CPD or RPD rejects as background."""
    infer = config.infer
    limit = config.match.reject_bg_prob if infer.reject_bg_prob is None else infer.reject_bg_prob
    probs = r.tensors["class_logits"].double().softmax(-1)
    kept = (r.tensors["coarse_background"] < limit) & (probs[:, 0] < limit)
    scores = probs[:, 1:] * kept[:, None]
    if infer.pbr_score == "rpd_x_boundary":
        scores = scores * r.tensors["boundary_probs"].double().mean(dim=1, keepdim=True)
    return scores


def _best_of_each(
    video_ids: tuple[str, ...], video: Tensor, segments_s: Tensor, label: Tensor, score: Tensor, top: int
) -> Detections:
    """Per video the best ``top``, in falling score."""
    order = np.lexsort((segments_s[:, 0].numpy(), label.numpy(), -score.numpy(), video.numpy()))
    counts = np.bincount(video.numpy(), minlength=len(video_ids))
    rank = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    order = order[rank < top]
    return Detections(
        video_ids, video.numpy()[order], segments_s.numpy()[order], label.numpy()[order], score.numpy()[order]
    )
