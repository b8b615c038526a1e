"""Annotated segments as labels of points in time, by the rule of each public scorer."""

from __future__ import annotations

from typing import Literal

import numpy as np

from trainables.detections import FloatArray, GroundTruth, IntArray
from trainables.evaluation.checks import BoolArray

#: Points of a Charades video. Source: Charades_v1_localize.m, ``frames_per_video``.
CHARADES_POINTS = 25


def frame_times(num_frames: int, duration_s: float) -> FloatArray:
    """(n,) times of the frames of a video: frame f of n lies at ``f / (n / duration)``.

    Source: piergiaj/super-events-cvpr18:multithumos_i3d_per_video.py, to the last bit.

    Args:
        num_frames: n.
        duration_s: of the video, positive.
    """
    times: FloatArray = np.arange(num_frames) / (num_frames / duration_s)
    return times


def frame_middles(num_frames: int, duration_s: float) -> FloatArray:
    """(n,) middles of what the frames of :func:`frame_times` stand for."""
    return frame_times(num_frames, duration_s) + duration_s / num_frames / 2


def charades_times(duration_s: float) -> FloatArray:
    """(25,) the points in time at which Charades videos are scored: ``j / 25 * length``, the end is not among them.

    Source: Charades_v1_localize.m, to the last bit.

    Args:
        duration_s: the ``length`` column.
    """
    times: FloatArray = np.arange(CHARADES_POINTS) / CHARADES_POINTS * duration_s
    return times


def label_points(
    times_s: FloatArray, first: IntArray, truth: GroundTruth, *, interval: Literal["open", "closed"]
) -> BoolArray:
    """Which classes are annotated at each point.

    Args:
        times_s: (N,) seconds, not falling within a video.
        first: (V + 1,) row of the first point of each video of ``truth``, then N.
        truth: segments of V videos.
        interval: "open": start < t < end (the dense rule); "closed": start <= t <= end (Charades).

    Returns:
        (N, K).
    """
    labels = np.zeros((len(times_s), len(truth.class_names)), bool)
    after_start: Literal["left", "right"] = "right" if interval == "open" else "left"
    after_end: Literal["left", "right"] = "left" if interval == "open" else "right"
    for video, (start, end), label in zip(
        truth.video.tolist(), truth.segments_s.tolist(), truth.labels.tolist(), strict=True
    ):
        own = slice(first[video], first[video + 1])
        low = np.searchsorted(times_s[own], start, after_start)
        high = np.searchsorted(times_s[own], end, after_end)
        labels[own][low:high, label] = True
    return labels


def nearest_frames(frame_times_s: FloatArray, points_s: FloatArray) -> IntArray:
    """(P,) index of the frame nearest to each point, the earlier one of two at equal distance.

    Args:
        frame_times_s: (n,) not falling, n > 0.
        points_s: (P,) seconds.
    """
    between = (frame_times_s[1:] + frame_times_s[:-1]) / 2
    index: IntArray = np.searchsorted(between, points_s, side="left")
    return index
