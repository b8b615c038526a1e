"""Bad input: one error that names the file, the row, the rule and the value."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from trainables.data.readers import FORMATS, read_annotations
from trainables.data.readers.classes import read_class_list
from trainables.data.readers.video_ids import read_video_ids
from trainables.data.readers.video_info import read_video_info


def _database(**changes: Any) -> str:
    """An ActivityNet file whose second video's second annotation is changed; None takes a key away."""
    annotation = {"segment": [1.0, 2.0], "label": "run"}
    bad = {key: value for key, value in {**annotation, **changes}.items() if value is not None}
    first = {"subset": "training", "duration": 9.0, "annotations": [annotation]}
    second = {"subset": "training", "duration": 9.0, "annotations": [annotation, bad]}
    return json.dumps({"database": {"a": first, "b": second}})


def _videos(entry: dict[str, Any]) -> str:
    return json.dumps({"a": entry})


_ENTRY = {"subset": "training", "duration": 9.0, "annotations": []}
_ACTIONS = {"subset": "training", "duration": 9.0, "actions": [[3, 1.0, 2.0]]}
_CHARADES = "id,actions,length\nAAAAA,c001 1.0 2.0,9.0\n"
_AFSD = "video,type,type_idx,start,end,startFrame,endFrame\na,run,1,0.5,1.5,15,45\n"
_TSP = "video-name,t-start,t-end,action-label,video-duration,fps,temporal-region-label\na,1,2,run,9,30,Action\n"
_DAPS = "video-name,t-init,t-end,video-duration,frame-rate,label-idx\na,1,2,9,30,0\n"

