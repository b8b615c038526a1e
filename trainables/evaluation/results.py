"""Detections as files: ActivityNet result JSON and Parquet. Scores are never rounded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trainables.detections import Detections


def write_activitynet_json(path: Path, found: Detections, class_names: Sequence[str]) -> None:
    """Write ``results[video_id] = [{segment, label, score}]``, in one step."""
    results: dict[str, list[dict[str, Any]]] = {video_id: [] for video_id in found.video_ids}
    for video, segment, label, score in zip(found.video, found.segments_s, found.labels, found.scores, strict=True):
        entry = {"segment": [float(segment[0]), float(segment[1])], "label": class_names[label], "score": float(score)}
        results[found.video_ids[video]].append(entry)
    content = {"version": "VERSION 1.3", "results": results, "external_data": {"used": False, "details": ""}}
    scratch = path.with_name(f".{path.name}.partial")
    scratch.write_text(json.dumps(content), encoding="utf-8")
    scratch.replace(path)


def read_activitynet_json(path: Path, class_names: Sequence[str]) -> Detections:
    """Inverse of :func:`write_activitynet_json`.

    Raises:
        ValueError: not such a file, an unknown label, or a bad segment or score; file, video and entry are named.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    results = content.get("results") if isinstance(content, dict) else None
    if not isinstance(results, dict):
        raise ValueError(f"{path}: no 'results' by video id; expected ActivityNet's result format")
    known = {name: i for i, name in enumerate(class_names)}
    video, segments, labels, scores = [], [], [], []
    for index, (video_id, entries) in enumerate(results.items()):
        for number, entry in enumerate(entries):
            try:
                start, end = (float(t) for t in entry["segment"])
                labels.append(known[entry["label"]])
                scores.append(float(entry["score"]))
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(
                    f"{path}: video '{video_id}', entry {number}: {type(error).__name__} {error}"
                ) from error
            if not end >= start or not np.isfinite(scores[-1]):
                raise ValueError(f"{path}: video '{video_id}', entry {number}: [{start}, {end}] score {scores[-1]}")
            video.append(index)
            segments.append((start, end))
    return Detections(
        video_ids=tuple(results),
        video=np.asarray(video, np.int64),
        segments_s=np.asarray(segments, np.float64).reshape(-1, 2),
        labels=np.asarray(labels, np.int64),
        scores=np.asarray(scores, np.float64),
    )


def write_detections_parquet(path: Path, found: Detections, class_names: Sequence[str]) -> None:
    """Write one row a detection, in one step."""
    ids = np.asarray(found.video_ids, dtype=object)
    names = np.asarray(class_names, dtype=object)
    table = pa.table(
        {
            "video_id": pa.array(ids[found.video].tolist(), pa.string()),
            "start_s": found.segments_s[:, 0],
            "end_s": found.segments_s[:, 1],
            "label": pa.array(names[found.labels].tolist(), pa.string()),
            "score": found.scores,
        }
    )
    scratch = path.with_name(f".{path.name}.partial")
    pq.write_table(table, scratch)
    scratch.replace(path)
