"""Scored segments of whole videos on their way to detections: classes that count, hard suppression, seconds.

Letters: n candidates over all videos, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trainables.detections import Detections
from trainables.layers.nms import suppress
from trainables.records import RawOutput


@dataclass(frozen=True)
class ScoredSegments:
    """Scored segments of several videos, flat.

    Attributes:
        video: (n,) index of the video.
        label: (n,) class id.
        score: (n,) double, any sign.
        ends: (n, 2) double, start and end in temporal samples of the video's input.
    """

    video: Tensor
    label: Tensor
    score: Tensor
    ends: Tensor

    @staticmethod
    def of_all(parts: Sequence[ScoredSegments]) -> ScoredSegments:
        """The candidates of several videos one after the other."""
        if not parts:
            none = torch.zeros(0, dtype=torch.long)
            return ScoredSegments(none, none, torch.zeros(0).double(), torch.zeros(0, 2).double())
        return ScoredSegments(
            torch.cat([p.video for p in parts]),
            torch.cat([p.label for p in parts]),
            torch.cat([p.score for p in parts]),
            torch.cat([p.ends for p in parts]),
        )

    def take(self, rows: Tensor) -> ScoredSegments:
        """Some of them."""
        return ScoredSegments(self.video[rows], self.label[rows], self.score[rows], self.ends[rows])


def whole_videos(raw: Sequence[RawOutput], detector: str) -> tuple[str, ...]:
    """Ids of the videos.

    Raises:
        ValueError: a video comes in more than one piece.
    """
    ids = tuple(r.video_id for r in raw)
    if len(set(ids)) != len(ids):
        twice = next(video_id for video_id in ids if ids.count(video_id) > 1)
        raise ValueError(f"{detector} reads whole videos; '{twice}' has more than one input")
    return ids


def likely_classes(video_probs: Tensor, threshold: float) -> Tensor:
    """Ids of the classes above the threshold; where there is none, the most probable one.

    Args:
        video_probs: (K,).
        threshold: a class at it does not count.
    """
    classes = torch.nonzero(video_probs > threshold)[:, 0]
    return classes if len(classes) else video_probs.argmax()[None]


def suppress_hard(candidates: ScoredSegments, threshold: float) -> ScoredSegments:
    """Hard suppression per video and class; tIoU exactly at the threshold is kept, as zhengshou/AutoLoc has it."""
    if len(candidates.score) == 0:
        return candidates
    # suppression takes positive scores, and their order is all that counts here
    positive = candidates.score - candidates.score.min() + 1.0
    group = candidates.video * (int(candidates.label.max()) + 1) + candidates.label
    kept, _ = suppress(
        candidates.ends, positive, group, decay="hard", tiou_threshold=math.nextafter(threshold, math.inf)
    )
    return candidates.take(kept)


def to_detections(ids: tuple[str, ...], raw: Sequence[RawOutput], candidates: ScoredSegments, top: int) -> Detections:
    """ScoredSegments in seconds, cut to the videos.

    Args:
        ids: of the videos.
        raw: their inputs, in the same order.
        candidates: after suppression.
        top: at most so many of each video.

    Returns:
        Per video the best ``top``, in falling score; what has no length inside its video is left out.
    """
    video = candidates.video.numpy()
    scale, start, limit = (
        np.asarray([getattr(r, name) for r in raw], np.float64)
        for name in ("seconds_per_sample", "start_s", "duration_s")
    )
    times = candidates.ends.numpy() * scale[video, None] + start[video, None]
    times = np.minimum(np.maximum(times, 0.0), limit[video, None])
    label, score = candidates.label.numpy(), candidates.score.numpy()
    order = np.lexsort((times[:, 0], label, -score, video))
    order = order[times[order, 1] > times[order, 0]]
    counts = np.bincount(video[order], minlength=len(ids))
    rank = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    order = order[rank < top]
    return Detections(ids, video[order], times[order], label[order], score[order])
