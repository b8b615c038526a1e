"""Trials of R-C3D with the tasks of Three Birds: resumable to the bit, refined scores at inference, votes on ends."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trainables.aux_tasks.lce.config import Config as Lce
from trainables.aux_tasks.mac.config import Config as Mac
from trainables.aux_tasks.refine.config import Config as Refine
from trainables.data.synthetic.config import Config as Synthetic
from trainables.detectors.r_c3d.config import Config
from trainables.detectors.r_c3d.settings import Anchors, Optim, Roi, Rpn, Trunk, Window
from trainables.entrypoints.detection import DetectionTrial
from trainables.entrypoints.raw_outputs import read_raw
from trainables.evaluation.detection.protocols import ActivityNet

DATA = Synthetic(num_videos=30, num_classes=3, feat_dim=8, num_snippets=(40, 48), trimmed_per_class=0)
DETECTOR = Config(
    anchors=Anchors(scales=(4.0, 8.0, 12.0)),
    rpn=Rpn(width=16, post_nms_test=30),
    roi=Roi(batch=24),
    trunk=Trunk(width=16, layers=1),
    optim=Optim(optimizer="adam", lr=5e-3, epochs=3, batch_size=8),
    window=Window(length=48, stride_train=48, stride_test=32),
)
PROTOCOL = ActivityNet((0.3, 0.5))
TASKS = {"lce": Lce(), "mac": Mac(), "refine": Refine()}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    DATA.prepare(folder)
    return folder


def trial(root: Path, tasks: Mapping[str, Any] = TASKS) -> DetectionTrial:
    return DetectionTrial(detector=DETECTOR, tasks=tasks, dataset=DATA, protocol=PROTOCOL, seed=0, data_root=root)


def train(run: DetectionTrial, epochs: int) -> list[dict[str, float]]:
    return [dict(run.train_epoch()) for _ in range(epochs)]


def test_a_resumed_trial_is_equal_to_the_bit(root: Path, tmp_path: Path) -> None:
    whole = trial(root)
    history = train(whole, 3)
    first = trial(root)
    train(first, 1)
    first.save(tmp_path / "checkpoint.pt")
    torch.rand(100)
    second = trial(root)
    second.load(tmp_path / "checkpoint.pt")
    assert train(second, 2) == history[1:]
    assert second.score_select(DETECTOR, PROTOCOL) == whole.score_select(DETECTOR, PROTOCOL)


def test_the_total_is_eq_9_and_the_rest_is_logged(root: Path) -> None:
    run = trial(root)
    (losses,) = train(run, 1)
    weights = {"rpn_class": 1, "rpn_offset": 1, "roi_class": 1, "roi_offset": 1, "mac": 1, "lce": 0.7, "refine": 1}
    assert losses["loss"] == pytest.approx(sum(w * losses[name] for name, w in weights.items()), abs=1e-4)
    logged = {"positive_regions", "mac_divergence", "lce_sigma", "lce_sigma_error_corr"}
    assert losses.keys() == weights.keys() | logged | {"loss"}
    assert losses["mac_divergence"] > 0
    assert losses["lce_sigma"] > 0
    host = sum(p.numel() for p in run._modules["detector"].parameters())
    own = sum(p.numel() for task in run._tasks.values() for p in task.parameters())
    assert run.num_parameters == host + own


def test_refined_only_leaves_the_hosts_class_loss_out_of_the_total(root: Path) -> None:
    (losses,) = train(trial(root, {"mac": Mac(), "refine": Refine(loss="refined_only")}), 1)
    total = sum(losses[name] for name in ("rpn_class", "rpn_offset", "roi_offset", "mac", "refine"))
    assert losses["loss"] == pytest.approx(total, abs=1e-4)
    assert losses["roi_class"] > 0


def test_corrected_scores_are_the_ones_detected_with(root: Path) -> None:
    run = trial(root)
    train(run, 3)
    refined = run.raw_outputs("select")
    del run._tasks["refine"]
    run._raw.clear()
    plain = run.raw_outputs("select")
    assert any(not torch.equal(a.tensors["logits"], b.tensors["logits"]) for a, b in zip(refined, plain, strict=True))
    same = [name for name in plain[0].tensors if name != "logits"]
    for a, b in zip(refined, plain, strict=True):
        assert all(torch.equal(a.tensors[name], b.tensors[name]) for name in same), "regression is untouched"


def test_votes_move_ends_and_nothing_else(root: Path, tmp_path: Path) -> None:
    tasks = {"lce": Lce(voting=True)}
    run = trial(root, tasks)
    train(run, 3)
    voted = run.detections("select", DETECTOR)
    unmoved = trial(root, {"lce": Lce()})
    train(unmoved, 3)
    plain = unmoved.detections("select", DETECTOR)
    assert np.array_equal(voted.scores, plain.scores)
    assert np.array_equal(voted.labels, plain.labels)
    shift = np.abs(voted.segments_s - plain.segments_s)
    assert 0 < np.median(shift) < 2.0
    lengths = run._data.durations_s()
    limit = np.asarray([lengths[voted.video_ids[v]] for v in voted.video])
    assert (voted.segments_s[:, 0] >= 0).all()
    assert (voted.segments_s[:, 1] <= limit).all()
    assert (voted.segments_s[:, 1] > voted.segments_s[:, 0]).all()
    run.finish(tmp_path, {"": DETECTOR})
    again = run._tasks["lce"].rescore(plain, read_raw(tmp_path / "raw_select.parquet"), tasks["lce"])
    assert np.allclose(again.segments_s, voted.segments_s, atol=1e-5), "from what is stored"


def test_another_width_of_votes_needs_no_training(root: Path, tmp_path: Path) -> None:
    own, wider = Lce(voting=True), Lce(voting=True, voting_sigma_t=0.05)
    run = trial(root, {"lce": own})
    train(run, 3)
    narrow, wide = (run.detections("test", DETECTOR, tasks) for tasks in (None, {"lce": wider}))
    assert np.array_equal(narrow.scores, wide.scores)
    assert not np.allclose(narrow.segments_s, wide.segments_s)
    other = trial(root, {"lce": wider})
    train(other, 3)
    assert np.array_equal(other.detections("test", DETECTOR).segments_s, wide.segments_s)
    found = run.finish(tmp_path, {"": DETECTOR, "_tuned": DETECTOR}, {"": {"lce": own}, "_tuned": {"lce": wider}})
    truth = run._data.ground_truth("test")
    for suffix, expected in (("", narrow), ("_tuned", wide)):
        score = PROTOCOL.score(PROTOCOL.match(expected, truth))["avg_map"]
        assert found[f"test{suffix}/avg_map"] == score
    select = run.score_select(DETECTOR, PROTOCOL, {"lce": wider})
    assert select == other.score_select(DETECTOR, PROTOCOL)


def test_a_task_without_weight_leaves_the_hosts_losses_alone(root: Path) -> None:
    """Tasks draw windows after the host drew its regions, so the first step is the same with and without them."""
    idle = {"lce": Lce(weight=0.0), "refine": Refine(weight=0.0), "mac": Mac(weight=0.0)}
    one = dataclasses.replace(DETECTOR, optim=dataclasses.replace(DETECTOR.optim, batch_size=64))
    losses = []
    for tasks in ({}, idle):
        run = DetectionTrial(detector=one, tasks=tasks, dataset=DATA, protocol=PROTOCOL, seed=0, data_root=root)
        losses.append(run.train_epoch())
    assert all(losses[0][name] == losses[1][name] for name in ("rpn_class", "rpn_offset", "roi_class", "roi_offset"))
