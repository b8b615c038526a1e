"""PBRNet in whole trials: it learns what it sees, and resumes to the bit."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from trainables.data.synthetic.config import Config as Synthetic
from trainables.detectors.pbrnet.config import Config
from trainables.detectors.pbrnet.settings import Clip, Net, Optim
from trainables.entrypoints.detection import DetectionTrial
from trainables.evaluation.charades.detections import Charades25
from trainables.evaluation.detection.protocols import ActivityNet

DATA = Synthetic(num_videos=32, num_classes=3, feat_dim=16, overfit=True)
PROTOCOL = ActivityNet((0.5,))
CONFIG = Config(
    clip=Clip(train_stride=16),
    net=Net(width=24, roi_width=None),
    optim=Optim(lr=2e-3, weight_decay=1e-5, epochs=13, lr_decay_epoch=10, grad_clip=10.0),
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    DATA.prepare(folder)
    return folder


def trial(root: Path, config: Config = CONFIG) -> DetectionTrial:
    return DetectionTrial(detector=config, tasks={}, dataset=DATA, protocol=PROTOCOL, seed=0, data_root=root)


@pytest.mark.slow
def test_sixteen_videos_are_learned(root: Path) -> None:
    run = trial(root)
    assert len(run._data.video_ids("train")) == 16
    before = run.score_select(CONFIG, PROTOCOL)["map_tiou_0.50"]
    history = [run.train_epoch() for _ in range(run.num_epochs)]
    assert all(history[-1][name] < 0.7 * history[0][name] for name in ("cpd_class", "rpd_class", "fgd_boundary"))
    assert before < 0.2
    assert run.score_select(CONFIG, PROTOCOL)["map_tiou_0.50"] >= 0.9


def test_a_resumed_trial_is_equal_to_the_bit(root: Path, tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, net=Net(width=8, roi_width=None))
    whole, first, second = (trial(root, config) for _ in range(3))
    history = [whole.train_epoch() for _ in range(2)]
    first.train_epoch()
    first.save(tmp_path / "checkpoint.pt")
    second.load(tmp_path / "checkpoint.pt")
    assert second.train_epoch() == history[1]


def test_a_trial_is_scored_at_points_in_time(root: Path, tmp_path: Path) -> None:
    """Charades' protocol needs durations, which the trial hands over; its matches can be resampled later."""
    config = dataclasses.replace(CONFIG, net=Net(width=8, roi_width=None))
    protocol = Charades25()
    run = DetectionTrial(detector=config, tasks={}, dataset=DATA, protocol=protocol, seed=0, data_root=root)
    select = run.score_select(config, protocol)
    assert 0 < select["frame_map"] < 0.6
    metrics = run.finish(tmp_path, {"": config})
    assert metrics == {f"test/{name}": value for name, value in select.items()}  # overfit: both are the training videos
    matches = protocol.load_matches(tmp_path / "matches_test.arrow")
    weights = np.ones((1, len(matches.video_ids)))
    assert protocol.resample(matches, weights)[0].tolist() == list(select.values())
