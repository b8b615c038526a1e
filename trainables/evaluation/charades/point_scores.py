"""Scores of points in time from detections: the best one that covers the point, also averaged over neighbours.

Letters: V videos, N detections, K classes, P points of a video.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from trainables.detections import FloatArray, IntArray
from trainables.evaluation.detection.alignment import Aligned
from trainables.evaluation.frames.labels import CHARADES_POINTS, charades_times

#: Points of the finer grid that is averaged. Source: VisionLearningGroup/R-C3D:experiments/charades/test.
FINE_POINTS = 150
#: Fine points from one point to the next.
_STEP = FINE_POINTS // CHARADES_POINTS
#: Videos held at once: 157 classes on the finer grid take 12 MB.
_BLOCK = 64


def fine_times(duration_s: float) -> FloatArray:
    """(150,) ``i / 150 * duration``, the end is not among them."""
    times: FloatArray = np.arange(FINE_POINTS) / FINE_POINTS * duration_s
    return times


def best_at_points(
    times_s: FloatArray, video: IntArray, segments_s: FloatArray, labels: IntArray, scores: FloatArray, num_classes: int
) -> FloatArray:
    """Best score of the detections of each class that cover a point, borders included; 0 where there is none.

    Args:
        times_s: (V, P) rising.
        video: (N,) index into ``times_s``.
        segments_s: (N, 2) seconds.
        labels: (N,) class ids.
        scores: (N,) 0 or more.
        num_classes: K.

    Returns:
        (V, P, K).
    """
    num_videos, num_points = times_s.shape
    best = np.zeros((num_videos, num_points, num_classes))
    order = np.lexsort((scores, video))  # the best of a video comes last, and what is written last stays
    first, last = _covered(times_s, video[order], segments_s[order])
    number = last - first
    of = np.repeat(order, number)
    point = np.arange(number.sum()) - np.repeat(np.cumsum(number) - number, number) + np.repeat(first, number)
    best[video[of], point, labels[of]] = scores[of]
    return best


def _covered(times_s: FloatArray, video: IntArray, segments_s: FloatArray) -> tuple[IntArray, IntArray]:
    """(N,) first point of each segment and the one behind its last; ``video`` does not fall."""
    first, last = np.zeros(len(video), np.int64), np.zeros(len(video), np.int64)
    border = np.searchsorted(video, np.arange(len(times_s) + 1))
    for v, times in enumerate(times_s):
        own = slice(border[v], border[v + 1])
        first[own] = np.searchsorted(times, segments_s[own, 0], side="left")
        last[own] = np.searchsorted(times, segments_s[own, 1], side="right")
    return first, last


def averaged(fine: FloatArray, half: int) -> FloatArray:
    """Every sixth point as the mean from ``half`` points before it to ``half - 1`` behind it, cut off at both ends.

    Source: VisionLearningGroup/R-C3D:experiments/charades/test, with half 15.

    Args:
        fine: (V, 150, K).
        half: 1 or more.

    Returns:
        (V, 25, K).
    """
    padded = np.pad(fine, ((0, 0), (half, half), (0, 0)))
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * half, axis=1)[:, :FINE_POINTS:_STEP]
    at = np.arange(0, FINE_POINTS, _STEP)
    number = np.minimum(at + half, FINE_POINTS) - np.maximum(at - half, 0)
    result: FloatArray = around.sum(axis=-1) / number[None, :, None]
    return result


def point_scores(found: Aligned, durations_s: FloatArray, half: int) -> Iterator[tuple[slice, FloatArray, FloatArray]]:
    """Scores at the 25 points of every video, block by block.

    Args:
        found: detections on the videos that are scored.
        durations_s: (V,) seconds.
        half: see :func:`averaged`.

    Yields:
        some of the videos, their scores (v, 25, K) and their averaged scores (v, 25, K).
    """
    order = np.argsort(found.video, kind="stable")
    border = np.searchsorted(found.video[order], np.arange(len(durations_s) + 1))
    for start in range(0, len(durations_s), _BLOCK):
        block = slice(start, min(start + _BLOCK, len(durations_s)))
        own = order[border[block.start] : border[block.stop]]
        rows = (found.video[own] - start, found.segments_s[own], found.labels[own], found.scores[own])
        num_classes, durations = len(found.truth.class_names), durations_s[block].tolist()
        coarse = best_at_points(np.stack([charades_times(d) for d in durations]), *rows, num_classes)
        fine = best_at_points(np.stack([fine_times(d) for d in durations]), *rows, num_classes)
        yield block, coarse, averaged(fine, half)
