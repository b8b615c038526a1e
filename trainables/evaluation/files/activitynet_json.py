"""Detections as ActivityNet result JSON: ``results[video_id] = [{segment, label, score}]``. Nothing is rounded."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from trainables.detections import Detections, FloatArray
from trainables.evaluation.files.rows import Rows, label_names
from trainables.files import replacing

Results = dict[str, Any]


def write_activitynet_json(path: Path, found: Detections, class_names: Sequence[str]) -> None:
    """Write the file in one step; videos without detections have an empty list.

    Raises:
        ValueError: detections that no reader would take.
    """
    names = label_names(found, class_names)
    results: dict[str, list[dict[str, Any]]] = {video_id: [] for video_id in found.video_ids}
    rows = zip(found.video.tolist(), found.segments_s.tolist(), names, found.scores.tolist(), strict=True)
    for video, segment, label, score in rows:
        results[found.video_ids[video]].append({"segment": segment, "label": label, "score": score})
    content = {"version": "VERSION 1.3", "results": results, "external_data": {"used": False, "details": ""}}
    with replacing(path) as scratch:
        scratch.write_bytes(orjson.dumps(content))


def read_activitynet_json(path: Path, *, labelled: bool = True) -> Rows:
    """Rows of such a file, of our making or anybody's.

    Args:
        path: the file.
        labelled: False for proposals, whose labels are not read and need not be there.

    Raises:
        ValueError: not such a file, a video listed twice, or an entry of another shape; video and entry are named.
    """
    with no_garbage_collection():
        results = load_results(path, counted_key="segment")
        try:
            return _read_all(results, labelled)
        except (KeyError, TypeError, ValueError):
            return _read_one_by_one(path, results, labelled)


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """A file makes a million small objects, all alive: looking for garbage among them doubles the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def load_results(path: Path, *, counted_key: str) -> Results:
    """Entries by video id of a result file.

    Args:
        path: the file.
        counted_key: a key that every entry has once.

    Raises:
        ValueError: not such a file, or a video listed twice.
    """
    raw = path.read_bytes()
    try:
        content = orjson.loads(raw)
    except orjson.JSONDecodeError:
        try:  # reads NaN and Infinity, which Python writes and JSON does not have: the row shall be named
            content = json.loads(raw)
        except ValueError as error:
            raise ValueError(f"{path}: not JSON ({error})") from error
    results = content.get("results") if isinstance(content, dict) else None
    if not isinstance(results, dict):
        raise ValueError(f"{path}: no 'results' by video id; expected ActivityNet's result format")
    for video_id, entries in results.items():
        if not isinstance(entries, list):
            raise ValueError(f"{path}: video '{video_id}' holds {entries!r}, not a list of entries")
    # a parser keeps the last of two equal keys, and says nothing
    if raw.count(f'"{counted_key}"'.encode()) != sum(map(len, results.values())):
        _refuse_repeated(path, raw)
    return results


def _read_all(results: Results, labelled: bool) -> Rows:
    entries = list(chain.from_iterable(results.values()))
    segments = np.asarray([entry["segment"] for entry in entries], np.float64)
    if entries and segments.shape != (len(entries), 2):
        raise ValueError("an entry's segment is not two numbers")
    labels = [str(e["label"]) for e in entries] if labelled else [""] * len(entries)
    return _rows(results, segments, labels, [e["score"] for e in entries])


def _read_one_by_one(path: Path, results: Results, labelled: bool) -> Rows:
    """The same, slowly: names the first entry that is not as it should be."""
    segments, labels, scores = [], [], []
    for video_id, entries in results.items():
        for number, entry in enumerate(entries):
            try:
                start, end = entry["segment"]
                segments.append((float(start), float(end)))
                labels.append(str(entry["label"]) if labelled else "")
                scores.append(float(entry["score"]))
            except (KeyError, TypeError, ValueError) as error:
                problem = f"{type(error).__name__} {error}"
                shape = "{segment, label, score}" if labelled else "{segment, score}"
                raise ValueError(f"{path}: video '{video_id}', entry {number} is not {shape}: {problem}") from error
    return _rows(results, np.asarray(segments, np.float64), labels, scores)


def _rows(results: Results, segments: FloatArray, labels: list[str], scores: list[Any]) -> Rows:
    ids, counts = tuple(results), [len(entries) for entries in results.values()]
    first = np.cumsum([0, *counts])

    def place(row: int) -> str:
        video = int(np.searchsorted(first, row, side="right")) - 1
        return f"video '{ids[video]}', entry {row - int(first[video])}"

    return Rows(
        video_ids=ids,
        video=np.repeat(np.arange(len(ids)), np.asarray(counts, np.int64)),
        segments_s=segments.reshape(-1, 2),
        labels=labels,
        scores=np.asarray(scores, np.float64),
        place=place,
    )


def _refuse_repeated(path: Path, raw: bytes) -> None:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        seen: dict[str, Any] = {}
        for key, value in items:
            if key in seen:
                raise ValueError(f"{path}: '{key}' is there twice in one object; the parts must be joined into one")
            seen[key] = value
        return seen

    json.loads(raw, object_pairs_hook=pairs)