BAD_FILES = {
    "empty": ("x.json", "", ["x.json: the file is empty"]),
    "not JSON": ("x.json", '{"database": {', ["x.json: not JSON", "line 1 column"]),
    "another form": ("x.json", '{"results": {}}', ["x.json: is of no known format", *FORMATS]),
    "plain text": ("x.txt", "hello", ["x.txt: is of no known format"]),
    "binary": ("x.bin", b"\xff\xfe\x00", ["x.bin: is of no known format"]),
    "damaged gzip": ("x.json.gz", gzip.compress(b"{}" * 99)[:20], ["x.json.gz: a damaged gzip file"]),
    "no video": ("x.json", '{"database": {}}', ["x.json: holds no video"]),
    "no segment": (
        "x.json",
        json.dumps({"database": {"a": _ENTRY}}),
        ["x.json: none of the 1 videos has an annotated segment"],
    ),
    "duplicate video": (
        "x.json",
        '{"database": {"a": {}, "b": {}, "a": {}}}',
        ["x.json: 'a' is there twice in one object"],
    ),
    "no video entry": ("x.json", '{"database": {"a": 3}}', ["x.json: video 'a'", "got 3"]),
    "no subset": (
        "x.json",
        json.dumps({"database": {"a": {"annotations": []}}}),
        ["x.json: video 'a': 'subset' is None"],
    ),
    "no annotations": (
        "x.json",
        json.dumps({"database": {"a": {"subset": "test"}}}),
        ["x.json: video 'a': 'annotations' is None, not a list"],
    ),
    "no segment key": ("x.json", _database(segment=None), ["x.json: video 'b', annotation 1", "{'label': 'run'}"]),
    "three times": ("x.json", _database(segment=[1, 2, 3]), ["video 'b', annotation 1 is not {segment: [start, end]"]),
    "no label": ("x.json", _database(label=None), ["video 'b', annotation 1: label None is not a name"]),
    "a number for a label": ("x.json", _database(label=3), ["video 'b', annotation 1: label 3 is not a name"]),
    "NaN": ("x.json", _database(segment=[1.0, float("nan")]), ["video 'b', annotation 1: nan is not a finite number"]),
    "infinity": ("x.json", _database(segment=[0, float("inf")]), ["video 'b', annotation 1: inf is not a finite"]),
    "a word for a time": ("x.json", _database(segment=["x", 2]), ["video 'b', annotation 1: 'x' is not a number"]),
    "a list for a time": ("x.json", _database(segment=[[1], 2]), ["video 'b', annotation 1: [1] is not a number"]),
    "truth for a time": ("x.json", _database(segment=[True, 2]), ["video 'b', annotation 1: True is not a finite"]),
    "before the video": ("x.json", _database(segment=[-0.5, 2]), ["annotation 1: [-0.5, 2.0] starts before the video"]),
    "reversed": (
        "x.json",
        _database(segment=[2.0, 1.0]),
        ["video 'b', annotation 1: [2.0, 1.0]: segment ends before it starts", "correct the file"],
    ),
    "duration 0": (
        "x.json",
        json.dumps({"database": {"a": {**_ENTRY, "duration": 0}, "b": json.loads(_database())["database"]["a"]}}),
        ["x.json: video 'a', duration: 0 must be positive"],
    ),
    "label of two ids": (
        "x.json",
        json.dumps(
            {
                "database": {
                    "a": {
                        "subset": "test",
                        "annotations": [
                            {"segment": [0, 1], "label": "run", "label_id": 1},
                            {"segment": [0, 1], "label": "run", "label_id": 2},
                        ],
                    }
                }
            }
        ),
        ["x.json: video 'a', annotation 1: label 'run' has label_id 2"],
    ),
    "class outside the taxonomy": (
        "x.json",
        json.dumps(
            {**json.loads(_database()), "taxonomy": [{"nodeId": 1, "nodeName": "running", "parentId": 0}]},
        ),
        ["x.json: video 'a', annotation 0: class 'run' is none of the 1 classes; did you mean 'running'?"],
    ),
    "taxonomy of another shape": (
        "x.json",
        json.dumps({**json.loads(_database()), "taxonomy": [{"nodeId": 1}]}),
        ["x.json: 'taxonomy' is no list of {nodeId, nodeName, parentId}: KeyError 'parentId'"],
    ),
    "bsn without duration": (
        "x.json",
        json.dumps({"v_a": {"duration_second": 9, "annotations": []}, "v_b": {"annotations": []}}),
        ["x.json: video 'v_b': has no 'duration_second'"],
    ),
    "actions without duration": (
        "x.json",
        _videos({"subset": "training", "actions": []}),
        ["x.json: video 'a': 'duration' is None"],
    ),
    "action of two": (
        "x.json",
        _videos({**_ACTIONS, "actions": [[1, 0.0, 1.0], [1, 2.0]]}),
        ["x.json: video 'a', action 1 is not [class, start, end]: [1, 2.0]"],
    ),
    "action of half a class": (
        "x.json",
        _videos({**_ACTIONS, "actions": [[1.5, 0.0, 1.0]]}),
        ["x.json: video 'a', action 0 is not [class, start, end]"],
    ),
    "charades: row too short": ("x.csv", _CHARADES + "BBBBB,c001 1 2\n", ["x.csv: line 3 has 2 cells, the header 3"]),
    "charades: duplicate video": (
        "x.csv",
        _CHARADES + "AAAAA,,9.0\n",
        ["x.csv: line 3, video 'AAAAA': video 'AAAAA' is there twice, first at", "line 2"],
    ),
    "charades: NaN": (
        "x.csv",
        _CHARADES + "BBBBB,c001 1 2;c002 nan 3,9.0\n",
        ["x.csv: line 3, video 'BBBBB', action 1: nan is not a finite number"],
    ),
    "charades: class": (
        "x.csv",
        _CHARADES + "BBBBB,run 1 2,9.0\n",
        ["x.csv: line 3, video 'BBBBB', action 0 is not 'c123 start end': 'run 1 2'"],
    ),
    "charades: length": (
        "x.csv",
        _CHARADES + "BBBBB,,long\n",
        ["x.csv: line 3, column 'length': 'long' is not a number"],
    ),
    "charades: quotes": ("x.csv", _CHARADES + '"BBBBB,,9.0\n', ["x.csv: line 3", "unexpected end of data"]),
    "column twice": ("x.csv", "id,actions,length,id\n", ["x.csv: line 1: column 'id' is there twice"]),
    "table without rows": ("x.csv", _AFSD.splitlines()[0], ["x.csv: a header without a row"]),
    "table: reversed": (
        "x.csv",
        _AFSD + "a,run,1,3.5,1.5,0,0\n",
        ["x.csv: line 3: [3.5, 1.5]: segment ends before it starts"],
    ),
    "table: word": ("x.csv", _AFSD + "a,run,1,3.5,end,0,0\n", ["x.csv: line 3, column 'end': 'end' is not a number"]),
    "table: two durations": (
        "x.csv",
        _TSP + "a,3,4,run,10,30,Action\n",
        ["x.csv: line 3: video 'a' has video-duration 10, before it was 9"],
    ),
    "table: half a class": (
        "x.csv",
        _DAPS + "a,3,4,9,30,0.5\n",
        ["x.csv: line 3, column 'label-idx': 0.5 is no class"],
    ),
}


