"""How a trial introduces its tasks to each other, and what a task that replaces a loss of the host does to it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from trainables.contracts import TaskBase
from trainables.data.synthetic.config import Config as Synthetic
from trainables.detectors.kt_mgfn.config import Base, Brm, Config, Data, Ktm, Mdcm, Optim
from trainables.entrypoints.detection import DetectionTrial
from trainables.evaluation.detection.protocols import ActivityNet
from trainables.records import Batch, Outputs

DATA = Synthetic(num_videos=30, num_classes=3, feat_dim=8)
DETECTOR = Config(
    data=Data(length=32),
    base=Base(width=16),
    mdcm=Mdcm((1,)),
    ktm=Ktm(enabled=False),
    brm=Brm(enabled=False),
    optim=Optim(epochs1=1, epochs2=0),
)


class Giver(TaskBase):
    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))

    def losses(self, outputs: Outputs, batch: Batch) -> Mapping[str, Tensor]:
        return {"giver": self.scale**2}


class Taker(TaskBase):
    def __init__(self, replaced: tuple[str, ...]) -> None:
        super().__init__()
        self.met: Mapping[str, TaskBase] = {}
        self._replaced = replaced

    def meet(self, tasks: Mapping[str, TaskBase]) -> None:
        self.met = dict(tasks)

    def replaces(self) -> Collection[str]:
        return self._replaced

    def losses(self, outputs: Outputs, batch: Batch) -> Mapping[str, Tensor]:
        assert outputs.video_logits is not None
        return {"taker": outputs.video_logits.square().mean()}


@dataclass(frozen=True)
class GiverConfig:
    def loss_weights(self) -> Mapping[str, float]:
        return {"giver": 1.0}

    def build(self, **host: Any) -> TaskBase:
        return Giver()


@dataclass(frozen=True)
class TakerConfig:
    beside: ClassVar[tuple[str, ...]] = ("zz_giver",)

    replaced: tuple[str, ...] = ("class",)

    def loss_weights(self) -> Mapping[str, float]:
        return {"taker": 0.5}

    def build(self, **host: Any) -> TaskBase:
        return Taker(self.replaced)


def trial(root: Path, taker: TakerConfig) -> DetectionTrial:
    DATA.prepare(root)
    return DetectionTrial(
        detector=DETECTOR,
        tasks={"taker": taker, "zz_giver": GiverConfig()},  # met only after all are built: the giver comes last
        dataset=DATA,
        protocol=ActivityNet((0.5,)),
        seed=0,
        data_root=root,
    )


def test_tasks_meet_those_they_build_upon_and_their_weights_count_once(tmp_path: Path) -> None:
    run = trial(tmp_path, TakerConfig())
    taker = run._tasks["taker"]
    assert isinstance(taker, Taker)
    assert taker.met == {"zz_giver": run._tasks["zz_giver"]}
    host = sum(p.numel() for p in run._modules["detector"].parameters())
    assert run.num_parameters == host + 1


def test_a_replaced_loss_is_logged_and_not_trained_on(tmp_path: Path) -> None:
    losses = trial(tmp_path, TakerConfig()).train_epoch()
    assert losses["class"] > 0.01
    assert losses["loss"] == pytest.approx(0.5 * losses["taker"] + losses["giver"], abs=1e-5)
    kept = trial(tmp_path, TakerConfig(replaced=())).train_epoch()
    assert kept["loss"] == pytest.approx(kept["class"] + 0.5 * kept["taker"] + kept["giver"], abs=1e-5)


def test_a_task_can_only_replace_a_loss_that_exists(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="task 'taker' replaces 'roi_class', which is no loss of the detector"):
        trial(tmp_path, TakerConfig(replaced=("roi_class",)))
