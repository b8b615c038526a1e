"""``tadtune data`` as a user sees it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from trainables.data.store import FeatureStore
from trainables.data.synthetic_config import Config
from trainables.entrypoints.commands import data


def _run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(data, [str(a) for a in arguments])
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


def test_inspecting_a_store_needs_no_torch(tmp_path: Path) -> None:
    Config().prepare(tmp_path)
    code = (
        "import sys; from pathlib import Path; from trainables.entrypoints.commands import inspect; "
        "inspect(Path(sys.argv[1])); sys.exit('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code, str(Config().folder(tmp_path))], capture_output=True, check=False)
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


def test_what_is_no_store(tmp_path: Path) -> None:
    assert _run("inspect", tmp_path / "none") == (2, f"error: no feature store at {tmp_path / 'none'}\n")
