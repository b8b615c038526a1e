"""What detectors answer, and the ground truth, of a set of videos. Imports no torch, so that scoring starts at once.

Letters: V videos, N segments, detections or frames over all videos, A ambiguous segments, K classes.
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
class FrameScores:
    """Scores of the frames of a set of videos; padding is not among them.

    Attributes:
        video_ids: V ids.
        first_frame: (V + 1,) row of each video's first frame, then N.
        scores: (N, K) higher is better; minus infinity in a whole row where the frame was never scored.
        times_s: (N,) seconds, not falling within a video; None = frame f of n lies at ``f / (n / duration)``, as public
            scorers have it.
    """

    video_ids: tuple[str, ...]
    first_frame: IntArray
    scores: FloatArray
    times_s: FloatArray | None = None


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
