"""CleanNet and UntrimmedNet in whole trials: they learn and resume to the bit."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from trainables.data.synthetic.config import Config as Synthetic
from trainables.detectors.clean_net.config import Config as CleanNet
from trainables.detectors.clean_net.config import Gen, Optim
from trainables.detectors.untrimmed_net.config import Cls, Data, Warmup
from trainables.detectors.untrimmed_net.config import Config as UntrimmedNet
from trainables.entrypoints.detection import DetectionTrial
from trainables.evaluation.detection.protocols import ActivityNet

DATA = Synthetic(num_videos=30, num_classes=3, feat_dim=8)
PROTOCOL = ActivityNet((0.3, 0.5))
CLEAN = CleanNet(
    cls=Cls(dropout=0.3),
    gen=Gen(width=16),
    warmup=Warmup(lr=5e-3, epochs=8),
    optim=Optim(lr=1e-3, epochs=8, lr_step=4, batch_size=2),
)
DETECTORS: dict[str, Any] = {
    "untrimmed_net": UntrimmedNet(cls=CLEAN.cls, warmup=CLEAN.warmup, batch_size=2),
    "cleannet_simple": dataclasses.replace(CLEAN, gen=Gen(width=16, tsn_sampling=False), joint=False),
    "cleannet": CLEAN,
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    DATA.prepare(folder)
    return folder


def trial(root: Path, name: str, dataset: Any = DATA) -> DetectionTrial:
    return DetectionTrial(
        detector=DETECTORS[name], tasks={}, dataset=dataset, protocol=PROTOCOL, seed=0, data_root=root
    )


def score(run: DetectionTrial, name: str, split: str) -> float:
    matches = PROTOCOL.match(run.detections(split, DETECTORS[name]), run._data.ground_truth(split))
    return float(PROTOCOL.score(matches)["avg_map"])


def train(run: DetectionTrial) -> list[dict[str, float]]:
    return [dict(run.train_epoch()) for _ in range(run.num_epochs - run.epoch)]


@pytest.mark.parametrize("name", DETECTORS)
def test_a_handful_of_videos_is_learned(name: str, root: Path) -> None:
    run = trial(root, name)
    before = score(run, name, "train")
    history = train(run)
    assert history[7]["class"] < 0.5 * history[0]["class"]
    after = score(run, name, "train")
    assert after > 0.7
    assert after > before + 0.4
    if name != "untrimmed_net":
        assert min(h["num_positives"] for h in history[8:]) > 3


def test_permuted_labels_teach_nothing(root: Path) -> None:
    run = trial(root, "cleannet", dataclasses.replace(DATA, permute_labels=True))
    train(run)
    assert score(run, "cleannet", "select") < 0.25


def test_a_resumed_trial_is_equal_to_the_bit(root: Path, tmp_path: Path) -> None:
    whole, first, second = (trial(root, "cleannet") for _ in range(3))
    history = train(whole)
    for _ in range(11):  # within the second phase, after a fall of the learning rate
        first.train_epoch()
    first.save(tmp_path / "checkpoint.pt")
    torch.rand(100)
    second.load(tmp_path / "checkpoint.pt")
    assert train(second) == history[11:]


@pytest.mark.parametrize("name", ["untrimmed_net", "cleannet"])
def test_on_a_finer_grid_every_second_sample_is_a_snippet(name: str, root: Path) -> None:
    native = trial(root, name)
    coarse = native.raw_outputs("select")[0]
    length = 2 * coarse.num_samples - 1
    detector = dataclasses.replace(DETECTORS[name], data=Data("rescale", length))
    finer = DetectionTrial(detector=detector, tasks={}, dataset=DATA, protocol=PROTOCOL, seed=0, data_root=root)
    fine = next(r for r in finer.raw_outputs("select") if r.video_id == coarse.video_id)
    assert fine.num_samples == length
    torch.testing.assert_close(fine.tensors["scp"][:, ::2], coarse.tensors["scp"][:, : coarse.num_samples])
    # the centre of sample 2 t is that of snippet t
    centre = fine.start_s + 0.5 * fine.seconds_per_sample
    assert centre == pytest.approx(coarse.start_s + 0.5 * coarse.seconds_per_sample)
    assert fine.seconds_per_sample == pytest.approx(0.5 * coarse.seconds_per_sample)
    found = finer.detections("select", detector)
    assert set(found.video) == set(range(len(found.video_ids)))
