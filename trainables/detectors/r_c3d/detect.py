"""Inference of R-C3D: from raw outputs to detections. Only this runs when inference values change.

Letters: W windows, P regions of a window, K classes, n candidates of all windows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from trainables.detections import Detections
from trainables.detectors.r_c3d.anchors import cut, half_open
from trainables.detectors.r_c3d.settings import Infer, Settings
from trainables.detectors.r_c3d.terms import OFFSET_STDS
from trainables.layers.nms import suppress
from trainables.layers.offsets import decode_centre_length
from trainables.layers.scored import ScoredSegments
from trainables.layers.windows import Windows
from trainables.records import RawOutput

#: Suppression in a video where neither a setting nor an evaluation threshold says it: that of tIoU 0.5.
VIDEO_NMS = 0.4


def detect_segments(raw: Sequence[RawOutput], config: Settings) -> Detections:
    """Detections of whole videos.

    Source: VisionLearningGroup/R-C3D:lib/tdcnn/test.py and experiments/*/test.

    Args:
        raw: one entry per window, tensors ``rois`` (P, 2) in samples, ``logits`` (P, K + 1), ``offsets`` (P, K + 1, 2)
            and ``count`` (), the number of rows that are regions.
        config: with the inference values to use.

    Returns:
        Per video in falling score.
    """
    windows = Windows.of(raw)
    infer, inclusive = config.infer, config.legacy_inclusive
    found = ScoredSegments.of_all(
        [_candidates(k, r, infer.score_thresh, inclusive=inclusive) for k, r in enumerate(raw)]
    )
    if len(found.score):
        kept = _hard(half_open(found.ends, inclusive=inclusive), found, found.video, infer.clip_nms)
        found = found.take(kept)
    times = windows.seconds(found.ends, found.video)
    times, found = _with_length(times, found)
    video = windows.video[found.video]
    return _merged(windows.video_ids, times, ScoredSegments(video, found.label, found.score, times), infer)


def _candidates(window: int, r: RawOutput, threshold: float, *, inclusive: bool) -> ScoredSegments:
    """Regions of one window under every class they are likely enough for, after regression, cut to the window."""
    count = int(r.tensors["count"])
    probs = r.tensors["logits"][:count].double().softmax(dim=1)[:, 1:]
    row, label = torch.nonzero(probs > threshold, as_tuple=True)
    stds = torch.tensor(OFFSET_STDS, dtype=torch.float64)
    offsets = r.tensors["offsets"][row, label + 1].double() * stds
    decoded = decode_centre_length(r.tensors["rois"][row].double(), offsets, inclusive=inclusive)
    ends = cut(decoded[None], torch.tensor([r.num_samples]), inclusive=inclusive)[0]
    found = ScoredSegments(torch.full_like(row, window), label, probs[row, label], ends)
    return _with_length(ends, found)[1]


def _with_length(segments: Tensor, found: ScoredSegments) -> tuple[Tensor, ScoredSegments]:
    """Without candidates that began behind the end of their window, or of their video."""
    rows = torch.nonzero(segments[:, 1] > segments[:, 0])[:, 0]
    return segments[rows], found.take(rows)


def _hard(segments: Tensor, found: ScoredSegments, group: Tensor, threshold: float) -> Tensor:
    """Rows left after suppression of each class of each group; tIoU exactly at the threshold is kept."""
    classes = group * (int(found.label.max()) + 1) + found.label
    above = math.nextafter(threshold, math.inf)
    return suppress(segments, found.score, classes, decay="hard", tiou_threshold=above)[0]


def _merged(ids: tuple[str, ...], times: Tensor, found: ScoredSegments, infer: Infer) -> Detections:
    """Suppression over all windows of a video."""
    if len(found.score) and infer.soft_nms_sigma is None:
        threshold = VIDEO_NMS if infer.video_nms is None else infer.video_nms
        found = found.take(_hard(times, found, found.video, threshold))
    elif len(found.score):
        classes = found.video * (int(found.label.max()) + 1) + found.label
        kept, score = suppress(times, found.score, classes, decay="gaussian", sigma=infer.soft_nms_sigma)
        found = ScoredSegments(found.video[kept], found.label[kept], score, found.ends[kept])
    start, video, label = found.ends[:, 0].numpy(), found.video.numpy(), found.label.numpy()
    order = np.lexsort((start, label, -found.score.numpy(), video))
    return Detections(ids, video[order], found.ends.numpy()[order], label[order], found.score.numpy()[order])
