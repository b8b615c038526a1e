"""A frame-level trial that learns from trimmed clips first."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from trainables.aux_tasks.volume.config import VolumeFreeze, VolumeJoint
from trainables.data.synthetic.config import Config as Synthetic
from trainables.detectors.frame_level.pretrain import Pretrain
from trainables.detectors.frame_level.settings import HeadConfig, Optim
from trainables.detectors.pdan.config import Config as Pdan
from trainables.detectors.super_events.config import Config as SuperEvents
from trainables.detectors.tgm.config import Config as Tgm
from trainables.detectors.tgm.config import Layers
from trainables.entrypoints.detection import DetectionTrial
from trainables.evaluation.frames.frame_map import FrameMapDense

DATA = Synthetic(num_videos=20, num_classes=3, feat_dim=6, num_snippets=(20, 30), trimmed_per_class=4)
STAGE = Pretrain(epochs=2, length=8, optimizer="adam", lr=1e-3)
OPTIM = Optim(epochs=2, lr=1e-3, batch_size=4)
HEADS: dict[str, tuple[HeadConfig, set[str]]] = {
    "pdan": (Pdan(optim=OPTIM, pretrain=STAGE, blocks=2, width=8), {"classes.weight", "classes.bias"}),
    "tgm": (
        Tgm(optim=OPTIM, pretrain=STAGE, layers=Layers(channels=2, num_kernels=4), hidden=8),
        {"classes.weight", "classes.bias", "video.weight", "video.mixing"},
    ),
    "super_events": (
        SuperEvents(optim=OPTIM, pretrain=STAGE),
        {"frame.weight", "frame.bias", "video.weight", "video.mixing"},
    ),
}


def trial(root: Path, detector: HeadConfig, tasks: Mapping[str, Any]) -> DetectionTrial:
    return DetectionTrial(
        detector=detector, tasks=tasks, dataset=DATA, protocol=FrameMapDense(), seed=0, data_root=root
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    DATA.prepare(folder)
    return folder


def weights(run: DetectionTrial) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in run._modules["detector"].network.named_parameters()}


def test_plain_classification_is_the_stage_by_itself(root: Path) -> None:
    run = trial(root, HEADS["pdan"][0], {})
    assert run.num_epochs == 4
    logged = [dict(run.train_epoch()) for _ in range(4)]
    assert [set(losses) for losses in logged] == [{"clip", "loss"}] * 2 + [{"summed", "loss"}] * 2
    assert logged[1]["clip"] < logged[0]["clip"] == logged[0]["loss"]


@pytest.mark.parametrize("task", [VolumeFreeze(use="pretrain"), VolumeJoint(use="pretrain", combine="multi")])
def test_a_task_takes_its_place_and_goes_with_it(root: Path, task: Any) -> None:
    run = trial(root, HEADS["pdan"][0], {task.key: task})
    logged = [dict(run.train_epoch()) for _ in range(4)]
    assert [set(losses) for losses in logged] == [{"clip", task.key, "loss"}] * 2 + [{"summed", "loss"}] * 2
    assert logged[0]["loss"] == pytest.approx(logged[0][task.key])
    assert logged[0]["clip"] != pytest.approx(logged[0][task.key], abs=1e-3)
    assert logged[2]["loss"] == pytest.approx(logged[2]["summed"])
    assert set(run.score_select(HEADS["pdan"][0], FrameMapDense())) >= {"frame_map"}


def test_an_auxiliary_task_is_beside_detection_alone(root: Path) -> None:
    run = trial(root, HEADS["pdan"][0], {"volume_freeze": VolumeFreeze(weight=0.5)})
    logged = [dict(run.train_epoch()) for _ in range(3)]
    assert [set(losses) for losses in logged] == [{"clip", "loss"}] * 2 + [{"summed", "volume_freeze", "loss"}]
    assert logged[2]["loss"] == pytest.approx(logged[2]["summed"] + 0.5 * logged[2]["volume_freeze"], rel=1e-5)


@pytest.mark.parametrize("name", HEADS)
def test_layers_of_the_classes_begin_anew_and_the_others_go_on(root: Path, name: str) -> None:
    detector, of_classes = HEADS[name]
    run = trial(root, detector, {})
    run.train_epoch()
    learnt = weights(run)
    run._model.begin_phase("finetune", run._inputs)
    after = weights(run)
    assert {key for key, value in after.items() if not torch.equal(value, learnt[key])} == of_classes - (
        {"video.mixing"} if torch.equal(learnt.get("video.mixing", torch.zeros(1)), torch.zeros(3)) else set()
    )


def test_they_stay_where_classes_are_the_same(root: Path) -> None:
    kept = Pdan(optim=OPTIM, pretrain=Pretrain(epochs=1, new_classes=False), blocks=2, width=8)
    assert [phase.name for phase in kept.phases()] == ["pretrain", "train"]
    assert [phase.name for phase in HEADS["pdan"][0].phases()] == ["pretrain", "finetune"]
    assert [phase.name for phase in Pdan().phases()] == ["train"]
    run = trial(root, kept, {})
    before = weights(run)
    run._model.begin_phase("train", run._inputs)
    assert all(torch.equal(value, before[key]) for key, value in weights(run).items())


def test_a_trial_goes_on_where_pretraining_ended(root: Path, tmp_path: Path) -> None:
    tasks = {"volume_freeze": VolumeFreeze(use="pretrain")}
    whole = trial(root, HEADS["pdan"][0], tasks)
    for _ in range(2):
        whole.train_epoch()
    whole.save(tmp_path / "checkpoint.pt")
    last = dict(whole.train_epoch())
    resumed = trial(root, HEADS["pdan"][0], tasks)
    resumed.load(tmp_path / "checkpoint.pt")
    assert dict(resumed.train_epoch()) == last
    assert all(torch.equal(value, weights(whole)[key]) for key, value in weights(resumed).items())


def test_the_recipe_of_the_stage() -> None:
    (stage, _) = Pdan(pretrain=Pretrain(epochs=10)).phases()
    assert (stage.split, stage.optimizer, stage.lr, stage.momentum, stage.lr_milestones) == (
        "trimmed", "sgd", 0.05, 0.9, (8,),
    )  # fmt: skip
    assert stage.sampling is not None and stage.sampling.length == 16


def test_it_needs_trimmed_clips(tmp_path: Path) -> None:
    data = Synthetic(num_videos=10, num_classes=2, feat_dim=4, trimmed_per_class=0)
    data.prepare(tmp_path)
    Pdan().check_data(data, tmp_path)
    with pytest.raises(ValueError, match=r"pretraining learns from trimmed clips, .*set detector.pretrain.epochs: 0"):
        HEADS["pdan"][0].check_data(data, tmp_path)
