"""Behind the means: AP per class, and predicted against true segments of a few test videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tadtune.report.data import ClassScores, Evidence, Timeline
from tadtune.track.files import read_json
from tadtune.track.record import TrialRecord

NUM_VIDEOS = 4
#: Files with segments to show, and what is said about them.
_SEGMENTS = {"detections_test.json": "", "frame_runs_test.json": " (runs of frames more likely than not)"}
#: Predictions shown of a video: twice its true segments, within these bounds.
FEWEST, MOST = 5, 20


def collect_evidence(metric: str, shown: Mapping[str, Sequence[TrialRecord]]) -> Evidence:
    """Classes and videos of up to two configurations.

    Args:
        metric: of the AP per class, without the split.
        shown: label of a configuration -> records of its complete trials; timelines are of the first.
    """
    classes = []
    for label, records in shown.items():
        values = _class_means([read_json(r.artifacts / "per_class_test.json") or {} for r in records], metric)
        if values:
            classes.append(ClassScores(label, values))
    firsts = {label: records[0].artifacts for label, records in shown.items() if records}
    return Evidence(metric, tuple(classes), _timelines(firsts))


def _class_means(tables: Sequence[Mapping[str, Mapping[str, float]]], metric: str) -> dict[str, float]:
    """Mean AP of the classes that every table has."""
    names = [name for name in tables[0] if all(metric in table.get(name, {}) for table in tables)] if tables else []
    return {name: sum(table[name][metric] for table in tables) / len(tables) for name in sorted(names)}


def _timelines(folders: Mapping[str, Path]) -> tuple[Timeline, ...]:
    """Videos at even steps through the sorted ids of those with annotated segments: not chosen by result."""
    truth: Mapping[str, Any] = {}
    found: dict[str, Mapping[str, Any]] = {}
    for label, folder in folders.items():
        content = read_json(folder / "truth_test.json") or {"videos": {}}
        if not content["videos"] or (truth and content["videos"].keys() != truth.keys()):
            continue
        for file, remark in _SEGMENTS.items():
            results = (read_json(folder / file) or {}).get("results")
            if results is not None:
                truth = content["videos"]
                found[label + remark] = results
    ids = sorted(video_id for video_id, video in truth.items() if video["annotations"])
    count = min(NUM_VIDEOS, len(ids))
    chosen = [ids[(2 * i + 1) * len(ids) // (2 * count)] for i in range(count)]
    return tuple(
        _timeline(v, truth[v], {label: results.get(v, []) for label, results in found.items()}) for v in chosen
    )


def _timeline(video_id: str, truth: Mapping[str, Any], found: Mapping[str, Sequence[Mapping[str, Any]]]) -> Timeline:
    true: dict[str, list[tuple[float, float]]] = {}
    for entry in truth["annotations"]:
        true.setdefault(entry["label"], []).append((float(entry["segment"][0]), float(entry["segment"][1])))
    count = max(FEWEST, min(MOST, 2 * len(truth["annotations"])))
    predicted: dict[str, dict[str, tuple[tuple[float, float, float], ...]]] = {}
    for label, entries in found.items():
        lanes: dict[str, list[tuple[float, float, float]]] = {}
        for entry in sorted(entries, key=lambda e: -e["score"])[:count]:
            segment = (float(entry["segment"][0]), float(entry["segment"][1]), float(entry["score"]))
            lanes.setdefault(entry["label"], []).append(segment)
        predicted[label] = {name: tuple(segments) for name, segments in lanes.items()}
    return Timeline(video_id, float(truth["duration_s"]), {name: tuple(s) for name, s in true.items()}, predicted)
