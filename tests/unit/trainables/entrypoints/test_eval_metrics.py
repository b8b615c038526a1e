"""``tadtune eval`` on other predictions than detections."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from trainables.data.readers import read_annotations
from trainables.detections import GroundTruth
from trainables.entrypoints.eval_command import evaluate
from trainables.entrypoints.eval_options import make_protocol, with_settings
from trainables.evaluation.frames.labels import charades_times, frame_times, label_points
from trainables.evaluation.videos.scores import video_labels

APP = typer.Typer()
APP.command()(evaluate)

DATABASE: dict[str, Any] = {
    "a": {
        "subset": "test",
        "duration": 40.0,
        "annotations": [{"segment": [0, 10], "label": "jump"}, {"segment": [20, 30], "label": "run"}],
    },
    "b": {"subset": "test", "duration": 20.0, "annotations": [{"segment": [0, 10], "label": "jump"}]},
}


def _run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(APP, [str(a) for a in arguments], env={"COLUMNS": "160"})
    return result.exit_code, result.output


def _scores(found: Path, truth: Path, protocol: str, *options: object) -> dict[str, Any]:
    out = found.parent / f"{protocol}.out.json"
    code, output = _run(found, "--truth", truth, "--protocol", protocol, "--json", out, *options)
    assert code == 0, output
    scores: dict[str, Any] = json.loads(out.read_text())
    assert scores["protocol"] == protocol
    return scores


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    path = tmp_path / "truth.json"
    path.write_text(json.dumps({"database": DATABASE}))
    return path


def _results(path: Path, results: Any) -> Path:
    path.write_text(json.dumps({"results": results}))
    return path


PROPOSALS = {
    "a": [{"segment": s, "score": p} for s, p in (([0, 10], 0.9), ([50, 60], 0.8), ([20, 26], 0.7))],
    "b": [{"segment": [0, 8], "score": 0.6}],
}


def test_proposals_and_their_tables(tmp_path: Path, truth: Path) -> None:
    found = _results(tmp_path / "p.json", PROPOSALS)
    files = ("--csv", tmp_path / "s.csv", "--html", tmp_path / "s.html")
    scores = _scores(found, truth, "ar_an", "--set", "max_average_number=2", "--bootstrap", 20, *files)
    assert scores["metrics"] == pytest.approx({"ar_an_1": 1 / 3, "ar_an_auc": 0.223333}, abs=1e-6)
    assert scores["counts"] == {"videos": 2, "instances": 3, "predictions": 4}
    assert scores["settings"]["max_average_number"] == 2
    assert set(scores["intervals"]) == {"ar_an_1", "ar_an_auc"}
    rows = list(csv.DictReader((tmp_path / "s.csv").open()))
    assert [(row["class"], row["ar_an_1"]) for row in rows] == [("all", repr(1 / 3))]
    page = (tmp_path / "s.html").read_text()
    assert "ar_an_auc" in page
    assert "AP per class" not in page
    code, output = _run(found, "--truth", truth, "--protocol", "ar_an", "--tiou", 0.5)
    assert code == 0
    assert "protocol ar_an 1: 2 videos, 3 instances, 4 predictions" in output
    assert "per class" not in output


def test_activitynet_classification(tmp_path: Path, truth: Path) -> None:
    entries = {"a": [{"label": "jump", "score": 0.9}, {"label": "swim", "score": 0.8}], "b": []}
    found = _results(tmp_path / "c.json", entries)
    code, output = _run(found, "--truth", truth, "--protocol", "activitynet_classification")
    assert code == 2
    assert "c.json: video 'a', entry 1: 'swim' is none of the 2 classes" in output
    options = ("--on-unknown-label", "drop", "--set", "top_k=1,5")
    scores = _scores(found, truth, "activitynet_classification", *options)
    expected = {"video_map": 0.25, "hit_1": 0.5, "avg_hit_1": 0.25, "hit_5": 0.5, "avg_hit_5": 0.25}
    assert scores["metrics"] == pytest.approx(expected)
    assert scores["per_class_ap"] == {"jump": {"video_map": 0.5}, "run": {"video_map": 0.0}}
    assert scores["warnings"]["unknown_label_predictions_dropped"] == 1


@pytest.mark.parametrize("protocol", ["multilabel_map", "video_map_charades"])
def test_scores_of_every_video_for_every_class(tmp_path: Path, truth: Path, protocol: str) -> None:
    (tmp_path / "v.txt").write_text("b 0.4 0.5\na 0.3 0.6\n")  # jump, run: in the order of their names
    scores = _scores(tmp_path / "v.txt", truth, protocol)
    assert scores["metrics"]["video_map"] == 1.0
    assert scores["per_class_ap"] == {"jump": {"video_map": 1.0}, "run": {"video_map": 1.0}}
    if protocol == "multilabel_map":
        assert scores["metrics"]["top1_accuracy"] == 0.5


@pytest.mark.parametrize("protocol", ["frame_map_dense", "frame_map_charades25"])
def test_frame_scores_in_every_format(tmp_path: Path, truth: Path, protocol: str) -> None:
    segments = read_annotations(truth).ground_truth()
    folder = tmp_path / "scores"
    folder.mkdir()
    lines = []
    for video, duration in (("a", 40.0), ("b", 20.0)):
        own = label_points(frame_times(100, duration), np.array([0, 100]), _one(segments, video), interval="open")
        np.savez(folder / f"{video}.npz", scores=own.astype(float))
        points = label_points(
            charades_times(duration), np.array([0, 25]), _one(segments, video), interval="closed"
        ).astype(float)
        lines += [f"{video} {j + 1} {' '.join(map(str, row))}\n" for j, row in enumerate(points)]
    (tmp_path / "points.txt").write_text("".join(lines))
    own = folder if protocol == "frame_map_dense" else tmp_path / "points.txt"
    assert set(_scores(own, truth, protocol)["metrics"].values()) == {1.0}


def _one(segments: GroundTruth, video: str) -> GroundTruth:
    own = segments.video == segments.video_ids.index(video)
    number = np.zeros(int(own.sum()), np.int64)
    return GroundTruth((video,), segments.class_names, number, segments.segments_s[own], segments.labels[own])


def test_points_without_scores_are_a_warning(tmp_path: Path, truth: Path) -> None:
    (tmp_path / "s.txt").write_text("a 1 1 0\na 14 0 1\n")
    code, output = _run(tmp_path / "s.txt", "--truth", truth, "--protocol", "frame_map_charades25")
    assert code == 0, output
    assert "warning: 48 points of annotated videos without scores: they rank last" in output
    assert "warning: 1 annotated videos without scores: they rank last" in output


def test_points_need_durations(tmp_path: Path) -> None:
    bare = {video: {**entry, "duration": None} for video, entry in DATABASE.items()}
    (tmp_path / "truth.json").write_text(json.dumps({"database": bare}))
    (tmp_path / "s.txt").write_text("a 1 1 0\n")
    code, output = _run(tmp_path / "s.txt", "--truth", tmp_path / "truth.json", "--protocol", "frame_map_charades25")
    assert code == 2
    assert "truth.json: does not say how long video 'a' is (2 such videos)" in output


def test_frame_labels(tmp_path: Path) -> None:
    annotated, found = tmp_path / "groundTruth", tmp_path / "results"
    annotated.mkdir()
    found.mkdir()
    for video, labels in (("v1", "cut cut peel peel"), ("v2", "peel peel background cut"), ("v3", "cut")):
        (annotated / f"{video}.txt").write_text(labels.replace(" ", "\n") + "\n")
    for video, labels in (("v1", "cut peel peel peel"), ("v2", "peel peel peel cut")):
        (found / video).write_text(f"### Frame level recognition: ###\n{labels}\n")
    (tmp_path / "split.bundle").write_text("v1.txt\nv2.txt\n")
    scores = _scores(found, annotated, "segmentation", "--subset", tmp_path / "split.bundle", "--bootstrap", 10)
    assert scores["metrics"] == pytest.approx(
        {"frame_accuracy": 0.75, "edit": 1.0, "f1_10": 1.0, "f1_25": 1.0, "f1_50": 1.0}
    )
    assert scores["counts"] == {"videos": 2, "frames": 8, "instances": 4, "predictions": 4}
    assert scores["settings"]["background"] == ["background"]
    strict = _scores(found, annotated, "segmentation", "--subset", tmp_path / "split.bundle", "--tiou", 0.6)
    assert strict["metrics"]["f1_60"] == pytest.approx(0.75)
    code, output = _run(found, "--truth", annotated, "--protocol", "segmentation")
    assert code == 2
    assert "predictions: video 'v3' has none" in output


BAD = [
    (("--protocol", "ar_an", "--set", "top_k=3"), "protocol 'ar_an' has no top_k; its settings are"),
    (("--protocol", "ar_an", "--set", "max_average_number"), "set: 'max_average_number' is not name=value"),
    (("--protocol", "ar_an", "--set", "max_average_number=many"), "max_average_number: 'many' is not of the kind"),
    (("--protocol", "ar_an", "--set", "max_average_number=0"), "max_average_number: 0 must be 1 or more"),
    (("--protocol", "ar_an", "--on-unknown-label", "drop"), "protocol 'ar_an' has no on_unknown_label"),
    (("--protocol", "ar_ann"), "did you mean 'ar_an'"),
    (("--protocol", "frame_map_dense"), "p.json: frame scores are read from a folder of .npz"),
    (("--protocol", "segmentation"), "p.json: frame labels are read from a folder"),
    (("--protocol", "multilabel_map"), "p.json: video 'a', entry 0 is not {label, score}: KeyError 'label'"),
    (("--protocol", "multilabel_map", "--set", "on_empty_class=skip"), "on_empty_class: 'skip' is none of error, zero"),
    (("--protocol", "ar_an", "--diagnose"), "diagnose: matches as activitynet, afsd and opentad do, not as 'ar_an'"),
]


@pytest.mark.parametrize(("options", "complaint"), BAD, ids=[b[1] for b in BAD])
def test_bad_input_is_one_error(tmp_path: Path, truth: Path, options: tuple[str, ...], complaint: str) -> None:
    found = _results(tmp_path / "p.json", PROPOSALS)
    code, output = _run(found, "--truth", truth, "--json", tmp_path / "out.json", *options)
    assert code == 2
    assert len(output.strip().splitlines()) == 1
    assert output.startswith("error: ")
    assert re.search(re.escape(complaint), output), output
    assert not (tmp_path / "out.json").exists()


def test_files_that_hold_nothing(tmp_path: Path, truth: Path) -> None:
    (tmp_path / "s.txt").write_text("")
    empty = _results(tmp_path / "e.json", {})
    for found, protocol, kind in (
        (empty, "ar_an", "proposal"),
        (empty, "activitynet_classification", "video score"),
        (tmp_path / "s.txt", "frame_map_charades25", "frame score"),
    ):
        code, output = _run(found, "--truth", truth, "--protocol", protocol)
        assert code == 2
        assert f"{found.name}: holds no {kind}; there is nothing to score" in output


def test_settings_are_of_the_kind_of_their_defaults() -> None:
    recall = with_settings(make_protocol("ar_an"), ["max_average_number=none", "exclude_videos=a, b"])
    assert (recall.max_average_number, recall.exclude_videos) == (None, ("a", "b"))
    assert with_settings(make_protocol("wtalc"), ["snippets_per_second=2"]).snippets_per_second == 2.0
    assert with_settings(make_protocol("opentad"), ["recall_multiples=1,2"]).recall_multiples == (1, 2)
    assert with_settings(make_protocol("segmentation"), ["background=SIL,action_end"]).background == (
        "SIL",
        "action_end",
    )


def test_perfect_submissions_to_charades(test_data: Path, tmp_path: Path) -> None:
    truth = test_data / "charades" / "Charades_v1_test.csv"
    annotations = read_annotations(truth)
    segments = annotations.ground_truth()
    times = np.concatenate([charades_times(video.duration_s or 0.0) for video in annotations.videos])
    first = np.arange(len(annotations.videos) + 1) * 25
    points = label_points(times, first, segments, interval="closed").astype(int).astype(str)
    rows = [f"{segments.video_ids[i // 25]} {i % 25 + 1} {' '.join(row)}\n" for i, row in enumerate(points.tolist())]
    (tmp_path / "localize.txt").write_text("".join(rows))
    scores = _scores(tmp_path / "localize.txt", truth, "frame_map_charades25")
    assert set(scores["metrics"].values()) == {1.0}
    assert scores["counts"]["predictions"] == 1863 * 25 * 157
    assert scores["counts"]["classes"] == 157
    labels = video_labels(segments).astype(int).astype(str).tolist()
    whole = [f"{v} {' '.join(row)}\n" for v, row in zip(segments.video_ids, labels, strict=True)]
    (tmp_path / "classify.txt").write_text("".join(whole))
    scores = _scores(tmp_path / "classify.txt", truth, "video_map_charades")
    assert set(scores["metrics"].values()) == {1.0}
    silent = int((~video_labels(segments).any(axis=1)).sum())
    assert scores["warnings"]["videos_without_action_ranked_last"] == silent > 0


def test_perfect_frames_of_multithumos(test_data: Path, tmp_path: Path) -> None:
    truth = test_data / "multithumos" / "multithumos.json"
    annotations = read_annotations(truth).of_subset("testing")
    segments = annotations.ground_truth()
    folder = tmp_path / "scores"
    folder.mkdir()
    for video in annotations.videos:
        duration = video.duration_s or 0.0
        number = round(duration * 10)
        own = label_points(
            frame_times(number, duration), np.array([0, number]), _one(segments, video.video_id), interval="open"
        )
        names = np.array(segments.class_names)
        np.savez(folder / f"{video.video_id}.npz", scores=own.astype(np.float32), class_names=names)
    scores = _scores(folder, truth, "frame_map_dense", "--subset", "testing")
    bare = scores["warnings"].get("classes_without_ground_truth", 0)
    assert scores["metrics"]["frame_map"] == pytest.approx((65 - bare) / 65)
    assert bare < 3


@pytest.mark.parametrize(
    ("largest", "expected"),
    [(1, {"ar_an_1": 0.2802013423, "ar_an_auc": 0.1890279134}), ("none", {"ar_an_all": 1, "ar_an_auc": 0.1704423429})],
)
def test_published_detections_as_proposals(
    test_data: Path, tmp_path: Path, largest: object, expected: dict[str, float]
) -> None:
    """ActivityNet's sample detections are the true segments; the values are those of the loop over proposals."""
    folder = test_data / "activitynet"
    (tmp_path / "found.json").symlink_to(folder / "sample_detection_prediction.json")
    truth = folder / "activity_net.v1-2.min-missing-removed.json"
    options = ("--set", f"max_average_number={largest}", "--on-unknown-video", "drop", "--subset", "validation")
    scores = _scores(tmp_path / "found.json", truth, "ar_an", *options)
    assert scores["metrics"] == pytest.approx(expected, abs=1e-9)
    assert scores["counts"] == {"videos": 2196, "instances": 3278, "predictions": 3280}
    assert scores["warnings"]["proposals_on_other_videos_left_out"] == 4374
