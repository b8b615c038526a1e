"""Detections as files: ActivityNet result JSON and Parquet. Scores and times are never rounded."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trainables.detections import Detections, FloatArray, IntArray
from trainables.evaluation.checks import check_detections, refuse, within

#: Class id of a label that is none of the classes, where the reader is told to mark it.
UNKNOWN_LABEL = -1

_COLUMNS = pa.schema(
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("start_s", pa.float64(), nullable=False),
        pa.field("end_s", pa.float64(), nullable=False),
        pa.field("label", pa.string(), nullable=False),
        pa.field("score", pa.float64(), nullable=False),
    ],
)


def write_activitynet_json(path: Path, found: Detections, class_names: Sequence[str]) -> None:
    """Write ``results[video_id] = [{segment, label, score}]``, in one step.

    Raises:
        ValueError: detections that no reader would take.
    """
    names = _label_names(found, class_names)
    results: dict[str, list[dict[str, Any]]] = {video_id: [] for video_id in found.video_ids}
    rows = zip(found.video.tolist(), found.segments_s.tolist(), names, found.scores.tolist(), strict=True)
    for video, segment, label, score in rows:
        results[found.video_ids[video]].append({"segment": segment, "label": label, "score": score})
    content = {"version": "VERSION 1.3", "results": results, "external_data": {"used": False, "details": ""}}
    scratch = path.with_name(f".{path.name}.partial")
    scratch.write_text(json.dumps(content), encoding="utf-8")
    scratch.replace(path)


def write_detections_parquet(path: Path, found: Detections, class_names: Sequence[str]) -> None:
    """Write one row a detection, in one step; videos without detections are kept in the metadata.

    Raises:
        ValueError: detections that no reader would take.
    """
    names = _label_names(found, class_names)
    owner = [found.video_ids[v] for v in found.video.tolist()]
    columns = [owner, found.segments_s[:, 0], found.segments_s[:, 1], names, found.scores]
    metadata = {"video_ids": json.dumps(list(found.video_ids))}
    arrays = [pa.array(column, field.type) for column, field in zip(columns, _COLUMNS, strict=True)]
    table = pa.table(arrays, schema=_COLUMNS.with_metadata(metadata))
    scratch = path.with_name(f".{path.name}.partial")
    pq.write_table(table, scratch)
    scratch.replace(path)


def read_detections(
    path: Path, class_names: Sequence[str], *, on_unknown_label: Literal["error", "mark"] = "error"
) -> Detections:
    """Read detections as the two functions above write them, or as other tools write ActivityNet results.

    Args:
        path: ``.json`` or ``.parquet``.
        class_names: K names.
        on_unknown_label: refuse a label outside the classes, or give it the id :data:`UNKNOWN_LABEL`, so that the
            protocol can leave the detection out and count it.

    Raises:
        ValueError: not such a file, or a bad row; file and row (JSON: video and entry) are named.
    """
    readers: dict[str, Callable[[Path], _Rows]] = {".json": _read_json, ".parquet": _read_parquet}
    if path.suffix not in readers:
        raise ValueError(f"{path}: detections are read from {' or '.join(readers)} files")
    rows = readers[path.suffix](path)
    ids = {name: i for i, name in enumerate(class_names)}
    labels = np.asarray([ids.get(name, UNKNOWN_LABEL) for name in rows.labels], np.int64)
    rules = [
        (np.isfinite(rows.segments_s).all(axis=1), "a time is not finite"),
        (~(rows.segments_s[:, 1] < rows.segments_s[:, 0]), "it ends before it starts"),
        (np.isfinite(rows.scores), "the score is not finite"),
    ]
    if on_unknown_label == "error":
        rules.append((labels != UNKNOWN_LABEL, f"the label is none of the {len(ids)} classes"))
    for holds, complaint in rules:
        if not holds.all():
            row = int(np.flatnonzero(~holds)[0])
            raise ValueError(f"{path}: {rows.describe(row)}: {complaint}; {int((~holds).sum())} such rows")
    return Detections(rows.video_ids, rows.video, rows.segments_s, labels, rows.scores)


@dataclass(frozen=True)
class _Rows:
    """A file's columns; ``place`` names row n in the file's own terms."""

    video_ids: tuple[str, ...]
    video: IntArray
    segments_s: FloatArray
    labels: Sequence[str]
    scores: FloatArray
    place: Callable[[int], str]

    def describe(self, row: int) -> str:
        """Where the row is and what it holds."""
        return f"{self.place(row)}, {self.segments_s[row].tolist()} {self.labels[row]!r} {float(self.scores[row])}"


def _read_json(path: Path) -> _Rows:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not JSON ({error})") from error
    results = content.get("results") if isinstance(content, dict) else None
    if not isinstance(results, dict):
        raise ValueError(f"{path}: no 'results' by video id; expected ActivityNet's result format")
    video, segments, labels, scores, places = [], [], [], [], []
    for index, (video_id, entries) in enumerate(results.items()):
        if not isinstance(entries, list):
            raise ValueError(f"{path}: video '{video_id}' holds {entries!r}, not a list of detections")
        for number, entry in enumerate(entries):
            try:
                start, end = entry["segment"]
                segments.append((float(start), float(end)))
                labels.append(str(entry["label"]))
                scores.append(float(entry["score"]))
            except (KeyError, TypeError, ValueError) as error:
                problem = f"{type(error).__name__} {error}"
                raise ValueError(
                    f"{path}: video '{video_id}', entry {number} is not {{segment, label, score}}: {problem}"
                ) from error
            video.append(index)
            places.append((video_id, number))
    return _Rows(
        video_ids=tuple(results),
        video=np.asarray(video, np.int64),
        segments_s=np.asarray(segments, np.float64).reshape(-1, 2),
        labels=labels,
        scores=np.asarray(scores, np.float64),
        place=lambda row: f"video '{places[row][0]}', entry {places[row][1]}",
    )


def _read_parquet(path: Path) -> _Rows:
    try:
        table = pq.read_table(path)
        metadata = table.schema.metadata or {}
        table = table.select(_COLUMNS.names).cast(_COLUMNS)
    except (pa.ArrowException, KeyError) as error:
        raise ValueError(f"{path}: not a Parquet file of {', '.join(_COLUMNS.names)} ({error})") from error
    owner = table["video_id"].to_pylist()
    ids = {name: i for i, name in enumerate(dict.fromkeys([*json.loads(metadata.get(b"video_ids", b"[]")), *owner]))}
    return _Rows(
        video_ids=tuple(ids),
        video=np.asarray([ids[name] for name in owner], np.int64),
        segments_s=np.stack([table["start_s"].to_numpy(), table["end_s"].to_numpy()], axis=1),
        labels=table["label"].to_pylist(),
        scores=table["score"].to_numpy(),
        place=lambda row: f"row {row}",
    )


def _label_names(found: Detections, class_names: Sequence[str]) -> list[str]:
    """Label of every detection, once all of it is fit to be written."""
    check_detections(found)
    refuse(~within(found.labels, len(class_names)), "detections", f"has a label outside the {len(class_names)} classes")
    return [class_names[label] for label in found.labels.tolist()]
