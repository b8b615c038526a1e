"""Reader of DETAD's ground truth with characteristics (``*_extra_characteristics.json``)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainables.detections import FloatArray, GroundTruth
from trainables.evaluation.checks import refuse

#: Key of the file -> name of the characteristic.
_NAMES = {
    "context-size": "context_size",
    "context-distance": "context_distance",
    "agreement": "agreement",
    "coverage": "coverage",
    "length": "length_s",
    "num-instances": "num_instances",
}


@dataclass(frozen=True)
class ExtraCharacteristics:
    """Instances and what somebody has noted of them.

    Attributes:
        source: name of the file, for complaints.
        truth: P segments.
        values: name -> (P,), NaN = unknown.

    Raises:
        ValueError: values that are infinite or not one for each segment; the first is named.
    """

    source: str
    truth: GroundTruth
    values: Mapping[str, FloatArray]

    def __post_init__(self) -> None:
        num_segments = len(self.truth.labels)
        for name, column in self.values.items():
            if column.shape != (num_segments,):
                raise ValueError(f"{self.source}: {name} has shape {column.shape}, there are {num_segments} segments")
            refuse(np.isinf(column), f"{self.source}: {name}", "is infinite; NaN says unknown")

    def of(self, truth: GroundTruth) -> dict[str, FloatArray]:
        """The values in the order of another ground truth, which may be a part of this one, or name further classes.

        Args:
            truth: segments with exactly the video ids, class names and times of the file.

        Raises:
            ValueError: a segment is not in the file; the first one is named.
        """
        rows = {key: row for row, key in enumerate(_keys(self.truth))}
        order = np.zeros(len(truth.labels), np.int64)
        for i, key in enumerate(_keys(truth)):
            if key not in rows:
                video, label, start, end = key
                raise ValueError(
                    f"{self.source}: holds no {label} at [{start}, {end}] in video '{video}' (ground truth, row {i}); "
                    "take the ground truth from this file"
                )
            order[i] = rows[key]
        return {name: column[order] for name, column in self.values.items()}


def _keys(truth: GroundTruth) -> list[tuple[str, str, float, float]]:
    rows = zip(truth.video.tolist(), truth.labels.tolist(), truth.segments_s.tolist(), strict=True)
    return [(truth.video_ids[v], truth.class_names[label], start, end) for v, label, (start, end) in rows]


def read_extra_characteristics(path: Path, *, subset: str | None = None) -> ExtraCharacteristics:
    """Read the file, or one subset; classes in order of first appearance, characteristics without any number left out.

    ``num-instances`` is the file's own count: in the file for THUMOS'14 that of all segments of the video, where
    ``characteristics.annotated_characteristics`` counts those of the class. ``all-segments``, the segments of several
    annotators, is not read.

    Args:
        path: the file.
        subset: as the file names it, for instance ``testing`` or ``validation``; None = all of the file.

    Raises:
        ValueError: not such a file, no such subset, or a bad entry; file, video and entry are named.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not JSON ({error})") from error
    database = content.get("database") if isinstance(content, dict) else None
    if not isinstance(database, dict) or not all(isinstance(video, dict) for video in database.values()):
        raise ValueError(f"{path}: no 'database' of videos; expected ActivityNet's annotation format")
    videos = {video_id: video for video_id, video in database.items() if subset in (None, video.get("subset"))}
    if not videos:
        known = sorted({str(video.get("subset")) for video in database.values()})
        raise ValueError(f"{path}: no video of subset '{subset}'; the file has {', '.join(known)}")
    return _collect(path, videos)


def _collect(path: Path, videos: Mapping[str, dict[str, Any]]) -> ExtraCharacteristics:
    owner, segments, labels = [], [], []
    columns: dict[str, list[float]] = {name: [] for name in _NAMES.values()}
    classes: dict[str, int] = {}
    for index, (video_id, video) in enumerate(videos.items()):
        if not isinstance(video.get("annotations"), list):
            raise ValueError(f"{path}: video '{video_id}' has no list of 'annotations'")
        for number, entry in enumerate(video["annotations"]):
            try:
                segment = _segment(entry)
                label = str(entry["label"])
                numbers = {name: _number(entry.get(key)) for key, name in _NAMES.items()}
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise ValueError(
                    f"{path}: video '{video_id}', annotation {number}: {type(error).__name__} {error}; expected "
                    f"segment, label and numbers or null under {', '.join(_NAMES)}"
                ) from error
            owner.append(index)
            segments.append(segment)
            labels.append(classes.setdefault(label, len(classes)))
            for name, value in numbers.items():
                columns[name].append(value)
    truth = GroundTruth(
        video_ids=tuple(videos),
        class_names=tuple(classes),
        video=np.asarray(owner, np.int64),
        segments_s=np.asarray(segments, np.float64).reshape(-1, 2),
        labels=np.asarray(labels, np.int64),
    )
    arrays = {name: np.asarray(column, np.float64) for name, column in columns.items()}
    values = {name: column for name, column in arrays.items() if not np.isnan(column).all()}
    if not values:
        raise ValueError(f"{path}: no annotation has a number under any of {', '.join(_NAMES)}")
    return ExtraCharacteristics(str(path), truth, values)


def _segment(entry: Mapping[str, Any]) -> tuple[float, float]:
    start, end = (_number(value) for value in entry["segment"])
    if not start < end:
        raise ValueError(f"segment [{start}, {end}] does not end after its start")
    return start, end


def _number(value: Any) -> float:
    if value is None:
        return float("nan")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    if not np.isfinite(value):
        raise ValueError(f"{value!r} is not finite")
    return float(value)
