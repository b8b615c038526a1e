"""``tadtune data import`` and ``tadtune data build simulated`` as a user sees them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from trainables.data.features.config import Config
from trainables.data.features.store import FeatureStore
from trainables.entrypoints.feature_commands import import_store, simulated

app = typer.Typer()
app.command("import")(import_store)
app.command("simulated")(simulated)

SPLITS = ("--train", "training", "--test", "validation")


def _run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    return result.exit_code, result.output


@pytest.fixture
def annotations(tmp_path: Path) -> Path:
    """Twelve videos in ActivityNet's form; the last two are for the server's test."""
    subsets = ["training"] * 7 + ["validation"] * 3 + ["testing"] * 2
    database = {
        f"v{i:02}": {
            "duration": 16.0,
            "subset": subset,
            "annotations": [] if subset == "testing" else [{"label": "ab"[i % 2], "segment": [2.0, 5.0 + i / 2]}],
        }
        for i, subset in enumerate(subsets)
    }
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps({"version": "x", "taxonomy": [], "database": database}))
    return path


@pytest.fixture
def rgb(tmp_path: Path) -> Path:
    folder = tmp_path / "rgb"
    folder.mkdir()
    for i in range(10):
        np.save(folder / f"v_v{i:02}.npy", np.random.default_rng(i).normal(size=(6, 30)))
    return folder


def test_the_commands_need_no_heavy_library() -> None:
    code = "import trainables.entrypoints.feature_commands, sys; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numpy", "pyarrow", "h5py", "scipy", "pandas", "ray"} & set(loaded)


def test_a_store_is_imported_and_opened_by_a_study(tmp_path: Path, annotations: Path, rgb: Path) -> None:
    out = tmp_path / "features"
    code, output = _run(
        "import", "--annotations", annotations, "--features", rgb, "--out", out, *SPLITS, "--select", 2,
        "--channels", 6, "--name", "v_{video_id}", "--len-frames", 16, "--fps", "30",
    )  # fmt: skip
    assert code == 0, output
    assert "5 train, 2 select, 3 test videos" in output
    assert "6 channels, 2 classes, 10 segments" in output
    assert "2 videos left out, no split: v10, v11" in output
    store = FeatureStore(out)
    assert {v["snippet_seconds"] for v in store.videos} == {16 / 30}
    original = np.load(rgb / "v_v03.npy").T
    index = [v["video_id"] for v in store.videos].index("v03")
    assert np.array_equal(store.features(index), original.astype(np.float32))
    dataset = Config().open(tmp_path)
    assert [len(dataset.video_ids(split)) for split in ("train", "select", "test")] == [5, 2, 3]


def test_two_streams_with_their_own_options(tmp_path: Path, annotations: Path, rgb: Path) -> None:
    flow = tmp_path / "flow.npz"
    np.savez(flow, **{f"v{i:02}": np.zeros((29, 4), np.float32) for i in range(11)})
    common = (
        "import", "--annotations", annotations, "--features", rgb, "--features", flow, "--out", tmp_path / "s", *SPLITS,
        "--channels", 6, "--channels", 4, "--name", "v_{video_id}", "--name", "{video_id}", "--fps", "30",
    )  # fmt: skip
    code, output = _run(*common)
    assert code == 2
    assert "video 'v00': streams have different numbers of snippets (rgb 30, flow.npz 29)" in output
    code, output = _run(*common, "--length-tolerance", 1)
    assert code == 0, output
    assert "streams of unequal length: 10 snippets cut in 10 videos" in output
    assert "feature files that no video asked for: 1" in output
    assert FeatureStore(tmp_path / "s").feat_dim == 10


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--channels", 5], "no axis of (6, 30) has the 5 channels expected"),
        (["--channels", 6, "--stride-frames", 4], "the stride or the rate is wrong"),
        (["--channels", 6, "--fps", "x"], "fps: 'x' is not a number or a fraction like 30000/1001"),
        (["--channels", 6, "--train", "train"], "subset 'train' is none of training, validation, testing"),
        (["--channels", 6, "--name", "{video_id}"], "10 of 10 videos have no features (v00"),
        (["--channels", 6, "--channels", 6], "--channels: 2 values for 1 streams"),
        (["--channels", 6, "--missing", "skip"], "missing: 'skip' is none of refuse, exclude"),
        ([], "give the layout (tc or ct) or the number of channels"),
    ],
)
def test_errors_are_one_line_and_leave_nothing(
    tmp_path: Path, annotations: Path, rgb: Path, options: list[object], complaint: str
) -> None:
    out = tmp_path / "s"
    code, output = _run(
        "import", "--annotations", annotations, "--features", rgb, "--out", out, *SPLITS,
        *([] if "--name" in options else ["--name", "v_{video_id}"]), *([] if "--fps" in options else ["--fps", "30"]),
        *options,
    )  # fmt: skip
    assert code == 2
    assert output.startswith("error: ")
    assert output.count("\n") == 1
    assert complaint in output
    assert not out.exists()


def test_missing_features_can_be_listed(tmp_path: Path, annotations: Path, rgb: Path) -> None:
    (rgb / "v_v01.npy").unlink()
    code, output = _run(
        "import", "--annotations", annotations, "--features", rgb, "--out", tmp_path / "s", *SPLITS, "--even",
        "--channels", 6, "--name", "v_{video_id}", "--missing", "exclude",
    )  # fmt: skip
    assert code == 0, output
    assert "1 videos left out, no features in rgb: v01" in output
    assert {v["snippet_seconds"] for v in FeatureStore(tmp_path / "s").videos} == {16.0 / 30}


def test_real_timelines_get_simulated_features(tmp_path: Path, annotations: Path) -> None:
    code, output = _run(
        "simulated", "--annotations", annotations, "--out", tmp_path / "s", *SPLITS, "--select", 2,
        "--label-noise", 0.4, "--snippet-seconds", 1, "--feat-dim", 8, "--confusable", 1, "--seed", 3,
    )  # fmt: skip
    assert code == 0, output
    store = FeatureStore(tmp_path / "s")
    assert {v["num_snippets"] for v in store.videos} == {16}
    assert store.feat_dim == 8
    assert store.manifest["builder"]["evidence"]["confusable"] == 1.0
    assert store.manifest["builder"]["seed"] == 3
    labels = {s["video_id"]: s["label"] for s in store.segments}
    assert sum(label != int(video[1:]) % 2 for video, label in labels.items()) == 2, "0.4 of 5 training videos"
    code, output = _run("simulated", "--annotations", annotations, "--out", tmp_path / "s", *SPLITS)
    assert (code, output.count("\n")) == (2, 1)
    assert "is there already; remove it" in output


def test_cells_of_a_real_file(tmp_path: Path, test_data: Path) -> None:
    folder = test_data / "50salads"
    names = folder / "splits" / "Split_1" / "test.txt"
    ids = names.read_text().split()
    database = {
        v: {"duration": 300.0, "subset": "test" if i else "train", "annotations": [{"label": "a", "segment": [1, 9]}]}
        for i, v in enumerate(ids)
    }
    annotations = tmp_path / "annotations.json"
    annotations.write_text(json.dumps({"version": "x", "taxonomy": [], "database": database}))
    code, output = _run(
        "import", "--annotations", annotations, "--features", folder / "mid" / "mid_video_SVM" / "Split_1.mat",
        "--out", tmp_path / "s", "--train", "train", "--test", "test", "--even", "--key", "S", "--cells", names,
        "--channels", 18,
    )  # fmt: skip
    assert code == 0, output
    assert FeatureStore(tmp_path / "s").videos[0]["num_snippets"] == 281
