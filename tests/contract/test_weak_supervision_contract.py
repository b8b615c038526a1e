"""A detector that is trained with video labels never reads a training boundary, whoever ships it."""

from __future__ import annotations

import dataclasses
import shutil
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tadtune.spec.combination import misfit
from tadtune.spec.fields import build_config
from trainables.config import Phase
from trainables.data.features.store import write_store
from trainables.data.features.trimmed import trimmed_folder
from trainables.data.schema import Segment
from trainables.data.synthetic.config import Config as Synthetic
from trainables.data.synthetic.generate import make_videos
from trainables.detections import Detections
from trainables.entrypoints.detection import DetectionTrial
from trainables.evaluation.detection.protocols import ActivityNet

DATA = Synthetic(num_videos=24, num_classes=3, feat_dim=8, trimmed_per_class=4)

#: What keeps a detector's part of this test within seconds, and lets segments train from the first step; a detector
#: that is not listed is tried as it comes.
SMALL: dict[str, dict[str, Any]] = {
    "kt_mgfn": {
        "data.length": 32, "base.width": 8, "mdcm.dilations": [1, 2], "brm.width": 8, "brm.oic_keep": 0.5,
        "ktm.length": 8, "optim.batch_size": 4,
    },
    "clean_net": {
        "gen.width": 8, "sel.theta_scp": 0.02, "sel.positive_score": -1.0, "warmup.lr": 0.01, "optim.lr": 0.01,
        "optim.batch_size": 4,
    },
    "untrimmed_net": {"warmup.lr": 0.01, "batch_size": 4},
}  # fmt: skip

POINTS = {p.name: p for p in entry_points(group="tadtune.detectors") if p.value.startswith("trainables.")}


class Short:
    """A configuration with two epochs in every phase."""

    def __init__(self, config: Any) -> None:
        self._config = config

    def __getattr__(self, name: str) -> Any:
        return getattr(self._config, name)

    def phases(self) -> tuple[Phase, ...]:
        return tuple(dataclasses.replace(phase, epochs=2) for phase in self._config.phases())


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same data twice; in the second, all training segments lie elsewhere."""
    whole, scrambled = (tmp_path_factory.mktemp(name) for name in ("whole", "scrambled"))
    DATA.prepare(whole)
    rng = np.random.default_rng(0)

    def moved(segment: Segment) -> Segment:
        start = float(rng.random() * 9)
        return dataclasses.replace(segment, start_s=start, end_s=start + float(rng.random() * 5 + 1))

    videos = [
        dataclasses.replace(v, segments=tuple(moved(s) for s in v.segments)) if v.split == "train" else v
        for v in make_videos(DATA)
    ]
    write_store(DATA.folder(scrambled), videos, DATA.open(whole).class_names, DATA.builder())
    shutil.copytree(*(trimmed_folder(DATA.folder(root)) for root in (whole, scrambled)))
    truth = [DATA.open(root).ground_truth("train") for root in (whole, scrambled)]
    assert np.array_equal(truth[0].labels, truth[1].labels)
    assert (np.abs(truth[0].segments_s - truth[1].segments_s).max(axis=1) > 0).all()
    return whole, scrambled


def run(config: Any, tasks: dict[str, Any], root: Path) -> tuple[list[dict[str, float]], DetectionTrial]:
    trial = DetectionTrial(
        detector=Short(config), tasks=tasks, dataset=DATA, protocol=ActivityNet(), seed=0, data_root=root
    )
    return [dict(trial.train_epoch()) for _ in range(trial.num_epochs)], trial


def same_detections(a: Detections, b: Detections) -> bool:
    return all(np.array_equal(getattr(a, n), getattr(b, n)) for n in ("video", "segments_s", "labels", "scores"))


def fitting_tasks(detector: str) -> dict[str, Any]:
    points = entry_points(group="tadtune.tasks")
    names = sorted(p.name for p in points if p.value.startswith("trainables."))
    return {n: points[n].load()() for n in names if misfit(detector, (n,), "synthetic") is None}


@pytest.mark.parametrize("with_tasks", [False, True])
@pytest.mark.parametrize("name", [name for name in POINTS if POINTS[name].load().supervision != "segments"])
def test_scrambling_training_boundaries_changes_nothing(name: str, with_tasks: bool, roots: tuple[Path, Path]) -> None:
    config = build_config(POINTS[name].load(), SMALL.get(name, {}), where="detector")
    tasks = fitting_tasks(name) if with_tasks else {}
    assert tasks or not with_tasks
    (history, one), (again, other) = (run(config, tasks, root) for root in roots)
    assert history == again
    # every loss was at work
    assert all(any(epoch.get(loss) for epoch in history) for loss in set().union(*history))
    weights, others = one._modules.state_dict(), other._modules.state_dict()
    assert all(torch.equal(weights[key], others[key]) for key in weights)
    for split in ("select", "test"):
        found = one.detections(split, config)
        assert len(found.scores) > 0
        assert same_detections(found, other.detections(split, config))


def test_a_detector_that_reads_boundaries_is_found_out(roots: tuple[Path, Path]) -> None:
    values = {**SMALL["kt_mgfn"], "brm.length_prior": "class_gaussian"}
    config = build_config(POINTS["kt_mgfn"].load(), values, where="detector")
    (history, one), (again, other) = (run(config, {}, root) for root in roots)
    assert history != again
    assert not same_detections(one.detections("select", config), other.detections("select", config))
