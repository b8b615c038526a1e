"""Detections as ActivityNet result JSON, THUMOS'14 text and Parquet."""

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
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.detections import Detections
from trainables.evaluation.detection.protocols import ActivityNet
from trainables.evaluation.files.activitynet_json import write_activitynet_json
from trainables.evaluation.files.detections import UNKNOWN_LABEL, read_detections
from trainables.evaluation.files.parquet import write_detections_parquet
from trainables.evaluation.files.thumos_text import CLASS_IDS, write_thumos_text

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


def test_thumos_text_gives_back_every_bit(tmp_path: Path) -> None:
    path = tmp_path / "found.txt"
    write_thumos_text(path, FOUND, NAMES)
    assert path.read_text().splitlines()[0] == f"v 0.1 {1 / 3!r} 22 {0.1 + 0.2!r}"
    again = read_detections(path, NAMES)
    assert again.video_ids == ("v", "w")  # the format has no place for a video without detections
    assert np.array_equal(again.segments_s, FOUND.segments_s)
    assert np.array_equal(again.labels, FOUND.labels)
    assert np.array_equal(again.scores, FOUND.scores)
    assert [again.video_ids[v] for v in again.video] == [FOUND.video_ids[v] for v in FOUND.video]
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_thumos_text_knows_the_official_ids(test_data: Path) -> None:
    lines = (test_data / "thumos14" / "official_annotations" / "detclasslist.txt").read_text().splitlines()
    assert {name: int(number) for number, name in (line.split() for line in lines)} == CLASS_IDS


def test_thumos_text_takes_names_and_leaves_unknown_ids_to_the_caller(tmp_path: Path) -> None:
    path = tmp_path / "found.txt"
    path.write_text("v 0 1 Diving 0.5\n\nv 2 3 26 0.4\nv 4 5 1 0.3\n")
    assert read_detections(path, NAMES, on_unknown_label="mark").labels.tolist() == [0, 0, UNKNOWN_LABEL]
    with pytest.raises(
        ValueError, match=r"found.txt: line 4, \[4.0, 5.0\] '1' 0.3: the label is none of the 2 classes"
    ):
        read_detections(path, NAMES)


@pytest.mark.parametrize("line", ["v 0 1 26", "v 0 1 26 0.5 more", "v zero 1 26 0.5", "v 0 1 26 high"])
def test_a_line_of_another_shape_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "found.txt"
    path.write_text(f"v 0 1 26 0.5\n{line}\n")
    with pytest.raises(ValueError, match=r"found.txt: line 2 is not 'video start end class_id score'"):
        read_detections(path, NAMES)


@pytest.mark.parametrize(
    ("change", "names", "complaint"),
    [
        ({}, ("Diving", "Cooking"), "class 'Cooking' is none of the 20"),
        ({"video_ids": ("v", "a b", "w")}, NAMES, "video id 'a b' has a blank"),
    ],
)
def test_what_thumos_text_cannot_hold_is_refused(
    tmp_path: Path, change: dict[str, Any], names: tuple[str, ...], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        write_thumos_text(tmp_path / "found.txt", replace(FOUND, **change), names)
    assert list(tmp_path.iterdir()) == []


times, scores = st.floats(0, 1e6), st.floats(allow_nan=False, allow_infinity=False)


@given(rows=st.lists(st.tuples(st.integers(0, 2), times, times, st.integers(0, 1), scores), max_size=8))
@settings(max_examples=200)
def test_every_format_gives_back_every_bit(tmp_path_factory: pytest.TempPathFactory, rows: list[Any]) -> None:
    rows = sorted(rows)  # JSON groups them by video
    found = Detections(
        ("a", "b", "c"),
        np.array([r[0] for r in rows], np.int64),
        np.sort(np.array([r[1:3] for r in rows], np.float64).reshape(-1, 2), axis=1),
        np.array([r[3] for r in rows], np.int64),
        np.array([r[4] for r in rows], np.float64),
    )
    folder = tmp_path_factory.mktemp("files")
    for write, suffix in (
        (write_activitynet_json, "json"),
        (write_detections_parquet, "parquet"),
        (write_thumos_text, "txt"),
    ):
        write(folder / f"found.{suffix}", found, NAMES)
        again = read_detections(folder / f"found.{suffix}", NAMES)
        assert [again.video_ids[v] for v in again.video] == [found.video_ids[v] for v in found.video]
        for name in ("segments_s", "labels", "scores"):
            assert np.array_equal(getattr(again, name), getattr(found, name))


BAD_VALUES = [
    ({"segment": [5, 2]}, r"\[5.0, 2.0\] 'Diving' 1e-300: it ends before it starts .*; 1 such rows"),
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
        (
            '{"results": {"v": [{"segment": [0, 1], "label": "Diving", "score": 1}], "v": []}}',
            "'v' is there twice in one object",
        ),
        ('{"results": {"v": [1]}}', "video 'v', entry 0 .*TypeError"),
        ("", "not JSON"),
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
    with pytest.raises(ValueError, match=r"found.csv: detections are read from .json, .parquet, .txt files"):
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


@pytest.mark.parametrize("policy", ["miss", "swap"])
def test_reversed_segments_can_be_left_to_the_protocol(tmp_path: Path, policy: str) -> None:
    path = tmp_path / "found.json"
    write_activitynet_json(path, FOUND, NAMES)
    content = json.loads(path.read_text())
    content["results"]["v"][1]["segment"] = [5, 2]
    path.write_text(json.dumps(content))
    found = read_detections(path, NAMES, on_reversed_segment="keep")
    _, truth = Case(FOUND.video_ids, [("v", 2, 5, 0), ("w", 0, 4, 0)], [], num_classes=2).arrays()
    protocol = ActivityNet(on_reversed_segment=policy)  # type: ignore[arg-type]
    matches = protocol.match(found, truth)
    assert matches.warnings["reversed_detections"] == 1
    assert protocol.score(matches)["avg_map"] == (0.5 if policy == "miss" else 1.0)


def test_the_organisers_sample_submission(test_data: Path, tmp_path: Path) -> None:
    sample = test_data / "activitynet" / "sample_detection_prediction.json"
    content = json.loads(sample.read_text())
    entries = [entry for video in content["results"].values() for entry in video]
    names = tuple(dict.fromkeys(entry["label"] for entry in entries))
    found = read_detections(sample, names)
    assert len(found.scores) == 7654
    assert found.video_ids == tuple(content["results"])
    assert int((found.segments_s[:, 1] == found.segments_s[:, 0]).sum()) == 3

    for entry in entries[1000:2123]:
        entry["segment"].reverse()
    turned = tmp_path / "turned.json"
    turned.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"turned.json: video '\S+', entry \d+, .*: .* before it starts .*; 1123 such"):
        read_detections(turned, names)
    kept = read_detections(turned, names, on_reversed_segment="keep")
    assert int((kept.segments_s[:, 1] < kept.segments_s[:, 0]).sum()) == 1123
