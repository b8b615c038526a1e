"""Frame scores as segments, to be looked at; no protocol scores them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from trainables.detections import Detections, FloatArray, FrameScores
from trainables.evaluation.frames.labels import frame_middles


def frame_runs(found: FrameScores, durations_s: Mapping[str, float]) -> Detections:
    """Runs of frames whose logit is above 0; the score of a run is its mean probability.

    Args:
        found: logits; ``times_s`` are the middles of the frames.
        durations_s: video id -> seconds, for frames without times.

    Returns:
        A run reaches from half-way to the frame in front of it to half-way to the one behind it.
    """
    rows: list[tuple[FloatArray, ...]] = [(np.zeros(0),) * 5]
    for v, video_id in enumerate(found.video_ids):
        own = slice(*found.first_frame[v : v + 2].tolist())
        scores = found.scores[own]
        if len(scores):
            times = frame_middles(len(scores), durations_s[video_id]) if found.times_s is None else found.times_s[own]
            label, start, end, mean = _runs(scores, _edges(times))
            rows.append((np.full(len(label), float(v)), label, start, end, mean))
    video, labels, starts, ends, means = (np.concatenate(column) for column in zip(*rows, strict=True))
    segments_s = np.stack([starts, ends], axis=1)
    return Detections(found.video_ids, video.astype(np.int64), segments_s, labels.astype(np.int64), means)


def _edges(times_s: FloatArray) -> FloatArray:
    """(n + 1,) borders of n frames; a single one reaches from 0 as far behind its middle."""
    halves = np.diff(times_s) / 2 if len(times_s) > 1 else times_s
    first, last = max(0.0, times_s[0] - halves[0]), times_s[-1] + halves[-1]
    return np.concatenate([[first], (times_s[1:] + times_s[:-1]) / 2, [last]])


def _runs(scores: FloatArray, edges_s: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Class, start, end and mean probability of every run."""
    change = np.diff(np.pad(scores > 0, ((1, 1), (0, 0))).astype(np.int8), axis=0).T
    label, first = np.nonzero(change == 1)
    _, last = np.nonzero(change == -1)
    sums = np.pad(np.cumsum(np.exp(-np.logaddexp(0.0, -scores)), axis=0), ((1, 0), (0, 0)))
    mean = (sums[last, label] - sums[first, label]) / (last - first)
    return label.astype(np.float64), edges_s[first], edges_s[last], mean
