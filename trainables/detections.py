"""Detections and ground truth of a set of videos, in seconds. Imports no torch, so that scoring starts at once.

Letters: V videos, N segments or detections over all videos, A ambiguous segments, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Detections:
    """Scored segments of a set of videos, flat.

    Attributes:
        video_ids: V ids; every scored video is listed, also one without detections.
        video: (N,) index into ``video_ids``.
        segments_s: (N, 2) start, end in seconds.
        labels: (N,) class ids.
        scores: (N,) confidence, higher is better.
    """

    video_ids: tuple[str, ...]
    video: IntArray
    segments_s: FloatArray
    labels: IntArray
    scores: FloatArray


@dataclass(frozen=True)
class GroundTruth:
    """Annotated segments of a set of videos, flat.

    Attributes:
        video_ids: V ids, also of videos without any segment.
        class_names: K names; ``labels`` index into them.
        video: (N,) index into ``video_ids``.
        segments_s: (N, 2) start, end in seconds.
        labels: (N,) class ids.
        ambiguous_video: (A,) index into ``video_ids`` of segments that excuse a miss (THUMOS'14 toolkit).
        ambiguous_s: (A, 2) their start, end in seconds.
    """

    video_ids: tuple[str, ...]
    class_names: tuple[str, ...]
    video: IntArray
    segments_s: FloatArray
    labels: IntArray
    ambiguous_video: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    ambiguous_s: FloatArray = field(default_factory=lambda: np.zeros((0, 2), np.float64))