@pytest.mark.parametrize(("name", "content", "complaints"), BAD_FILES.values(), ids=BAD_FILES)
def test_bad_files(tmp_path: Path, name: str, content: str | bytes, complaints: list[str]) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError) as caught:
        read_annotations(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert all(complaint in message for complaint in complaints), message


@pytest.mark.parametrize(
    ("form", "content", "complaint"),
    [
        ("thumos", "", "format 'thumos' is none of auto, activitynet"),
        (
            "bsn",
            _database(),
            r"not of the format 'bsn' \(JSON of videos with 'duration_second'\); leave the format out",
        ),
        ("thumos14", _database(), r"not of the format 'thumos14' \(folder of <class>_val.txt"),
    ],
)
def test_wrong_format(tmp_path: Path, form: str, content: str, complaint: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content or "{}")
    with pytest.raises(ValueError, match=complaint):
        read_annotations(path, format=form)


def _thumos(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({"Run_val.txt": "v 1 2\nv 3\n"}, r"Run_val.txt: line 2 is not 'video start end': 'v 3'"),
        ({"Run_val.txt": "v 1 2\n\nv 3 x\n"}, r"Run_val.txt: line 3: 'x' is not a number"),
        ({"Run_val.txt": "v 1 2\nv 4 3\n"}, r"Run_val.txt: line 2: \[4.0, 3.0\]: segment ends before it starts"),
        ({"Run_val.txt": "v 1 2\nv 3 3\n"}, r"Run_val.txt: line 2: \[3.0, 3.0\]: segment without length"),
        ({"Run_val.txt": "v 1 nan\n"}, r"Run_val.txt: line 1: nan is not a finite number"),
        ({"Run_val.txt": ""}, r"Run_val.txt: the file is empty"),
        ({"Run_val.txt": "\n"}, r"Run_val.txt: holds no line 'video start end'"),
        ({"Ambiguous_val.txt": "v 1 2\n"}, r"has ambiguous segments only"),
        ({"Run_val.txt": "v 1 2\n", "Jump_test.txt": "w 1 2\n"}, r"subset 'test' has no file of class 'Run'"),
        ({"Run_val.txt": "v 1 2\n", "Run_test.txt": "v 1 2\n"}, r"video 'v' is there twice, first at .*Run_test.txt"),
        ({"notes.txt": "v 1 2\n"}, r"is of no known format"),
    ],
)
def test_bad_folders_of_thumos14(tmp_path: Path, files: dict[str, str], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        read_annotations(_thumos(tmp_path / "t", files))


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="none: no such file or folder of annotations"):
        read_annotations(tmp_path / "none")


