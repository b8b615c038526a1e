"""Scores of whole videos for classes, and the labels they are held against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trainables.detections import FloatArray, GroundTruth, IntArray
from trainables.evaluation.checks import BoolArray, refuse, within


@dataclass(frozen=True)
class VideoScores:
    """Scored classes of a set of videos, flat.

    Attributes:
        video_ids: V ids; every scored video is listed, also one without predictions.
        video: (N,) index into ``video_ids``.
        labels: (N,) class ids.
        scores: (N,) confidence, higher is better.
    """

    video_ids: tuple[str, ...]
    video: IntArray
    labels: IntArray
    scores: FloatArray


def video_scores(video_ids: Sequence[str], scores: FloatArray) -> VideoScores:
    """Scores of every video for every class.

    Args:
        video_ids: V ids.
        scores: (V, K).

    Raises:
        ValueError: another number of rows than of videos.
    """
    if scores.ndim != 2 or len(scores) != len(video_ids):
        raise ValueError(f"video scores: shape {scores.shape} for {len(video_ids)} videos; expected one row each")
    num_videos, num_classes = scores.shape
    return VideoScores(
        video_ids=tuple(video_ids),
        video=np.repeat(np.arange(num_videos), num_classes),
        labels=np.tile(np.arange(num_classes), num_videos),
        scores=scores.reshape(-1).astype(np.float64),
    )


def check_video_scores(found: VideoScores) -> None:
    """Refuse scores that cannot be ranked; labels are left to the protocol.

    Raises:
        ValueError: arrays that do not fit each other, a repeated video, a score that is not finite, an index out of
            range; the first bad row is named.
    """
    what = "video scores"
    for name in ("video", "labels"):
        if getattr(found, name).shape != found.scores.shape or found.scores.ndim != 1:
            raise ValueError(f"{what}: {name} has shape {getattr(found, name).shape}, scores {found.scores.shape}")
    repeated = [video_id for video_id, count in Counter(found.video_ids).items() if count > 1]
    if repeated:
        raise ValueError(f"{what}: video '{repeated[0]}' is listed more than once ({len(repeated)} such videos)")
    refuse(~np.isfinite(found.scores), what, "has a score that is not finite")
    refuse(~within(found.video, len(found.video_ids)), what, f"has a video outside the {len(found.video_ids)} videos")


def score_matrix(found: VideoScores, num_classes: int) -> FloatArray:
    """(V, K) scores where every video has one for every class.

    Raises:
        ValueError: a score that is missing or there twice, or a label outside the classes; video and class are named.
    """
    refuse(~within(found.labels, num_classes), "video scores", f"has a label outside the {num_classes} classes")
    number = np.zeros((len(found.video_ids), num_classes), np.int64)
    np.add.at(number, (found.video, found.labels), 1)
    if (number != 1).any():
        video, label = (int(i) for i in np.argwhere(number != 1)[0])
        raise ValueError(
            f"video scores: video '{found.video_ids[video]}' has {number[video, label]} scores for class {label}; this "
            f"protocol needs one score for each of {num_classes} classes ({int((number != 1).sum())} such places)"
        )
    matrix = np.empty(number.shape)
    matrix[found.video, found.labels] = found.scores
    return matrix


def video_labels(truth: GroundTruth) -> BoolArray:
    """(V, K) which classes have a segment in each video."""
    labels = np.zeros((len(truth.video_ids), len(truth.class_names)), bool)
    labels[truth.video, truth.labels] = True
    return labels
