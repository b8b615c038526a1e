"""``tadtune data`` as a user sees it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from trainables.data.features.store import FeatureStore
from trainables.data.synthetic.config import Config
from trainables.entrypoints.commands import data


def _run(*arguments: object) -> tuple[int, str]:
    result = CliRunner(env={"COLUMNS": "200"}).invoke(data, [str(a) for a in arguments])
    return result.exit_code, result.output


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for label, count in {"squat": 12, "pull up": 9, "rest": 8, "walk": 6}.items():
        for i in range(count):
            np.save(folder / f"{label}_{i}.npy", rng.normal(size=(int(rng.integers(1, 7)), 4)))
    return folder


def test_the_commands_need_no_heavy_library() -> None:
    code = "import trainables.entrypoints.commands, sys; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numpy", "pyarrow", "pandas", "ray", "rich.table"} & set(loaded)


def test_inspecting_needs_no_torch(tmp_path: Path, annotations: Path) -> None:
    Config().prepare(tmp_path)
    code = (
        "import sys; from pathlib import Path; from trainables.entrypoints.commands import inspect; "
        "[inspect(Path(path)) for path in sys.argv[1:]]; sys.exit('torch' in sys.modules)"
    )
    paths = [str(Config().folder(tmp_path)), str(annotations)]
    run = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, check=False)
    assert run.returncode == 0, run.stderr


def test_stitched_is_built_and_reported(tmp_path: Path, clips: Path) -> None:
    arguments = ("build", "stitched", "--clips", clips, "--classes", 2, "--train", 6, "--select", 3, "--test", 4)
    code, output = _run(*arguments, "--out", tmp_path / "a", "--seed", 5, "--num-snippets", 40, 60)
    assert code == 0
    assert "contents match the digest" in output
    assert "class squat" in output
    assert "class pull up" in output
    assert "class rest" not in output
    store = FeatureStore(tmp_path / "a")
    assert [sum(v["split"] == s for v in store.videos) for s in ("train", "select", "test")] == [6, 3, 4]
    assert all(40 <= v["num_snippets"] <= 60 for v in store.videos)
    assert store.manifest["builder"]["seed"] == 5
    _run(*arguments, "--out", tmp_path / "b", "--seed", 5, "--num-snippets", 40, 60)
    assert FeatureStore(tmp_path / "b").manifest["digest"] == store.manifest["digest"]
    _run(*arguments, "--out", tmp_path / "c", "--seed", 6, "--num-snippets", 40, 60)
    assert FeatureStore(tmp_path / "c").manifest["digest"] != store.manifest["digest"]


def test_classes_by_name(tmp_path: Path, clips: Path) -> None:
    code, _ = _run("build", "stitched", "--clips", clips, "--out", tmp_path / "a", "--class", "walk", "--class", "rest")
    assert code == 0
    assert FeatureStore(tmp_path / "a").class_names == ("rest", "walk")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--class", "squad"], "did you mean 'squat'"),
        (["--classes", "4"], "leave none for the background"),
        (["--classes", "3", "--min-clips", "9"], "min_clips"),
        (["--classes", "2", "--num-snippets", "60", "50"], "num_snippets"),
    ],
)
def test_errors_are_one_line_and_leave_nothing(tmp_path: Path, clips: Path, options: list[str], complaint: str) -> None:
    code, output = _run("build", "stitched", "--clips", clips, "--out", tmp_path / "a", *options)
    assert code == 2
    assert output.startswith("error: ")
    assert output.count("\n") == 1
    assert complaint in output
    assert not (tmp_path / "a").exists()


def test_a_store_is_not_overwritten(tmp_path: Path, clips: Path) -> None:
    (tmp_path / "a").mkdir()
    code, output = _run("build", "stitched", "--clips", clips, "--out", tmp_path / "a", "--classes", 2)
    assert code == 2
    assert "is there already; remove it" in output


def test_synthetic_is_built_where_a_study_looks(tmp_path: Path) -> None:
    code, output = _run("build", "synthetic", "--data", tmp_path, "--seed", 3, "--num-classes", 4)
    assert code == 0
    assert "class class_3" in output
    assert Config(seed=3, num_classes=4).open(tmp_path).class_names == ("class_0", "class_1", "class_2", "class_3")
    code, output = _run("build", "synthetic", "--data", tmp_path, "--num-videos", 10)
    assert code == 2
    assert "num_videos: 10" in output


def test_a_changed_store_is_told(tmp_path: Path) -> None:
    Config().prepare(tmp_path)
    folder = Config().folder(tmp_path)
    assert _run("inspect", folder)[0] == 0
    features = folder / "features.arrow"
    content = bytearray(features.read_bytes())
    content[len(content) // 2] ^= 1
    features.write_bytes(bytes(content))
    code, output = _run("inspect", folder)
    assert code == 1
    assert "CONTENTS DO NOT MATCH" in output


def test_what_is_not_there(tmp_path: Path) -> None:
    none = tmp_path / "none"
    assert _run("inspect", none) == (2, f"error: {none}: no such file or folder of annotations\n")


@pytest.fixture
def annotations(tmp_path: Path) -> Path:
    path = tmp_path / "toy.json"
    actions = [{"segment": [0.0, 4.0], "label": "jump"}, {"segment": [3.0, 12.5], "label": "run"}]
    database = {
        "a": {"subset": "training", "duration": 10.0, "annotations": actions},
        "b": {"subset": "validation", "annotations": [{"segment": ["1", "2"], "label": "run"}]},
        "c": {"subset": "validation", "annotations": [{"segment": [1, 1], "label": "run"}]},
    }
    path.write_text(json.dumps({"database": database}))
    return path


def test_annotations_are_inspected_with_every_fault(annotations: Path) -> None:
    code, output = _run("inspect", annotations)
    assert code == 0
    assert "format activitynet, 2 classes" in output
    assert "faults: 3" in output
    assert (
        f"1 x segment ends after its video: kept; first: {annotations}: video 'a', annotation 1: [3.0, 12.5]" in output
    )
    assert f"1 x numbers stored as text: read as numbers; first: {annotations}: video 'b', annotation 0" in output
    assert f"1 x segment without length: left out; first: {annotations}: video 'c', annotation 0: [1.0, 1.0]" in output
    rows = {cells[0]: cells[1:] for cells in _cells(output)}
    assert rows[""] == ["training", "validation"]
    assert rows["videos"] == ["1", "2"]
    assert rows["videos without segments"] == ["0", "1"]
    assert rows["segments"] == ["2", "1"]
    assert rows["overlapping segments"] == ["2", "0"]
    assert rows["segments beyond the end"] == ["1", "0"]
    assert rows["share of time with action"] == ["100%", ""]
    assert rows["length 1 to 2 s"] == ["0", "1"]
    assert rows["class run"] == ["1 in 1 videos", "1 in 1 videos"]


def _cells(output: str) -> list[list[str]]:
    return [[c.strip() for c in re.split("[│┃]", line)[1:-1]] for line in output.splitlines() if line[:1] in ("│", "┃")]


def test_options_of_annotations(annotations: Path, tmp_path: Path) -> None:
    info, classes, blocked = tmp_path / "info.csv", tmp_path / "classes.txt", tmp_path / "blocked.json"
    info.write_text("filename,video-duration,fps\nv_b.mp4,8,25\nv_c.mp4,9,25\na.mp4,10.5,25\n")
    classes.write_text("jump\nrun\nswim\n")
    blocked.write_text('["c", "elsewhere"]')
    options = ("--format", "activitynet", "--video-info", info, "--classes", classes, "--exclude", blocked)
    code, output = _run("inspect", annotations, *options)
    assert code == 0
    assert "excluded: 1 videos of the 2 that are listed" in output
    rows = {cells[0]: cells[1:] for cells in _cells(output)}
    assert rows["videos"] == ["1", "1"]
    assert rows["videos of known duration"] == ["1", "1"]
    assert rows["class swim"] == ["0 in 0 videos", "0 in 0 videos"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--format", "thumos"), "format 'thumos' is none of auto, activitynet"),
        (("--format", "bsn"), "not of the format 'bsn'"),
        (("--seconds-per-step", "1"), "seconds_per_step: means nothing for"),
        (("--classes", "none.txt"), "none.txt: no such file"),
    ],
)
def test_errors_about_annotations_are_one_line(annotations: Path, options: tuple[str, ...], complaint: str) -> None:
    code, output = _run("inspect", annotations, *options)
    assert code == 2
    assert output.startswith("error: ")
    assert output.count("\n") == 1
    assert complaint in output


def test_a_store_takes_no_options(tmp_path: Path) -> None:
    Config().prepare(tmp_path)
    code, output = _run("inspect", Config().folder(tmp_path), "--format", "activitynet")
    assert code == 2
    assert "is a store; options are for annotations only" in output
