"""Files of proposals, frame scores, video scores and frame labels: what is read, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.detections import Detections, FloatArray, FrameScores
from trainables.evaluation.files.activitynet_json import write_activitynet_json
from trainables.evaluation.files.charades_text import read_charades_classification, read_charades_localization
from trainables.evaluation.files.detections import UNKNOWN_LABEL
from trainables.evaluation.files.frame_labels import read_frame_labels
from trainables.evaluation.files.frame_scores import read_frame_scores, write_frame_parquet
from trainables.evaluation.files.parquet import write_detections_parquet
from trainables.evaluation.files.proposals import read_proposals
from trainables.evaluation.files.thumos_text import write_thumos_text
from trainables.evaluation.files.video_scores import read_video_scores

NAMES = ("run", "jump")


def _text(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_charades_localization(tmp_path: Path) -> None:
    path = _text(tmp_path / "s.txt", "A 2 0.1 0.2", "B\t1\t0.5 -1e3", "", "A 25  0.3 0.4 ")
    found = read_charades_localization(path, 2)
    assert found.video_ids == ("A", "B")
    assert found.first_frame.tolist() == [0, 25, 50]
    assert found.scores[[1, 24, 25]].tolist() == [[0.1, 0.2], [0.3, 0.4], [0.5, -1000.0]]
    assert np.isneginf(found.scores).all(axis=1).sum() == 47
    assert found.times_s is None


def test_points_that_count_from_0_are_shifted(tmp_path: Path) -> None:
    found = read_charades_localization(_text(tmp_path / "s.txt", "A 0 0.1 0.2", "B 24 0.3 0.4"), 2)
    assert found.scores[[0, 49]].tolist() == [[0.1, 0.2], [0.3, 0.4]]


@settings(max_examples=60)
@given(
    points=st.dictionaries(
        st.tuples(st.sampled_from(["v1", "v2"]), st.integers(1, 25)),
        st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3),
        min_size=1,
    )
)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, points: dict[Any, list[float]]) -> None:
    lines = [f"{video} {point} {' '.join(map(repr, row))}" for (video, point), row in points.items()]
    path = _text(tmp_path_factory.mktemp("text") / "s.txt", *lines)
    found = read_charades_localization(path, 3)
    read = {
        (video, j + 1): found.scores[25 * i + j].tolist()
        for i, video in enumerate(found.video_ids)
        for j in range(25)
        if np.isfinite(found.scores[25 * i + j]).all()
    }
    assert read == points


def test_charades_classification(tmp_path: Path) -> None:
    found = read_charades_classification(_text(tmp_path / "s.txt", "B 0.1 0.2", "A\t0.3\t0.4"), 2)
    assert found.video_ids == ("B", "A")
    assert found.video.tolist() == [0, 0, 1, 1]
    assert found.labels.tolist() == [0, 1, 0, 1]
    assert found.scores.tolist() == [0.1, 0.2, 0.3, 0.4]
    assert read_video_scores(tmp_path / "s.txt", NAMES).video_ids == found.video_ids


TEXTS = [
    (("A 1 0.1",), "line 1 has 3 columns, not 'video point' and 2 scores"),
    (("A 1 0.1 0.2 0.3",), "line 1 has 5 columns"),
    (("A 1 0.1 0.2", "A one 0.1 0.2"), "line 2: 'one' is not the number of a point"),
    (("A 1 0.1 0.2", "A 1 0.1 0.2"), "line 2: video 'A', point 1 is there already, line 1"),
    (("A 26 0.1 0.2",), "line 1: video 'A' has no point 26; points count from 1 to 25"),
    (("A 0 0.1 0.2", "A 25 0.1 0.2"), "line 2: video 'A' has no point 25"),
    (("A -1 0.1 0.2",), "line 1: video 'A' has no point -1"),
    (("A 1 0.1 nan",), "line 1: score nan is not finite"),
    (("A 1 -inf 0.2",), "line 1: score -inf is not finite"),
    (("A 1 inf -inf",), "line 1: score inf is not finite"),
    (("A 1 0.1 high",), "line 1: could not convert string to float: 'high'"),
]


@pytest.mark.parametrize(("lines", "complaint"), TEXTS, ids=[t[1] for t in TEXTS])
def test_bad_localization_lines_are_named(tmp_path: Path, lines: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(ValueError, match=f"s.txt: {complaint}"):
        read_charades_localization(_text(tmp_path / "s.txt", *lines), 2)


def test_bad_classification_lines_are_named(tmp_path: Path) -> None:
    for lines, complaint in (
        (("A 0.1",), "line 1 has 2 columns, not 'video' and 2 scores"),
        (("A 0.1 0.2", "A 0.1 0.2"), "line 2: video 'A' is there already, line 1"),
        (("A 0.1 NaN",), "line 1: score NaN is not finite"),
    ):
        with pytest.raises(ValueError, match=f"s.txt: {complaint}"):
            read_charades_classification(_text(tmp_path / "s.txt", *lines), 2)
    (tmp_path / "s.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"s.txt: not a text file"):
        read_charades_classification(tmp_path / "s.txt", 2)


def _results(path: Path, results: Any) -> Path:
    path.write_text(json.dumps({"version": "1.3", "results": results, "external_data": {}}))
    return path


def test_activitynet_classification(tmp_path: Path) -> None:
    results = {"b": [{"score": 0.5, "label": "jump"}, {"score": 1, "label": "swim"}], "a": []}
    path = _results(tmp_path / "c.json", results)
    with pytest.raises(ValueError, match=r"c.json: video 'b', entry 1: 'swim' is none of the 2 classes"):
        read_video_scores(path, NAMES)
    found = read_video_scores(path, NAMES, on_unknown_label="mark")
    assert found.video_ids == ("b", "a")
    assert found.video.tolist() == [0, 0]
    assert found.labels.tolist() == [1, UNKNOWN_LABEL]
    assert found.scores.tolist() == [0.5, 1.0]


def test_bad_classification_results_are_named(tmp_path: Path) -> None:
    for results, complaint in (
        ({"b": [{"score": float("nan"), "label": "run"}]}, "video 'b', entry 0: the score nan is not finite"),
        ({"b": [{"score": 1}]}, "video 'b', entry 0 is not {label, score}: KeyError 'label'"),
        ({"b": [{"score": "high", "label": "run"}]}, "video 'b', entry 0 is not {label, score}: ValueError"),
        ({"b": ["run"]}, "video 'b', entry 0 is not {label, score}: TypeError"),
        ({"b": {}}, "video 'b' holds {}, not a list of entries"),
        ([], "no 'results' by video id"),
    ):
        with pytest.raises(ValueError, match=f"c.json: {complaint}"):
            read_video_scores(_results(tmp_path / "c.json", results), NAMES)
    entry = '[{"score": 1, "label": "run"}]'
    (tmp_path / "c.json").write_text(f'{{"results": {{"a": {entry}, "a": {entry}}}}}')
    with pytest.raises(ValueError, match=r"c.json: 'a' is there twice in one object"):
        read_video_scores(tmp_path / "c.json", NAMES)
    with pytest.raises(ValueError, match=r"c.xml: scores of videos are read from .json"):
        read_video_scores(tmp_path / "c.xml", NAMES)


FOUND = Detections(
    ("a", "b"), np.array([0, 1]), np.array([[0.0, 1.5], [2.0, 3.0]]), np.array([1, 0]), np.array([0.25, 0.5])
)


@pytest.mark.parametrize(
    ("name", "write"),
    [("p.json", write_activitynet_json), ("p.parquet", write_detections_parquet), ("p.txt", write_thumos_text)],
)
def test_proposals_come_in_the_files_of_detections(tmp_path: Path, name: str, write: Callable[..., None]) -> None:
    write(tmp_path / name, FOUND, ("Diving", "Shotput"))
    found = read_proposals(tmp_path / name)
    assert found.video_ids == ("a", "b")
    assert found.segments_s.tolist() == FOUND.segments_s.tolist()
    assert found.scores.tolist() == [0.25, 0.5]
    assert found.labels.tolist() == [0, 0]


def test_proposals_need_no_label(tmp_path: Path) -> None:
    found = read_proposals(_results(tmp_path / "p.json", {"a": [{"segment": [0, 2], "score": 0.5}]}))
    assert found.segments_s.tolist() == [[0.0, 2.0]]


def test_bad_proposals_are_named(tmp_path: Path) -> None:
    for entry, complaint in (
        ({"segment": [0, 2]}, r"entry 0 is not \{segment, score\}: KeyError 'score'"),
        ({"segment": [2, 0], "score": 1}, "it ends before it starts; 1 such rows"),
        ({"segment": [0, float("inf")], "score": 1}, "a time is not finite"),
        ({"segment": [0, 1], "score": float("nan")}, "the score is not finite"),
    ):
        with pytest.raises(ValueError, match=f"p.json: video 'a', .*{complaint}"):
            read_proposals(_results(tmp_path / "p.json", {"a": [entry]}))
    with pytest.raises(ValueError, match=r"p.csv: proposals are read from .json, .parquet, .txt files"):
        read_proposals(tmp_path / "p.csv")


def _npz(folder: Path, video: str, **arrays: Any) -> None:
    folder.mkdir(exist_ok=True)
    np.savez(folder / f"{video}.npz", **arrays)


def test_a_folder_of_npz(tmp_path: Path) -> None:
    folder = tmp_path / "scores"
    _npz(folder, "b", scores=np.array([[1, 2]], np.float32))
    _npz(folder, "a", scores=np.array([[3, 4], [5, 6]]), class_names=np.array(NAMES))
    found = read_frame_scores(folder, NAMES)
    assert found.video_ids == ("a", "b")
    assert found.first_frame.tolist() == [0, 2, 3]
    assert found.scores.tolist() == [[3, 4], [5, 6], [1, 2]]
    assert found.times_s is None
    _npz(folder, "a", scores=np.array([[3, 4]]), times_s=np.array([0.5]))
    _npz(folder, "b", scores=np.array([[1, 2]]), times_s=np.array([0]))
    times = read_frame_scores(folder, NAMES).times_s
    assert times is not None
    assert times.tolist() == [0.5, 0.0]


SCORES = np.zeros((2, 2))
NPZ: list[tuple[dict[str, Any], str]] = [
    ({"scores": np.zeros((2, 3))}, r"'scores' has shape \(2, 3\); expected \(frames, 2\)"),
    ({"score": SCORES}, "holds score; expected 'scores'"),
    ({"scores": SCORES, "time_s": np.zeros(2)}, "holds scores, time_s; expected 'scores'"),
    ({"scores": SCORES, "times_s": np.zeros(3)}, r"'times_s' has shape \(3,\) for 2 frames"),
    ({"scores": SCORES, "times_s": np.array([0, np.nan])}, "frame 1: its time is not finite"),
    ({"scores": np.array([[0, 1], [np.nan, 1]])}, "frame 1: a score is not finite; 1 such rows"),
    ({"scores": np.array([["a", "b"]])}, "'scores' holds <U1, not numbers"),
    ({"scores": np.array([[None, 1]], object)}, "not an .npz file of plain arrays"),
    ({"scores": SCORES, "class_names": np.array(NAMES[::-1])}, "'class_names' are not those of the annotations"),
]


@pytest.mark.parametrize(("arrays", "complaint"), NPZ, ids=[n[1] for n in NPZ])
def test_bad_npz_are_named(tmp_path: Path, arrays: dict[str, Any], complaint: str) -> None:
    _npz(tmp_path / "s", "v", **arrays)
    with pytest.raises(ValueError, match=f"v.npz: {complaint}"):
        read_frame_scores(tmp_path / "s", NAMES)


def test_folders_that_are_none_of_frame_scores(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no .npz file"):
        read_frame_scores(tmp_path, NAMES)
    (tmp_path / "v.npz").write_bytes(b"PK but no archive")
    with pytest.raises(ValueError, match=r"v.npz: not an .npz file"):
        read_frame_scores(tmp_path, NAMES)
    _npz(tmp_path, "v", scores=SCORES)
    _npz(tmp_path, "w", scores=SCORES, times_s=np.zeros(2))
    with pytest.raises(ValueError, match=r"v.npz: has no 'times_s', which w.npz has"):
        read_frame_scores(tmp_path, NAMES)
    with pytest.raises(ValueError, match="frame scores are read from a folder"):
        read_frame_scores(tmp_path / "s.csv", NAMES)


def _parquet(path: Path, **columns: Any) -> Path:
    whole = {
        "video_id": ["b", "a", "a"],
        "frame": [0, 1, 0],
        "jump": [1.0, 2.0, 3.0],
        "run": [4.0, 5.0, 6.0],
        **columns,
    }
    pq.write_table(pa.table({name: values for name, values in whole.items() if values is not None}), path)
    return path


def test_a_parquet_file(tmp_path: Path) -> None:
    found = read_frame_scores(_parquet(tmp_path / "s.parquet"), NAMES)
    assert found.video_ids == ("a", "b")
    assert found.first_frame.tolist() == [0, 2, 3]
    assert found.scores.tolist() == [[6, 3], [5, 2], [4, 1]]  # columns by name, rows by frame
    assert found.times_s is None
    timed = read_frame_scores(_parquet(tmp_path / "s.parquet", time_s=[0.0, 0.5, 0.1]), NAMES)
    assert timed.times_s is not None
    assert timed.times_s.tolist() == [0.1, 0.5, 0.0]
    assert timed.scores.tolist() == found.scores.tolist()


PARQUET: list[tuple[dict[str, Any], str]] = [
    ({"run": None}, r"missing \['run'\], unknown \[\]"),
    ({"swim": [0.0, 0.0, 0.0]}, r"missing \[\], unknown \['swim'\]"),
    ({"run": [1.0, float("nan"), 1.0]}, "row 1: a value is not finite"),
    ({"frame": [0, 0, 0]}, "video 'a' has frame 0 where 1 is due"),
    ({"frame": [1, 1, 0]}, "video 'b' has frame 1 where 0 is due"),
    ({"run": ["x", "y", "z"]}, "a column holds other values than frame scores do"),
    ({"video_id": ["b", None, "a"]}, "a column holds other values than frame scores do"),
    ({"frame": [0, None, 0]}, "a column holds other values than frame scores do"),
]


@pytest.mark.parametrize(("columns", "complaint"), PARQUET, ids=[p[1] for p in PARQUET])
def test_bad_parquet_files_are_named(tmp_path: Path, columns: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=f"s.parquet: .*{complaint}"):
        read_frame_scores(_parquet(tmp_path / "s.parquet", **columns), NAMES)


def test_a_file_that_is_no_parquet_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"s.parquet: not a Parquet file"):
        read_frame_scores(_text(tmp_path / "s.parquet", "A 1 0.1 0.2"), NAMES)


@pytest.mark.parametrize("times", [None, np.array([0.5, 1.5, 0.25])])
def test_written_frame_scores_are_read_again(tmp_path: Path, times: FloatArray | None) -> None:
    found = FrameScores(("b", "a"), np.array([0, 2, 3]), np.array([[0.1, -7], [0.2, 1 / 3], [5, 6]]), times)
    write_frame_parquet(tmp_path / "s.parquet", found, NAMES)
    again = read_frame_scores(tmp_path / "s.parquet", NAMES)
    assert again.video_ids == ("a", "b")
    assert again.scores.tolist() == found.scores[[2, 0, 1]].tolist()
    assert (again.times_s is None) if times is None else (again.times_s.tolist() == times[[2, 0, 1]].tolist())
    with pytest.raises(ValueError, match="a class is named 'frame', which is a column"):
        write_frame_parquet(tmp_path / "t.parquet", found, ("frame", "b"))


def test_frame_labels_of_ms_tcn(tmp_path: Path) -> None:
    truth, results = tmp_path / "groundTruth", tmp_path / "results"
    truth.mkdir()
    results.mkdir()
    _text(truth / "rgb-01-1.txt", "cut", "cut", "peel")
    _text(truth / "rgb-02-1.txt", "peel")
    (truth / ".DS_Store").write_bytes(b"\0")
    _text(results / "rgb-01-1", "### Frame level recognition: ###", "cut peel peel")
    np.savez(results / "rgb-02-1.npz", labels=np.array(["cut"]))
    annotated = read_frame_labels(truth)
    assert annotated.video_ids == ("rgb-01-1", "rgb-02-1")
    assert annotated.class_names == ("cut", "peel")
    assert annotated.first_frame.tolist() == [0, 3, 4]
    assert annotated.labels.tolist() == [0, 0, 1, 1]
    assert read_frame_labels(results).labels.tolist() == [0, 1, 1, 0]
    one = read_frame_labels(truth, only={"rgb-02-1"})
    assert (one.video_ids, one.class_names, one.labels.tolist()) == (("rgb-02-1",), ("peel",), [0])
    with pytest.raises(ValueError, match="holds no file of video 'rgb-03-1'"):
        read_frame_labels(truth, only={"rgb-02-1", "rgb-03-1"})


LABELS: list[tuple[str, Any, str]] = [
    ("v.txt", "", "v.txt: holds no label"),
    ("v.txt", "a\n\nb\n", "v.txt: line 2 is empty"),
    ("v", "### head ###\n", "after '### head ###' one line of labels is due, there are 0"),
    ("v", "### head ###\na b\nc\n", "one line of labels is due, there are 2"),
    ("v.csv", "a\n", "v.csv: expected files <video>"),
    ("v.npz", {"label": np.array(["a"])}, "v.npz: expected one array 'labels'"),
    ("v.npz", {"labels": np.array([1, 2])}, r"v.npz: expected .* holds \{'labels': 'int64 \(2,\)'\}"),
    ("v.npz", {"labels": np.array([], str)}, "v.npz: expected one array 'labels'"),
]


@pytest.mark.parametrize(("name", "content", "complaint"), LABELS, ids=[f"{n} {c}" for n, _, c in LABELS])
def test_bad_label_files_are_named(tmp_path: Path, name: str, content: Any, complaint: str) -> None:
    if isinstance(content, dict):
        np.savez(tmp_path / name, **content)
    else:
        (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=complaint):
        read_frame_labels(tmp_path)


def test_folders_that_are_none_of_frame_labels(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected files <video>"):
        read_frame_labels(tmp_path)
    with pytest.raises(ValueError, match="a folder with one file a video"):
        read_frame_labels(tmp_path / "nowhere")
    _text(tmp_path / "v.txt", "a")
    _text(tmp_path / "v", "a")
    with pytest.raises(ValueError, match="video 'v' is in v as well"):
        read_frame_labels(tmp_path)
    (tmp_path / "v").unlink()
    (tmp_path / "v.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"v.txt: not a text file"):
        read_frame_labels(tmp_path)
