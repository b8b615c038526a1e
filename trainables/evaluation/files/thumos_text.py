"""Detections as the THUMOS'14 toolkit takes them: lines of ``video start end class_id score``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trainables.detections import Detections
from trainables.evaluation.files.rows import Rows, label_names
from trainables.files import replacing

#: Official ids of the 20 detection classes, which are UCF101's. Source: THUMOS'14 detclasslist.txt.
CLASS_IDS = {
    "BaseballPitch": 7,
    "BasketballDunk": 9,
    "Billiards": 12,
    "CleanAndJerk": 21,
    "CliffDiving": 22,
    "CricketBowling": 23,
    "CricketShot": 24,
    "Diving": 26,
    "FrisbeeCatch": 31,
    "GolfSwing": 33,
    "HammerThrow": 36,
    "HighJump": 40,
    "JavelinThrow": 45,
    "LongJump": 51,
    "PoleVault": 68,
    "Shotput": 79,
    "SoccerPenalty": 85,
    "TennisSwing": 92,
    "ThrowDiscus": 93,
    "VolleyballSpiking": 97,
}
_NAMES = {str(number): name for name, number in CLASS_IDS.items()}


def write_thumos_text(path: Path, found: Detections, class_names: Sequence[str]) -> None:
    """Write one line a detection, in one step. Videos without detections leave no trace: the format has no place.

    Raises:
        ValueError: detections that no reader would take, a class that is none of the 20, or a video id with a blank.
    """
    names = label_names(found, class_names)
    foreign = sorted(set(names) - set(CLASS_IDS))
    if foreign:
        raise ValueError(f"{path}: class '{foreign[0]}' is none of the 20 THUMOS'14 classes; write JSON or Parquet")
    blank = [v for v in found.video_ids if not v or v.split() != [v]]
    if blank:
        raise ValueError(f"{path}: video id {blank[0]!r} has a blank, which this format cannot hold; write JSON")
    rows = zip(found.video.tolist(), found.segments_s.tolist(), names, found.scores.tolist(), strict=True)
    lines = [f"{found.video_ids[v]} {s[0]!r} {s[1]!r} {CLASS_IDS[name]} {score!r}\n" for v, s, name, score in rows]
    with replacing(path) as scratch:
        scratch.write_text("".join(lines), encoding="utf-8")


def read_thumos_text(path: Path) -> Rows:
    """Rows of such a file; the fourth column may be an official id or a class name, empty lines are skipped.

    Raises:
        ValueError: a line of another shape; its number is named.
    """
    videos: dict[str, int] = {}
    video, times, labels, scores, numbers = [], [], [], [], []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a text file ({error})") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            video_id, start, end, label, score = line.split()
            times.append((float(start), float(end)))
            scores.append(float(score))
        except ValueError as error:
            raise ValueError(f"{path}: line {number} is not 'video start end class_id score': {line!r}") from error
        video.append(videos.setdefault(video_id, len(videos)))
        labels.append(_NAMES.get(label, label))
        numbers.append(number)
    return Rows(
        video_ids=tuple(videos),
        video=np.asarray(video, np.int64),
        segments_s=np.asarray(times, np.float64).reshape(-1, 2),
        labels=labels,
        scores=np.asarray(scores, np.float64),
        place=lambda row: f"line {numbers[row]}",
    )
