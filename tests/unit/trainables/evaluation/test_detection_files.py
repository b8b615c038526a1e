"""Detections as ActivityNet result JSON and Parquet."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from detection_references import Case

from trainables.detections import Detections
from trainables.evaluation.protocols import ActivityNet
from trainables.evaluation.results import (
    UNKNOWN_LABEL,
    read_detections,
    write_activitynet_json,
    write_detections_parquet,
)

NAMES = ("Diving", "CliffDiving")
FOUND, _ = Case(
    ("v", "silent", "w"),
    [],
    [("v", 0.1, 1 / 3, 1, 0.1 + 0.2), ("v", 2, 5, 0, 1e-300), ("w", 0, 4, 0, 12.5)],
    num_classes=2,
).arrays()

Write = Callable[[Path, Detections, Sequence[str]], None]
WRITERS = [pytest.param(write_activitynet_json, ".json", id="json"), pytest.param(write_detections_parquet, ".parquet")]


@pytest.mark.parametrize(("write", "suffix"), WRITERS)
@pytest.mark.parametrize("found", [FOUND, Case(("v",), [], []).arrays()[0]], ids=["some", "none"])
def test_a_file_gives_back_every_bit(tmp_path: Path, write: Write, suffix: str, found: Detections) -> None:
    path = tmp_path / f"found{suffix}"
    write(path, found, NAMES)
    again = read_detections(path, NAMES)
    assert again.video_ids == found.video_ids
    for name in ("video", "segments_s", "labels", "scores"):
        assert np.array_equal(getattr(again, name), getattr(found, name))
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(("write", "suffix"), WRITERS)
@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"labels": np.array([0, -1, 0])}, "row 1 has a label outside the 2 classes"),
        ({"scores": np.array([0.5, 0.5, np.nan])}, "row 2 has a score that is not finite"),
    ],
)
def test_what_nobody_could_read_is_not_written(
    tmp_path: Path, write: Write, suffix: str, change: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        write(tmp_path / f"found{suffix}", replace(FOUND, **change), NAMES)
    assert list(tmp_path.iterdir()) == []


BAD_VALUES = [
    ({"segment": [5, 2]}, r"\[5.0, 2.0\] 'Diving' 1e-300: it ends before it starts; 1 such rows"),
    ({"segment": [0, float("inf")]}, "a time is not finite"),
    ({"score": float("nan")}, r"\[2.0, 5.0\] 'Diving' nan: the score is not finite"),
    ({"label": "diving"}, "'diving' 1e-300: the label is none of the 2 classes"),
]


@pytest.mark.parametrize(("change", "complaint"), BAD_VALUES)
def test_a_bad_json_entry_is_named(tmp_path: Path, change: dict[str, Any], complaint: str) -> None:
    path = tmp_path / "found.json"
    write_activitynet_json(path, FOUND, NAMES)
    content = json.loads(path.read_text())
    content["results"]["v"][1] |= change
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f"found.json: video 'v', entry 1, .*{complaint}"):
        read_detections(path, NAMES)


@pytest.mark.parametrize(("change", "complaint"), BAD_VALUES)
def test_a_bad_parquet_row_is_named(tmp_path: Path, change: dict[str, Any], complaint: str) -> None:
    path = tmp_path / "found.parquet"
    write_detections_parquet(path, FOUND, NAMES)
    rows = pq.read_table(path).to_pylist()
    start, end = change.pop("segment", (rows[1]["start_s"], rows[1]["end_s"]))
    rows[1] |= {"start_s": start, "end_s": end, **change}
    pq.write_table(pa.Table.from_pylist(rows), path)
    with pytest.raises(ValueError, match=f"found.parquet: row 1, .*{complaint}"):
        read_detections(path, NAMES)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "not JSON"),
        ("[]", "no 'results' by video id"),
        ('{"results": []}', "no 'results' by video id"),
        ('{"results": {"v": null}}', "video 'v' holds None"),
        ('{"results": {"v": [{"segment": [0, 1], "label": "Diving"}]}}', "video 'v', entry 0 .*KeyError 'score'"),
        ('{"results": {"v": [{"segment": [0], "label": "Diving", "score": 1}]}}', "entry 0 .*ValueError"),
        ('{"results": {"v": [{"segment": [0, 1], "label": "Diving", "score": "high"}]}}', "entry 0 .*ValueError"),
    ],
)
def test_json_of_another_shape_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "found.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"found.json: .*{complaint}"):
        read_detections(path, NAMES)


def test_parquet_of_another_shape_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "found.parquet"
    pq.write_table(pa.table({"video_id": ["v"], "score": [1.0]}), path)
    with pytest.raises(ValueError, match=r"found.parquet: not a Parquet file of video_id, start_s"):
        read_detections(path, NAMES)
    path.write_bytes(b"PAR1")
    with pytest.raises(ValueError, match=r"found.parquet: not a Parquet file"):
        read_detections(path, NAMES)
    with pytest.raises(ValueError, match=r"found.csv: detections are read from .json or .parquet files"):
        read_detections(tmp_path / "found.csv", NAMES)


def test_unknown_labels_can_be_marked_for_the_protocol_to_drop(tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    write_activitynet_json(path, FOUND, NAMES)
    found = read_detections(path, NAMES[:1], on_unknown_label="mark")
    assert found.labels.tolist() == [UNKNOWN_LABEL, 0, 0]
    _, truth = Case(FOUND.video_ids, [("v", 2, 5, 0), ("w", 0, 4, 0)], []).arrays()
    protocol = ActivityNet(on_unknown_label="drop")
    matches = protocol.match(found, truth)
    assert matches.warnings["unknown_label_detections_dropped"] == 1
    assert protocol.score(matches)["avg_map"] == 1.0
