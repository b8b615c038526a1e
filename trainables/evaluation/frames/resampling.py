"""Frame scores at another rate than they were made at."""

from __future__ import annotations

import numpy as np

from trainables.config import param
from trainables.detections import FloatArray, FrameScores
from trainables.evaluation.frames.labels import frame_middles
from trainables.evaluation.frames.scores import TimedTruth


def fps_param() -> float:
    """The field ``fps`` of a protocol of frame scores."""
    value: float = param(
        0.0, "frames a second at which scores are read, linearly between those that are given; 0 = those themselves",
        bounds=(0.0, None), source="kkahatapitiya/SSDet:train_x3d_charades_loc.py (24)",
    )  # fmt: skip
    return value


def check_fps(fps: float) -> None:
    """Refuse a rate that is none.

    Raises:
        ValueError: negative, or no finite number.
    """
    if not 0 <= fps < float("inf"):
        raise ValueError(f"fps: {fps} must be a positive number, or 0 for the frames that are given")


def at_fps(found: FrameScores, truth: TimedTruth, fps: float) -> FrameScores:
    """Scores of ``round(duration * fps)`` frames of every video, frame f of n standing for [f, f + 1) / n of it.

    Each is read at the middle of what it stands for, linearly between the middles of the frames that are given, and is
    that of the outermost one beyond them: what ``align_corners=False`` means. The result has no times of its own, so
    that frame f is labelled at ``f / (n / duration)`` as in public scorers.

    Args:
        found: checked; without ``times_s`` its frames divide the video evenly, otherwise these are their middles.
        truth: of videos among which others' are left without frames.
        fps: frames per second; 0 = ``found`` as it is.

    Raises:
        ValueError: a frame of such a video was never scored.
    """
    if fps == 0:
        return found
    durations = dict(zip(truth.video_ids, truth.durations_s.tolist(), strict=True))
    parts = [np.zeros((0, found.scores.shape[1]))]
    for v, video_id in enumerate(found.video_ids):
        own = slice(*found.first_frame[v : v + 2].tolist())
        duration = durations.get(video_id)
        if duration is None or own.stop == own.start:
            parts.append(parts[0])
            continue
        scores = found.scores[own]
        if np.isneginf(scores).any():
            raise ValueError(
                f"frame scores: video '{video_id}' has frames without scores, which nothing can be read between; set "
                "fps to 0"
            )
        times = frame_middles(own.stop - own.start, duration) if found.times_s is None else found.times_s[own]
        parts.append(_between(scores, times, frame_middles(max(1, round(duration * fps)), duration)))
    return FrameScores(found.video_ids, np.cumsum([0, *map(len, parts[1:])]), np.concatenate(parts))


def _between(scores: FloatArray, times_s: FloatArray, wanted_s: FloatArray) -> FloatArray:
    """(m, K) of (n, K) at ``wanted_s`` (m,), linear in between and constant outside."""
    place = np.interp(wanted_s, times_s, np.arange(len(times_s), dtype=np.float64))
    low = np.floor(place).astype(np.int64)
    share = (place - low)[:, None]
    high = np.minimum(low + 1, len(scores) - 1)
    result: FloatArray = scores[low] * (1 - share) + scores[high] * share
    return result
