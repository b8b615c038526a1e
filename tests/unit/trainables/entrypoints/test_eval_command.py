"""``tadtune eval`` as a user sees it."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from trainables.data.readers import read_annotations
from trainables.data.readers.video_ids import read_video_ids
from trainables.data.synthetic.config import Config
from trainables.detections import Detections
from trainables.entrypoints.eval_command import evaluate
from trainables.entrypoints.eval_options import parse_grid
from trainables.evaluation.detection.detection_map import ACTIVITYNET_GRID
from trainables.evaluation.detection.protocols import ActivityNet, Afsd
from trainables.evaluation.files.activitynet_json import write_activitynet_json
from trainables.evaluation.files.parquet import write_detections_parquet
from trainables.evaluation.files.thumos_text import write_thumos_text

APP = typer.Typer()
APP.command()(evaluate)

DATABASE: dict[str, Any] = {
    "a": {"subset": "test", "annotations": [{"segment": [0, 10], "label": "Diving"}]},
    "b": {"subset": "test", "annotations": [{"segment": [5, 15], "label": "Shotput"}]},
    "quiet": {"subset": "test", "annotations": []},
    "c": {"subset": "train", "annotations": [{"segment": [5, 15], "label": "Shotput"}]},
}
RESULTS: dict[str, Any] = {
    "a": [
        {"segment": [0, 9], "label": "Diving", "score": 0.9},
        {"segment": [50, 60], "label": "Diving", "score": 0.95},
    ],
    "b": [{"segment": [5, 15], "label": "Shotput", "score": 0.5}],
}


def _run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(APP, [str(a) for a in arguments], env={"COLUMNS": "160"})
    return result.exit_code, result.output


def _write(folder: Path, results: Any = RESULTS, database: Any = DATABASE) -> tuple[Path, Path]:
    (folder / "found.json").write_text(json.dumps({"results": results}))
    (folder / "truth.json").write_text(json.dumps({"database": database}))
    return folder / "found.json", folder / "truth.json"


def test_tables_and_files(tmp_path: Path) -> None:
    found, truth = _write(tmp_path)
    out = {suffix: tmp_path / f"scores.{suffix}" for suffix in ("json", "csv", "html")}
    options = [item for suffix, path in out.items() for item in (f"--{suffix}", path)]
    code, output = _run(
        found, "--truth", truth, "--subset", "test", "--tiou", "0.5:0.9:0.4", "--bootstrap", 50, *options
    )
    assert code == 0, output
    assert "protocol activitynet 1: 3 videos, 2 classes, 2 instances, 3 predictions" in output
    assert "75.00" in output
    assert "1 annotated videos on which nothing was detected" in output

    scores = json.loads(out["json"].read_text())
    assert scores["protocol"] == "activitynet"
    assert scores["tiou_thresholds"] == [0.5, 0.9]
    assert scores["map"] == [0.75, 0.75]
    assert scores["average_map"] == 0.75
    assert scores["per_class_ap"] == {"Diving": [0.5, 0.5], "Shotput": [1.0, 1.0]}
    assert scores["warnings"] == {"videos_without_detections": 1}
    assert scores["counts"] == {"videos": 3, "classes": 2, "instances": 2, "predictions": 3}
    low, high = scores["intervals"]["avg_map"]
    assert low <= 0.75 <= high
    assert low < high

    rows = list(csv.DictReader(out["csv"].open()))
    assert [(row["class"], row["map_tiou_0.50"], row["avg_map"]) for row in rows] == [
        ("Diving", "0.5", "0.5"), ("Shotput", "1.0", "1.0"), ("mean", "0.75", "0.75"),
    ]  # fmt: skip
    page = out["html"].read_text()
    assert "<td>Shotput</td>" in page
    assert "activitynet" in page
    assert "http" not in page


@pytest.mark.parametrize("protocol", ["activitynet", "thumos14_official", "afsd", "opentad", "wtalc"])
def test_every_protocol_and_format_of_perfect_predictions(test_data: Path, tmp_path: Path, protocol: str) -> None:
    source = test_data / "thumos14" / "official_annotations" / "test"
    truth = read_annotations(source).ground_truth()
    scores = np.random.default_rng(0).permutation(np.linspace(0.1, 1, len(truth.labels)))
    found = Detections(truth.video_ids, truth.video, truth.segments_s, truth.labels, scores)
    writers = {"json": write_activitynet_json, "parquet": write_detections_parquet, "txt": write_thumos_text}
    values = []
    for suffix, write in writers.items():
        write(tmp_path / f"found.{suffix}", found, truth.class_names)
        out = tmp_path / f"{suffix}.out"
        code, output = _run(tmp_path / f"found.{suffix}", "--truth", source, "--protocol", protocol, "--json", out)
        assert code == 0, output
        values.append(json.loads(out.read_text()))
    assert values[0]["counts"]["instances"] == (3311 if protocol == "afsd" else 3358)
    assert len(values[0]["per_class_ap"]) == 20
    assert [v["map"] for v in values] == [values[0]["map"]] * 3
    if protocol == "wtalc":  # deletes what touches an ambiguous segment, and rounds to whole snippets
        assert 0.95 < values[0]["average_map"] < 1
    else:
        assert set(values[0]["map"]) == {1.0}
    if protocol == "opentad":
        assert values[0]["metrics"]["recall_5x_tiou_0.50"] == 1.0


@pytest.mark.parametrize(
    ("source", "subset", "instances"),
    [
        ("activity_net.v1-2.min-missing-removed.json", "validation", 3278),
        ("gt_anet12.json", "test", 3579),
        ("anet_anno_action_19994.json.gz", None, 23052),
    ],
)
def test_perfect_predictions_on_activitynet(
    test_data: Path, tmp_path: Path, source: str, subset: str | None, instances: int
) -> None:
    path = test_data / "activitynet" / source
    annotations = read_annotations(path)
    truth = annotations.ground_truth(subset)
    scores = np.random.default_rng(0).permutation(np.linspace(0.1, 1, len(truth.labels)))
    perfect = Detections(truth.video_ids, truth.video, truth.segments_s, truth.labels, scores)
    write_activitynet_json(tmp_path / "found.json", perfect, truth.class_names)
    options = ("--subset", subset) if subset else ()
    code, output = _run(tmp_path / "found.json", "--truth", path, *options, "--json", tmp_path / "scores.json")
    assert code == 0, output
    values = json.loads((tmp_path / "scores.json").read_text())
    assert values["counts"]["instances"] == instances
    assert set(values["map"]) == {1.0}
    assert len(values["per_class_ap"]) == (200 if "19994" in source else 100)


def test_afsd_is_the_same_from_the_official_folder_and_from_its_own_file(test_data: Path, tmp_path: Path) -> None:
    folder = test_data / "thumos14"
    truth = read_annotations(folder / "official_annotations" / "test").ground_truth()
    rng = np.random.default_rng(1)
    moved = np.sort(truth.segments_s + rng.normal(size=truth.segments_s.shape), axis=1)
    found = Detections(truth.video_ids, truth.video, moved, truth.labels, rng.random(len(truth.labels)))
    write_activitynet_json(tmp_path / "found.json", found, truth.class_names)
    values = []
    for source, more in (("official_annotations/test", ()), ("thumos_gt.json", ("--subset", "test"))):
        out = tmp_path / "out.json"
        options = ("--truth", folder / source, "--protocol", "afsd", "--json", out, *more)
        assert _run(tmp_path / "found.json", *options)[0] == 0
        values.append(json.loads(out.read_text()))
    assert values[0]["map"] == values[1]["map"]
    assert 0.05 < values[0]["average_map"] < 0.95


def test_diagnosis_of_planted_errors(tmp_path: Path) -> None:
    database = {v: {"subset": "test", "duration": 100, "annotations": DATABASE[v]["annotations"]} for v in "ab"}
    results = {
        "a": [
            {"segment": [0, 10], "label": "Diving", "score": 0.9},
            {"segment": [0, 9], "label": "Diving", "score": 0.8},  # double detection
            {"segment": [50, 60], "label": "Diving", "score": 0.7},  # background
        ],
        "b": [{"segment": [5, 15], "label": "Diving", "score": 0.6}],  # wrong label
    }
    found, truth = _write(tmp_path, results, database)
    out = {suffix: tmp_path / f"o.{suffix}" for suffix in ("json", "html")}
    options = ("--truth", truth, "--tiou", "0.5", "--diagnose", "--json", out["json"], "--html", out["html"])
    code, output = _run(found, *options)
    assert code == 0, output
    diagnosis = json.loads(out["json"].read_text())["diagnosis"]
    profile = diagnosis["false_positives"]
    counts = dict(zip(profile["types"], np.sum(profile["counts"], axis=0)[0], strict=True))
    assert counts == {
        "true_positive": 1, "double_detection": 1, "wrong_label": 1, "localisation": 0, "confusion": 0, "background": 1,
    }  # fmt: skip
    assert diagnosis["false_negatives"]["missed"] == [0.5]
    for shown in ("double detection", "By coverage: sensitivity", "missed"):
        assert shown in output
        assert shown in out["html"].read_text()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--protocol", "wtalc"), "matches as activitynet, afsd and opentad do, not as 'wtalc'"),
        (("--buckets", "thumos"), "buckets: 'thumos' is none of activitynet, thumos14, quantiles"),
        ((), "do not say how long video 'a' is"),
    ],
)
def test_what_cannot_be_diagnosed(tmp_path: Path, options: tuple[str, ...], complaint: str) -> None:
    found, truth = _write(tmp_path)
    code, output = _run(found, "--truth", truth, "--subset", "test", "--diagnose", *options)
    assert code == 2
    assert complaint in output


def test_blocked_videos_are_deleted_from_both_sides(tmp_path: Path) -> None:
    found, truth = _write(tmp_path)
    (tmp_path / "blocked.json").write_text('["a", "elsewhere"]')
    out = tmp_path / "scores.json"
    options = ("--truth", truth, "--subset", "test", "--exclude", tmp_path / "blocked.json", "--json", out)
    code, output = _run(found, *options)
    assert code == 0, output
    scores = json.loads(out.read_text())
    assert scores["average_map"] == 1.0
    assert scores["warnings"]["excluded_videos"] == 1
    assert scores["warnings"]["excluded_video_detections"] == 2
    plain = ("--truth", truth, "--subset", "test", "--json", out)
    assert _run(found, *plain)[0] == 0
    assert json.loads(out.read_text())["digests"]["exclude_videos"] != scores["digests"]["exclude_videos"]


def test_a_store_is_truth_as_well(tmp_path: Path) -> None:
    Config().prepare(tmp_path)
    folder = Config().folder(tmp_path)
    from trainables.data.features.dataset import FeatureDataset

    truth = FeatureDataset(folder).ground_truth("test")
    perfect = Detections(truth.video_ids, truth.video, truth.segments_s, truth.labels, np.ones(len(truth.labels)))
    write_activitynet_json(tmp_path / "found.json", perfect, truth.class_names)
    code, output = _run(tmp_path / "found.json", "--truth", folder, "--subset", "test")
    assert code == 0, output
    assert "100.00" in output
    code, output = _run(tmp_path / "found.json", "--truth", folder)
    assert code == 2
    assert "--subset train, select or test" in output


def _change(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    results = json.loads(json.dumps(RESULTS))
    target = results
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    return results


BAD = [
    (_change(("a", 0, "score"), float("nan")), (), r"found.json: video 'a', entry 0, .*the score is not finite"),
    (_change(("a", 1, "segment"), [60, 50]), (), r"found.json: video 'a', entry 1, .*it ends before it starts"),
    (_change(("b", 0, "label"), "Cooking"), (), r"found.json: video 'b', entry 0, .*'Cooking' .*none of the 2 classes"),
    (_change(("d",), RESULTS["b"]), (), "video 'd' is not in the ground truth"),
    ({}, (), "found.json: holds no detection"),
    (RESULTS, ("--tiou", "0.5:0.9:0.3"), "steps of 0.3 from 0.5 do not end at 0.9"),
    (RESULTS, ("--tiou", "high"), "tiou: 'high' is neither"),
    (RESULTS, ("--protocol", "activitynett"), "did you mean 'activitynet'"),
    (RESULTS, ("--subset", "validation"), "subset 'validation' is none of test, train"),
    (RESULTS, ("--on-unknown-label", "ignore"), "on_unknown_label: 'ignore' is none of error, drop"),
    (RESULTS, ("--json", "nowhere/scores.json"), "the folder does not exist"),
    (RESULTS, ("--truth-format", "thumos14"), "truth.json: not of the format 'thumos14'"),
]


@pytest.mark.parametrize(("results", "options", "complaint"), BAD, ids=[b[2] for b in BAD])
def test_bad_input_is_one_error_and_nothing_is_written(
    tmp_path: Path, results: Any, options: tuple[str, ...], complaint: str
) -> None:
    found, truth = _write(tmp_path, results)
    subset = () if "--subset" in options else ("--subset", "test")
    out = () if "--json" in options else ("--json", str(tmp_path / "scores.json"))
    code, output = _run(found, "--truth", truth, *subset, *out, *options)
    assert code == 2
    assert len(output.strip().splitlines()) == 1
    assert output.startswith("error: ")
    assert re.search(complaint, output), output
    assert not (tmp_path / "scores.json").exists()


COUNTED = [
    (_change(("a", 1, "segment"), [60, 50]), ("--on-reversed-segment", "miss"), "reversed_detections", 0.75),
    (_change(("a", 1, "segment"), [55, 55]), (), "empty_detections_dropped", 1.0),
    (_change(("b", 0, "label"), "Cooking"), ("--on-unknown-label", "drop"), "unknown_label_detections_dropped", 0.25),
    (_change(("c",), RESULTS["b"]), ("--on-unknown-video", "drop"), "unknown_video_detections_dropped", 0.75),
    (_change(("c",), RESULTS["b"]), ("--on-unknown-video", "count"), "unknown_video_detections_counted", 0.75),
    (_change(("quiet",), RESULTS["b"]), (), "tied_scores", 0.75),
]


@pytest.mark.parametrize(("results", "options", "name", "expected"), COUNTED, ids=[c[2] for c in COUNTED])
def test_what_is_not_refused_is_counted(
    tmp_path: Path, results: Any, options: tuple[str, ...], name: str, expected: float
) -> None:
    found, truth = _write(tmp_path, results)
    out = tmp_path / "scores.json"
    code, output = _run(found, "--truth", truth, "--subset", "test", "--tiou", "0.5", "--json", out, *options)
    assert code == 0, output
    scores = json.loads(out.read_text())
    assert scores["warnings"][name] == 1
    assert "warning: 1 " in output
    assert scores["average_map"] == expected


@pytest.mark.parametrize(
    ("text", "grid"),
    [
        ("0.5", (0.5,)),
        ("0.3,0.5", (0.3, 0.5)),
        ("0.3:0.7:0.1", (0.3, 0.4, 0.5, 0.6, 0.7)),
        ("0.1:0.7:0.1", (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)),
        ("0.5:0.95:0.05", ACTIVITYNET_GRID),
    ],
)
def test_grids(text: str, grid: tuple[float, ...]) -> None:
    assert parse_grid(text) == grid


@pytest.mark.parametrize("text", ["", "0.5:0.9", "0.9:0.5:0.1", "0.1:0.5:0", "0.1:0.5:-0.1", "0.1:inf:0.1", "a:b:c"])
def test_grids_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="is neither 0.5 nor"):
        parse_grid(text)


def test_lists_of_ids(tmp_path: Path, test_data: Path) -> None:
    assert len(read_video_ids(test_data / "activitynet" / "api_action_get_blocked.json")) == 986
    for text, ids in (('["a", "b"]', ("a", "b")), ("a\nb\n", ("a", "b"))):
        (tmp_path / "ids").write_text(text)
        assert read_video_ids(tmp_path / "ids") == ids
    for text, complaint in (("[1]", "a JSON list of video ids"), ("[", "not JSON"), ("\n", "holds no video id")):
        (tmp_path / "ids").write_text(text)
        with pytest.raises(ValueError, match=complaint):
            read_video_ids(tmp_path / "ids")


def test_it_needs_neither_torch_nor_ray(tmp_path: Path) -> None:
    found, truth = _write(tmp_path)
    code = (
        "import sys; from pathlib import Path; from trainables.entrypoints.eval_command import evaluate; "
        "evaluate(Path(sys.argv[1]), truth=Path(sys.argv[2]), subset='test', html_out=Path(sys.argv[3]));"
        "sys.exit(bool({'torch', 'ray', 'mlflow', 'optuna'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, found, truth, tmp_path / "page.html"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_verb_is_mounted() -> None:
    command = [sys.executable, "-m", "tadtune", "eval", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"COLUMNS": "200", "TERM": "dumb"})
    for option in ("--truth", "--protocol", "--subset", "--tiou", "--bootstrap", "--json", "--csv", "--html"):
        assert option in done.stdout


def test_settings_of_a_protocol_are_its_defaults() -> None:
    assert ActivityNet().exclude_videos == ()
    assert len(Afsd().exclude_videos) == 3
