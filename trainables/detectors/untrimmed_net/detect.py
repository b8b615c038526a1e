"""Inference of UntrimmedNet: runs of snippets above half of the highest class score.

Source: wanglimin/UntrimmedNet:matlab/thumos_detection.m. Differs: where no class passes its threshold the most probable
one counts, so that every video is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from trainables.detections import Detections
from trainables.detectors.untrimmed_net.config import Config
from trainables.layers.integral import mean_between
from trainables.layers.scored import ScoredSegments, likely_classes, to_detections, whole_videos
from trainables.records import RawOutput


def detect_runs(raw: Sequence[RawOutput], config: Config) -> Detections:
    """Scored segments of whole videos.

    Args:
        raw: one entry per video, tensors ``scp`` (K, T) and ``class_probs`` (K,).
        config: with the inference values to use.
    """
    ids = whole_videos(raw, config.key)
    settings = config.infer
    parts = [
        run_candidates(
            i, r, class_thr=settings.class_thr, tau=settings.tau, cls_weight=settings.cls_weight, smooth=settings.smooth
        )
        for i, r in enumerate(raw)
    ]
    return to_detections(ids, raw, ScoredSegments.of_all(parts), settings.top)


def run_candidates(
    video: int, r: RawOutput, *, class_thr: float, tau: float, cls_weight: float, smooth: bool
) -> ScoredSegments:
    """ScoredSegments of one video: score = mean of the run + ``cls_weight`` x class probability."""
    probs = r.tensors["class_probs"].double()
    classes = likely_classes(probs, class_thr)
    scores = r.tensors["scp"][classes, : r.num_samples].double()
    if smooth:
        scores = 0.5 * (scores + torch.cat([scores[:, 1:], scores[:, -1:]], dim=1))
    row, ends = runs(scores > tau * scores.amax(dim=1, keepdim=True))
    mean = mean_between(scores[row], ends[:, :1], ends[:, 1:])[:, 0]
    label = classes[row]
    return ScoredSegments(torch.full_like(row, video), label, mean + cls_weight * probs[label], ends)


def runs(above: Tensor) -> tuple[Tensor, Tensor]:
    """Runs of True in every row.

    Args:
        above: (S, T) bool.

    Returns:
        (n,) row and (n, 2) double start, end of each run, in samples.
    """
    change = torch.nn.functional.pad(above.to(torch.int8), (1, 1)).diff(dim=1)
    row, start = torch.nonzero(change == 1, as_tuple=True)
    _, end = torch.nonzero(change == -1, as_tuple=True)
    return row, torch.stack([start, end], dim=1).double()
