"""Generated files of every form are read back as they were meant, and their faults counted as a slow loop counts."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import savemat

from trainables.data.annotations import AnnotationSet
from trainables.data.readers import read_annotations

CLASSES = ("hop", "jump", "run")

_TIMES = st.floats(0, 1e4, allow_subnormal=False) | st.integers(0, 20).map(float)
_POSITIVE = st.floats(1e-3, 1e4, allow_subnormal=False)


@dataclass(frozen=True)
class Meant:
    """One video as it is meant."""

    video_id: str
    subset: str
    duration_s: float
    fps: float
    segments: tuple[tuple[float, float, str], ...]


def _segments(*, reversed_too: bool) -> st.SearchStrategy[tuple[float, float, str]]:
    anything = st.tuples(_TIMES, _TIMES, st.sampled_from(CLASSES))
    if reversed_too:
        return anything
    return anything.map(lambda s: (min(s[:2]), max(s[:2]), s[2]))


def _videos(
    *, reversed_too: bool = False, at_least: int = 0, ordered: bool = False
) -> st.SearchStrategy[tuple[Meant, ...]]:
    segments = _segments(reversed_too=reversed_too)
    if ordered:
        segments = segments.filter(lambda s: s[0] < s[1])
    video = st.builds(
        Meant,
        st.text("abcXYZ0123456789-_", min_size=1, max_size=11).filter(lambda v: not v.startswith("v_")),
        st.sampled_from(["training", "validation", "testing"]),
        _POSITIVE,
        _POSITIVE,
        st.lists(segments, min_size=at_least, max_size=6).map(tuple),
    )
    return st.lists(video, min_size=1, max_size=6, unique_by=lambda v: v.video_id).map(tuple)


@contextmanager
def _file(name: str, content: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(gzip.compress(content.encode()) if name.endswith(".gz") else content.encode())
        yield path


def _database(videos: tuple[Meant, ...]) -> str:
    entries = {
        v.video_id: {
            "subset": v.subset,
            "duration": v.duration_s,
            "fps": v.fps,
            "annotations": [{"segment": [s, e], "label": c, "label_id": CLASSES.index(c)} for s, e, c in v.segments],
        }
        for v in videos
    }
    taxonomy = [{"nodeId": i, "nodeName": c, "parentId": 9} for i, c in enumerate(CLASSES)]
    top = {"nodeId": 9, "nodeName": "Root", "parentId": None}
    return json.dumps({"version": "1", "taxonomy": [top, *taxonomy], "database": entries})


def _bsn(videos: tuple[Meant, ...]) -> str:
    return json.dumps(
        {
            f"v_{v.video_id}": {
                "duration_second": v.duration_s,
                "rfps": v.fps,
                "annotations": [{"segment": [s, e], "label": c} for s, e, c in v.segments],
            }
            for v in videos
        }
    )


def _actions(videos: tuple[Meant, ...]) -> str:
    return json.dumps(
        {
            v.video_id: {
                "subset": v.subset,
                "duration": v.duration_s,
                "actions": [[CLASSES.index(c) + 1, s, e] for s, e, c in v.segments],
            }
            for v in videos
        }
    )


def _table(header: list[str], rows: list[list[object]]) -> str:
    stream = io.StringIO()
    csv.writer(stream).writerows([header, *rows])
    return stream.getvalue()


def _charades(videos: tuple[Meant, ...]) -> str:
    rows: list[list[object]] = [[v.video_id, 'he said "hop,\nhop"', _joined(v), repr(v.duration_s)] for v in videos]
    return _table(["id", "script", "actions", "length"], rows)


def _joined(video: Meant) -> str:
    return ";".join(f"c{CLASSES.index(c) + 1:03d} {s!r} {e!r}" for s, e, c in video.segments)


def _tsp(videos: tuple[Meant, ...]) -> str:
    header = ["video-name", "t-start", "t-end", "action-label", "video-duration", "fps", "temporal-region-label"]
    rows: list[list[object]] = [
        [v.video_id, repr(s), repr(e), c, repr(v.duration_s), repr(v.fps), "Action"]
        for v in videos
        for s, e, c in v.segments
    ]
    between: list[list[object]] = [[v.video_id, 0, 1, "", repr(v.duration_s), repr(v.fps), "No action"] for v in videos]
    return _table(header, rows + between)


def _check(annotations: AnnotationSet, videos: tuple[Meant, ...]) -> None:
    """Values and order are those meant; segments without length, and reversed ones, are not there."""
    assert annotations.class_names == CLASSES
    assert [v.video_id for v in annotations.videos] == [v.video_id for v in videos]
    for video, meant in zip(annotations.videos, videos, strict=True):
        assert video.subset == meant.subset
        assert video.duration_s == meant.duration_s
        expected = [(s, e, CLASSES.index(c), False) for s, e, c in meant.segments if s < e]
        assert [(s.start_s, s.end_s, s.label, s.ambiguous) for s in video.segments] == expected


def _slow_faults(videos: tuple[Meant, ...]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for video in videos:
        for i, (start, end, label) in enumerate(video.segments):
            if end < start:
                counts["segment ends before it starts"] += 1
            if end == start:
                counts["segment without length"] += 1
            if end - video.duration_s > 1e-6:
                counts["segment ends after its video"] += 1
            if start < end and (start, end, label) in video.segments[:i]:
                counts["segment is there more than once"] += 1
    return dict(counts)


def _faults(annotations: AnnotationSet) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for fault in annotations.faults:
        counts[fault.rule] += fault.count
    return dict(counts)


@given(videos=_videos(), packed=st.booleans())
def test_activitynet(videos: tuple[Meant, ...], packed: bool) -> None:
    with _file("x.json.gz" if packed else "x.json", _database(videos)) as path:
        annotations = read_annotations(path)
    _check(annotations, videos)
    assert [v.fps for v in annotations.videos] == [v.fps for v in videos]
    assert _faults(annotations) == _slow_faults(videos)


@given(videos=_videos(reversed_too=True))
def test_actions(videos: tuple[Meant, ...]) -> None:
    with _file("x.json", _actions(videos)) as path:
        (path.parent / "thumos_mapping.txt").write_text("1 hop 7\n2 jump\n3 run 12\n")
        annotations = read_annotations(path)
    _check(annotations, videos)
    assert _faults(annotations) == _slow_faults(videos)


@given(videos=_videos(reversed_too=True), subset=st.sampled_from(["train", "test"]))
def test_charades(videos: tuple[Meant, ...], subset: str) -> None:
    with _file(f"Charades_v1_{subset}.csv", _charades(videos)) as path:
        classes = path.parent / "classes"
        classes.write_text("c001 hop\nc002 jump\nc003 run\n")
        annotations = read_annotations(path, classes=classes)
        assert read_annotations(path.parent, classes=classes).videos == annotations.videos
    _check(annotations, tuple(replace(v, subset=f"{subset}ing") for v in videos))
    assert _faults(annotations) == _slow_faults(videos)


@pytest.mark.parametrize("write", [_bsn, _tsp])
@given(data=st.data())
def test_forms_without_subsets(write: Callable[[tuple[Meant, ...]], str], data: st.DataObject) -> None:
    videos = data.draw(_videos(at_least=1))
    rows: list[list[object]] = [[f"v_{v.video_id}", 1, "9.5", "9.5", v.subset] for v in videos]
    with _file("x.json" if write is _bsn else "x.csv", write(videos)) as path:
        info, classes = path.parent / "info.csv", path.parent / "classes.txt"
        info.write_text(_table(["video", "fps", "seconds", "rfps", "subset"], rows))
        classes.write_text("\n".join(CLASSES))
        annotations = read_annotations(path, classes=classes, video_info=[info])
    _check(annotations, videos)
    assert [v.fps for v in annotations.videos] == [v.fps for v in videos], "the annotation's come first"
    apart = sum(abs(v.duration_s - 9.5) > 1 for v in videos)
    between = {"region between actions": len(videos)} if write is _tsp else {}
    expected = {**_slow_faults(videos), **between, **({"two durations more than 1 s apart": apart} if apart else {})}
    assert _faults(annotations) == expected


@given(videos=_videos(at_least=1, ordered=True), ambiguous=st.booleans())
def test_thumos14(videos: tuple[Meant, ...], ambiguous: bool) -> None:
    ending = {"validation": "val", "training": "val", "testing": "test"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines: dict[str, list[str]] = {}
        for video, (start, end, label) in ((v, s) for v in videos for s in v.segments):
            lines.setdefault(f"{label}_{ending[video.subset]}", []).append(f"{video.video_id}  {start!r} {end!r}")
        for suffix in {ending[v.subset] for v in videos}:
            own = [f"filler_{suffix} 1 2"] + ([f"filler_{suffix} 5 6.5"] if ambiguous else [])
            for label in CLASSES:
                lines.setdefault(f"{label}_{suffix}", []).append(own[0])
            if ambiguous:
                lines[f"Ambiguous_{suffix}"] = own[1:]
        for stem, rows in lines.items():
            (folder / f"{stem}.txt").write_text("\n".join(rows) + "\n")
        annotations = read_annotations(folder)
    assert annotations.class_names == CLASSES
    own_videos = {v.video_id: v for v in annotations.videos if not v.video_id.startswith("filler_")}
    assert [*own_videos] == sorted(v.video_id for v in videos)
    for meant in videos:
        # one class after another, each in the order of its file
        expected = [(s, e, i) for i, label in enumerate(CLASSES) for s, e, c in meant.segments if c == label]
        video = own_videos[meant.video_id]
        assert [(s.start_s, s.end_s, s.label) for s in video.segments] == expected
        assert video.subset == {"val": "validation", "test": "test"}[ending[meant.subset]]
    fillers = [v for v in annotations.videos if v.video_id.startswith("filler_")]
    assert all([s.ambiguous for s in v.segments] == [True] * ambiguous + [False] * 3 for v in fillers)


@given(
    labels=st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=40), min_size=1, max_size=4),
    step=st.none() | st.sampled_from([0.2, 1 / 3, 1 / 30]),
    named=st.booleans(),
)
def test_frame_labels(labels: list[list[int]], step: float | None, named: bool) -> None:
    cells = {}
    for name in ("Y", "P", "S"):
        cells[name] = np.empty((1, len(labels)), object)
        for i, own in enumerate(labels):
            cells[name][0, i] = np.zeros((len(own), 5)) if name == "S" else np.asarray([own])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "Split_3.mat"
        savemat(path, cells)
        if named:
            (path.parent / "splits/Split_3").mkdir(parents=True)
            (path.parent / "splits/Split_3/test.txt").write_text("\n".join(f"0{i}-1" for i in range(len(labels))))
        annotations = read_annotations(path, seconds_per_step=step)
    unit = step or 1.0
    assert annotations.class_names == ("background", "1", "2", "3", "4")
    for i, (video, own) in enumerate(zip(annotations.videos, labels, strict=True)):
        assert video.video_id == (f"0{i}-1" if named else f"Split_3_{i + 1:02d}")
        assert video.duration_s == len(own) * unit
        at, expected = 0, []
        for label, run in itertools.groupby(own):
            length = len(list(run))
            expected.append((at * unit, (at + length) * unit, label))
            at += length
        assert [(s.start_s, s.end_s, s.label) for s in video.segments] == expected
    unstated = {} if step else {"sampling rate is not stated": len(labels)}
    by_place = {"video named by its place in the split list": len(labels)} if named else {}
    assert _faults(annotations) == {**unstated, **by_place}


@given(videos=_videos(at_least=1, ordered=True))
def test_times_as_text_are_the_same_times(videos: tuple[Meant, ...]) -> None:
    content = json.loads(_database(videos))
    for entry in content["database"].values():
        for annotation in entry["annotations"]:
            annotation["segment"] = [repr(time) for time in annotation["segment"]]
    with _file("x.json", json.dumps(content)) as path:
        annotations = read_annotations(path)
    _check(annotations, videos)
    assert _faults(annotations)["numbers stored as text"] == sum(len(v.segments) for v in videos)


def test_classes_known_by_number_only_are_sorted_as_numbers(tmp_path: Path) -> None:
    actions = [[10, 0.0, 1.0], [9, 0.0, 1.0], [100, 0.0, 1.0]]
    (tmp_path / "x.json").write_text(json.dumps({"a": {"subset": "s", "duration": 3, "actions": actions}}))
    annotations = read_annotations(tmp_path / "x.json")
    assert annotations.class_names == ("9", "10", "100")
    assert [s.label for s in annotations.videos[0].segments] == [1, 0, 2]


def test_what_the_information_lacks_is_counted(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(_database((Meant("a", "s", 1.0, 1.0, ((0.0, 1.0, "hop"),)),)))
    (tmp_path / "info.txt").write_text("b.mp4\n3.5\n")
    (fault,) = read_annotations(tmp_path / "x.json", video_info=[tmp_path / "info.txt"]).faults
    assert (fault.rule, fault.count, fault.action) == ("video without video information", 1, "kept")
    assert fault.first.endswith("x.json: video 'a'")