def test_a_folder_of_two_formats_asks_which(tmp_path: Path) -> None:
    folder = _thumos(tmp_path / "t", {"Run_val.txt": "v 1 2\n", "Charades_v1_test.csv": _CHARADES})
    with pytest.raises(ValueError, match="fits thumos14 and charades, choose one; formats: activitynet"):
        read_annotations(folder)
    assert read_annotations(folder, format="charades").class_names == ("1",)


@pytest.mark.parametrize(
    ("content", "classes", "complaint"),
    [
        (
            _videos(_ACTIONS),
            "1 Run\n2 Jump\n",
            r"video 'a', action 0: class 3 is not in .*classes.txt, which has 1 to 2",
        ),
        (
            _database(),
            "walk\nruns\n",
            r"video 'a', annotation 0: class 'run' is none of the 2 classes; did you mean 'runs'",
        ),
        (_database(), "run\nwalk\nrun\n", r"classes.txt: class names: run more than once"),
        (_database(), "1 run\n1 walk\n", r"classes.txt: number 1 is that of two classes"),
        (_database(), "1 run\nwalk\n", r"classes.txt: line 2: 'walk' has no number, other lines have one"),
        (_database(), '{"run": 1}', r"classes.txt: a list of classes in JSON is a list of names"),
        (_database(), "\n", r"classes.txt: class names: \[\]"),
    ],
)
def test_bad_class_lists(tmp_path: Path, content: str, classes: str, complaint: str) -> None:
    path, names = tmp_path / "x.json", tmp_path / "classes.txt"
    path.write_text(content)
    names.write_text(classes)
    with pytest.raises(ValueError, match=complaint):
        read_annotations(path, classes=names)


def test_numbers_beyond_a_list_of_places(tmp_path: Path) -> None:
    path, names = tmp_path / "x.csv", tmp_path / "classes.txt"
    path.write_text(_DAPS + "a,3,4,9,30,2\n")
    names.write_text("7 run\n9 walk\n")
    with pytest.raises(ValueError, match=r"x.csv: line 3: class 2 is not one of the 2 of .*classes.txt"):
        read_annotations(path, classes=names)


def test_two_class_lists_beside_a_file(tmp_path: Path) -> None:
    for name in ("Charades_v1_classes.txt", "thumos_mapping.txt"):
        (tmp_path / name).write_text("3 Run\n")
    (tmp_path / "x.json").write_text(_videos(_ACTIONS))
    with pytest.raises(ValueError, match="Charades_v1_classes.txt, thumos_mapping.txt are there; say which one"):
        read_annotations(tmp_path / "x.json")
    named = read_annotations(tmp_path / "x.json", classes=tmp_path / "thumos_mapping.txt")
    assert named.class_names == ("Run",)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (
            "filename,video-duration,fps\na.mp4,9,30\nb.mp4,0,30\n",
            r"line 3: duration of 'b' is 0.0, it must be positive",
        ),
        ("filename,video-duration,fps\na.mp4,9,-1\n", r"line 2: fps of 'a' is -1.0, it must be positive"),
        ("filename,video-duration,fps\nv_a.mp4,nan,30\n", r"line 2: duration of 'a' is nan"),
        ("filename,video-duration,fps\na.mp4,9,30\nv_a.mp4,9,30\n", r"line 3: video 'a' is in .*line 2 already"),
        ("filename,video-duration,fps\na.mp4,long,30\n", r"line 2, column 'video-duration': 'long' is not a number"),
        ("video,fps,count\na,0,30\n", r"line 2: fps is 0, it must be positive"),
        ("name,seconds\na,3\n", r"i.csv: no table of video information; known are"),
        ('["a"]', r"i.csv: no table of video information; known are"),
        ("a.mp4\n3.5\nb.mp4\n", r"line 3: a file name without its seconds"),
        ("a.mp4\nb.mp4\n", r"line 2: 'b.mp4' is not a number"),
    ],
)
def test_bad_video_information(tmp_path: Path, content: str, complaint: str) -> None:
    path = tmp_path / "i.csv"
    path.write_text(content)
    with pytest.raises(ValueError, match=complaint):
        read_video_info([path])


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ('["a", "b", "a"]', "ids: entry 2: video 'a' is there twice"),
        ('["a", 3]', "ids: expected a JSON list of video ids"),
        ('{"a": 1}', "ids: expected a JSON list of video ids"),
        ("[]", "ids: holds no video id"),
        ("\n", "ids: holds no video id"),
        ("", "ids: the file is empty"),
    ],
)
def test_bad_lists_of_videos(tmp_path: Path, content: str, complaint: str) -> None:
    path = tmp_path / "ids"
    path.write_text(content)
    with pytest.raises(ValueError, match=complaint):
        read_video_ids(path)


