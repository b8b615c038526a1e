"""Detections and their contrast scores at inference."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch

from trainables.aux_tasks.contrast_eval.judge import judge_segments, window_snippets
from trainables.detections import Detections, FloatArray
from trainables.records import RawOutput
from trainables.segments import seconds_to_grid


def contrast_of_detections(
    detections: Detections, raw: Sequence[RawOutput], *, name: str, window_s: float, ratio: float
) -> FloatArray:
    """Contrast score of every detection, from stored class scores.

    Of a video in several windows, the one that shows most of a detection judges it; of equal ones the earlier.

    Args:
        detections: of whole videos.
        raw: stored outputs of the same videos.
        name: of the (K, T) class scores among their tensors.
        window_s: pooling window, seconds.
        ratio: of the regions at the boundaries.

    Returns:
        (N,) double.
    """
    scores = np.zeros(len(detections.scores))
    shown = np.full(len(detections.scores), -1.0)
    place = {video_id: i for i, video_id in enumerate(detections.video_ids)}
    for r in raw:
        rows = np.flatnonzero(detections.video == place[r.video_id])
        grid = seconds_to_grid(detections.segments_s[rows], start_s=r.start_s, seconds_per_sample=r.seconds_per_sample)
        inside = np.clip(grid, 0.0, r.num_samples)
        # in seconds, for windows of one video may differ in their rate
        visible = (inside[:, 1] - inside[:, 0]) * r.seconds_per_sample
        better = visible > shown[rows]
        rows, grid = rows[better], grid[better]
        shown[rows] = visible[better]
        scores[rows] = judge_segments(
            r.tensors[name][None, :, : r.num_samples],
            torch.ones(1, r.num_samples, dtype=torch.bool),
            torch.zeros(len(rows), dtype=torch.long),
            torch.from_numpy(detections.labels[rows]),
            torch.from_numpy(grid),
            windows=[window_snippets(window_s, r.seconds_per_sample)],
            ratio=ratio,
        ).numpy()
    return scores


def rescored(
    detections: Detections, contrast: FloatArray, *, how: Literal["gate", "add"], kappa: float, eta: float
) -> Detections:
    """Detections with their scores changed, in the same order.

    Args:
        detections: N of them.
        contrast: (N,) s.
        how: "gate": score x g with g = sigmoid(kappa (s - 1/2)); a score below 0 is divided by g instead, so that a low
            contrast never raises it. "add": score + eta s.
        kappa: see above.
        eta: see above.
    """
    scores = detections.scores
    if how == "add":
        return dataclasses.replace(detections, scores=scores + eta * contrast)
    gate = 1.0 / (1.0 + np.exp(-kappa * (contrast - 0.5)))
    return dataclasses.replace(detections, scores=np.where(scores >= 0, scores * gate, scores / gate))
