"""R-C3D in whole trials: it memorises a handful of videos, its control learns nothing, it resumes to the bit."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from trainables.data.synthetic.config import Config as Synthetic
from trainables.detectors.r_c3d.config import Config
from trainables.detectors.r_c3d.settings import Infer, Optim, Rpn, Trunk, Window
from trainables.entrypoints.detection import DetectionTrial
from trainables.evaluation.detection.protocols import ActivityNet

#: 16 training videos.
DATA = Synthetic(num_videos=32, num_classes=3, feat_dim=8, trimmed_per_class=0, overfit=True)
PROTOCOL = ActivityNet((0.5, 0.7))
CONFIG = Config(
    trunk=Trunk(width=64), rpn=Rpn(width=64), optim=Optim(optimizer="adam", lr=2e-3, epochs=24, batch_size=4)
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    DATA.prepare(folder)
    return folder


def trial(root: Path, config: Config = CONFIG, dataset: Any = DATA) -> DetectionTrial:
    return DetectionTrial(detector=config, tasks={}, dataset=dataset, protocol=PROTOCOL, seed=0, data_root=root)


def train(run: DetectionTrial, epochs: int) -> list[dict[str, float]]:
    return [dict(run.train_epoch()) for _ in range(epochs)]


def test_sixteen_videos_are_memorised(root: Path) -> None:
    run = trial(root)
    assert len(run._data.video_ids("train")) == 16
    assert run._data.video_ids("train") == run._data.video_ids("select")
    before = run.score_select(CONFIG, PROTOCOL)["map_tiou_0.50"]
    history = train(run, 24)
    assert all(history[-1][name] < 0.5 * history[0][name] for name in ("rpn_class", "roi_class"))
    after = run.score_select(CONFIG, PROTOCOL)["map_tiou_0.50"]
    assert before < 0.1
    assert after >= 0.9, after


def test_permuted_labels_teach_no_class(root: Path) -> None:
    learnt = dataclasses.replace(DATA, overfit=False)
    scores = []
    for permuted in (False, True):
        run = trial(root, dataset=dataclasses.replace(learnt, permute_labels=permuted))
        train(run, 8)
        scores.append(run.score_select(CONFIG, PROTOCOL)["map_tiou_0.50"])
    assert scores[0] > scores[1] + 0.2


def test_windows_of_a_video_are_merged(root: Path) -> None:
    """Trained and tested on windows shorter than the videos."""
    config = dataclasses.replace(CONFIG, window=Window(length=48, stride_train=16, stride_test=24))
    run = trial(root, config)
    train(run, 8)
    assert len(run.raw_outputs("select")) > 16
    assert run.score_select(config, PROTOCOL)["map_tiou_0.50"] > 0.7
    found = run.detections("select", config)
    durations = run._data.durations_s()
    assert len(found.video_ids) == 16
    assert all(s[1] <= durations[found.video_ids[v]] for v, s in zip(found.video, found.segments_s, strict=True))


def test_each_threshold_is_scored_on_its_own_suppression(root: Path, tmp_path: Path) -> None:
    """As the release does on THUMOS'14: at 0.3, 0.5 and 0.9 detections suppressed at 0.2, 0.4 and 0.8."""
    protocol = ActivityNet((0.3, 0.5, 0.9))
    free = dataclasses.replace(CONFIG, infer=Infer(video_nms=None, clip_nms=0.9, score_thresh=0.001))
    run = DetectionTrial(detector=free, tasks={}, dataset=DATA, protocol=protocol, seed=0, data_root=root)
    train(run, 6)
    expected, other = {}, {}
    for threshold, name in ((0.3, "map_tiou_0.30"), (0.5, "map_tiou_0.50"), (0.9, "map_tiou_0.90")):
        fixed = dataclasses.replace(free, infer=dataclasses.replace(free.infer, video_nms=round(threshold - 0.1, 1)))
        expected[name] = run.score_select(fixed, protocol)[name]
        other[name] = run.score_select(dataclasses.replace(free, infer=Infer(video_nms=0.4)), protocol)[name]
    scores = dict(run.score_select(free, protocol))
    mean = scores.pop("avg_map")
    assert scores == pytest.approx(expected)
    assert mean == pytest.approx(sum(expected.values()) / 3)
    assert scores != pytest.approx(other)
    metrics = run.finish(tmp_path, {"": free})
    stored = protocol.score(protocol.load_matches(tmp_path / "matches_test.arrow"))
    assert metrics == {f"test/{name}": value for name, value in stored.items()}
    assert metrics["test/avg_map"] == pytest.approx(mean)  # overfit: both are the training videos


def test_a_resumed_trial_is_equal_to_the_bit(root: Path, tmp_path: Path) -> None:
    whole, first, second = (trial(root) for _ in range(3))
    history = train(whole, 4)
    train(first, 2)
    first.save(tmp_path / "checkpoint.pt")
    torch.rand(100)
    second.load(tmp_path / "checkpoint.pt")
    assert train(second, 2) == history[2:]