def _cells(values: list[Any]) -> np.ndarray:
    result = np.empty((1, len(values)), object)
    for i, value in enumerate(values):
        result[0, i] = np.asarray(value)
    return result


_S = [[0.5, 0.5], [0.1, 0.9]]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({"Y": [[0, 1]], "S": [_S]}, "has no variable P; expected Y, S, P"),
        ({"Y": [[0, 1]], "S": [_S], "P": []}, "Y, S and P hold 1, 1 and 0 videos"),
        ({"Y": [[0, 1, 1]], "S": [_S], "P": [[0, 1]]}, "video 'Split_1_01': Y has 3 steps, S 2"),
        ({"Y": [[0, 2]], "S": [_S], "P": [[0, 1]]}, "video 'Split_1_01', step 1: Y is 2, expected a class from 0 to 1"),
        ({"Y": [[0, 1]], "S": [_S], "P": [[0.5, 1]]}, "step 0: P is 0.5, expected a class from 0 to 1"),
        (
            {"Y": [[0, 1]], "S": [[[np.nan, 1], [0, 1]]], "P": [[0, 1]]},
            r"S has shape \(2, 2\), expected \(T, K\) finite",
        ),
    ],
)
def test_bad_frame_labels(tmp_path: Path, content: dict[str, list[Any]], complaint: str) -> None:
    path = tmp_path / "Split_1.mat"
    savemat(path, {name: _cells(values) for name, values in content.items()})
    with pytest.raises(ValueError, match=complaint) as caught:
        read_annotations(path)
    assert str(path) in str(caught.value)


def test_frame_labels_that_are_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "Split_1.mat"
    savemat(path, {"Y": _cells([[0, 1]]), "S": _cells([_S]), "P": _cells([[0, 1]])})
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match="Split_1.mat: not a readable .mat file"):
        read_annotations(path)


def test_a_split_list_of_another_length(tmp_path: Path) -> None:
    (tmp_path / "splits/Split_1").mkdir(parents=True)
    (tmp_path / "splits/Split_1/test.txt").write_text("01-1\n01-2\n")
    savemat(tmp_path / "Split_1.mat", {"Y": _cells([[0, 1]]), "S": _cells([_S]), "P": _cells([[0, 1]])})
    with pytest.raises(ValueError, match=r"test.txt: has 2 names, .*Split_1.mat 1 videos"):
        read_annotations(tmp_path)


@pytest.mark.parametrize("step", [0.0, -1.0, float("nan"), float("inf")])
def test_bad_sampling_rates(tmp_path: Path, step: float) -> None:
    savemat(tmp_path / "Split_1.mat", {"Y": _cells([[0, 1]]), "S": _cells([_S]), "P": _cells([[0, 1]])})
    with pytest.raises(ValueError, match="seconds_per_step: .* must be a positive number"):
        read_annotations(tmp_path, seconds_per_step=step)


def test_options_that_mean_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(_database())
    with pytest.raises(
        ValueError, match="clip_lists: means nothing for .*x.json, which is of the format 'activitynet'"
    ):
        read_annotations(path, clip_lists=[path])


def test_a_class_list_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="none.txt: no such file"):
        read_class_list(tmp_path / "none.txt")
