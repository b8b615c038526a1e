"""Charades' submission files: lines of a video, the number of a point where points are scored, and K scores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from trainables.detections import FloatArray, FrameScores
from trainables.evaluation.frames.labels import CHARADES_POINTS
from trainables.evaluation.videos.scores import VideoScores, video_scores


def read_charades_localization(path: Path, num_classes: int) -> FrameScores:
    """Scores of 25 points of every video, from lines of ``video point score1 ... scoreK``.

    Points count from 1; where the smallest number is 0 all count from 0, as in Charades_v1_localize.m. Points without a
    line are minus infinity.

    Args:
        path: text file, columns separated by blanks or tabs.
        num_classes: K.

    Raises:
        ValueError: a line of another shape, a score that is not finite, a point that does not exist or is there twice;
            the line is named.
    """
    rows: dict[tuple[str, int], tuple[int, FloatArray]] = {}
    for number, words in _lines(path, num_classes, leading=("video", "point")):
        try:
            point = int(words[1])
        except ValueError as error:
            raise ValueError(f"{path}: line {number}: '{words[1]}' is not the number of a point") from error
        earlier, _ = rows.setdefault((words[0], point), (number, _numbers(path, number, words[2:])))
        if earlier != number:
            raise ValueError(
                f"{path}: line {number}: video '{words[0]}', point {point} is there already, line {earlier}"
            )
    first = min(1, *(point for _, point in rows)) if rows else 1
    place = {video: i for i, video in enumerate(dict.fromkeys(video for video, _ in rows))}
    scores = np.full((len(place), CHARADES_POINTS, num_classes), -np.inf)
    for (video, point), (number, values) in rows.items():
        if not 0 <= point - first < CHARADES_POINTS or first < 0:
            raise ValueError(
                f"{path}: line {number}: video '{video}' has no point {point}; points count from 1 to "
                f"{CHARADES_POINTS}, or from 0"
            )
        scores[place[video], point - first] = values
    return FrameScores(
        video_ids=tuple(place),
        first_frame=np.arange(len(place) + 1) * CHARADES_POINTS,
        scores=scores.reshape(-1, num_classes),
    )


def read_charades_classification(path: Path, num_classes: int) -> VideoScores:
    """Scores of every video, from lines of ``video score1 ... scoreK``.

    Args:
        path: text file, columns separated by blanks or tabs.
        num_classes: K.

    Raises:
        ValueError: a line of another shape, a score that is not finite, a video that is there twice; the line is named.
    """
    rows: dict[str, tuple[int, FloatArray]] = {}
    for number, words in _lines(path, num_classes, leading=("video",)):
        earlier, _ = rows.setdefault(words[0], (number, _numbers(path, number, words[1:])))
        if earlier != number:
            raise ValueError(f"{path}: line {number}: video '{words[0]}' is there already, line {earlier}")
    values = np.asarray([values for _, values in rows.values()], np.float64)
    return video_scores(tuple(rows), values.reshape(len(rows), num_classes))


def _lines(path: Path, num_classes: int, leading: tuple[str, ...]) -> Iterator[tuple[int, list[str]]]:
    """Number and columns of every line that is not empty."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a text file ({error})") from error
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if words and len(words) != len(leading) + num_classes:
            raise ValueError(
                f"{path}: line {number} has {len(words)} columns, not '{' '.join(leading)}' and {num_classes} scores, "
                "one a class"
            )
        if words:
            yield number, words


def _numbers(path: Path, number: int, words: list[str]) -> FloatArray:
    try:
        values = np.asarray([float(word) for word in words])
    except ValueError as error:
        raise ValueError(f"{path}: line {number}: {error}") from error
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise ValueError(f"{path}: line {number}: score {words[bad[0]]} is not finite; leave the line out instead")
    return values
