"""Checks of frame scores, and the ground truth they are held against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainables.detections import FloatArray, FrameScores, GroundTruth
from trainables.evaluation.checks import BoolArray, check_ground_truth


@dataclass(frozen=True)
class TimedTruth:
    """Annotated segments of videos whose duration is known.

    Attributes:
        segments: of V videos.
        durations_s: (V,) seconds.
    """

    segments: GroundTruth
    durations_s: FloatArray

    @property
    def video_ids(self) -> tuple[str, ...]:
        """V ids."""
        return self.segments.video_ids

    @property
    def class_names(self) -> tuple[str, ...]:
        """K names."""
        return self.segments.class_names


def truth_for(
    protocol: Any, segments: GroundTruth, durations_s: Mapping[str, float | None], *, what: str = "ground truth"
) -> GroundTruth | TimedTruth:
    """The ground truth as a protocol's ``match`` takes it: with durations where it scores frames or is ``timed``.

    Args:
        protocol: ours or a plug-in's.
        segments: the annotations.
        durations_s: video id -> seconds, of all videos or more; None = not known.
        what: where the annotations are from, for the complaint.

    Raises:
        ValueError: the protocol needs the duration of a video, and it is not known.
    """
    if not getattr(protocol, "timed", False) and getattr(protocol, "takes", "") != "frame_scores":
        return segments
    known = [durations_s.get(video_id) for video_id in segments.video_ids]
    if None in known:
        video = segments.video_ids[known.index(None)]
        raise ValueError(
            f"{what}: does not say how long video '{video}' is ({known.count(None)} such videos); points in time need "
            "annotations with durations"
        )
    return TimedTruth(segments, np.asarray(known, np.float64))


def check_frame_scores(found: FrameScores, num_classes: int) -> None:
    """Refuse frame scores that cannot be ranked.

    Raises:
        ValueError: arrays that do not fit each other or the classes, a repeated video, a score that is no number, a
            partly missing frame, times that fall or are not finite; video and frame are named.
    """
    ids, first = found.video_ids, found.first_frame
    repeated = [video_id for video_id, count in Counter(ids).items() if count > 1]
    if repeated:
        raise ValueError(f"frame scores: video '{repeated[0]}' is listed more than once ({len(repeated)} such videos)")
    if found.scores.ndim != 2 or found.scores.shape[1] != num_classes:
        raise ValueError(
            f"frame scores: shape {found.scores.shape} does not give a score to each of {num_classes} classes"
        )
    if len(first) != len(ids) + 1 or first[0] != 0 or first[-1] != len(found.scores) or (np.diff(first) < 0).any():
        raise ValueError(
            f"frame scores: first_frame must rise from 0 to {len(found.scores)} in {len(ids) + 1} values, got {first}"
        )
    missing = np.isneginf(found.scores)
    wrong = np.isnan(found.scores) | np.isposinf(found.scores)
    partly = missing & ~missing.all(axis=1, keepdims=True)
    bad = np.asarray((wrong | partly).any(axis=1))
    _refuse_frames(bad, found, "has a score that is not finite (a frame without scores: minus infinity throughout)")
    times = found.times_s
    if times is not None:
        if times.shape != (len(found.scores),):
            raise ValueError(f"frame scores: times_s has shape {times.shape}, there are {len(found.scores)} frames")
        _refuse_frames(~np.isfinite(times), found, "has a time that is not finite")
        falls = np.zeros(len(times), bool)
        falls[1:] = np.diff(times) < 0
        falls[first[:-1][first[:-1] < len(times)]] = False
        _refuse_frames(falls, found, "lies before the frame in front of it")


def _refuse_frames(bad: BoolArray, found: FrameScores, why: str) -> None:
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        video = int(np.searchsorted(found.first_frame, row, side="right")) - 1
        frame = row - int(found.first_frame[video])
        raise ValueError(
            f"frame scores: video '{found.video_ids[video]}', frame {frame} {why}; {int(bad.sum())} such frames"
        )


def check_timed_truth(truth: TimedTruth) -> None:
    """Refuse ground truth without usable segments or durations.

    Raises:
        ValueError: as :func:`trainables.evaluation.checks.check_ground_truth`, or a duration that is not positive.
    """
    check_ground_truth(truth.segments)
    durations = truth.durations_s
    if durations.shape != (len(truth.video_ids),):
        raise ValueError(f"durations: shape {durations.shape} for {len(truth.video_ids)} videos")
    bad = ~((durations > 0) & np.isfinite(durations))
    if bad.any():
        video = int(np.flatnonzero(bad)[0])
        raise ValueError(
            f"durations: video '{truth.video_ids[video]}' lasts {durations[video]} s; points in time need a positive "
            f"duration ({int(bad.sum())} such videos)"
        )
