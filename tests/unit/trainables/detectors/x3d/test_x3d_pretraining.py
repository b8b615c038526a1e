"""X3D that learns from trimmed clips of frames first."""

from __future__ import annotations

import torch
from torch import nn

from tadtune.spec.fields import build_config
from trainables.aux_tasks.volume.config import VolumeJoint
from trainables.config import Phase
from trainables.detectors.x3d.config import Config
from trainables.entrypoints.optimizer import make_optimizer
from trainables.records import Batch

SMALL = {"backbone.width": 1.0, "backbone.depth": 1.0, "backbone.fc1": 32, "frames.size": 32, "frames.crop": 32}


def _config(**settings: object) -> Config:
    config = build_config(Config, {**SMALL, "frames.train_short_sides": None, **settings}, where="detector")
    assert isinstance(config, Config)
    return config


def _rates(phase: Phase) -> dict[float, int]:
    """Learning rate -> number of parameters that are not of the trunk."""
    model = _config().build(feat_dim=3, num_classes=3)
    groups = make_optimizer(nn.ModuleDict({"detector": model}), phase).param_groups
    head = [model.network.inner.backbone.fc1, model.network.inner.fc2]
    own = {id(p) for part in head for p in part.parameters()}
    return {group["lr"]: sum(id(p) in own for p in group["params"]) for group in groups}


def test_the_stage_comes_first_with_clips_of_its_own() -> None:
    stage, detection = _config(
        **{"pretrain.epochs": 3, "pretrain.backbone_lr_mult": 0.1, "backbone_lr_mult": 0.5}
    ).phases()
    assert (stage.name, stage.split, stage.epochs, stage.loss_weights) == ("pretrain", "trimmed", 3, {"clip": 1.0})
    assert stage.sampling is not None
    assert (stage.sampling.train, stage.sampling.length, stage.sampling.stride) == ("clip", 16, 5)
    assert stage.sampling.frames == _config().sampling().frames
    assert (stage.optimizer, stage.lr, stage.momentum, stage.weight_decay) == ("sgd", 0.05, 0.9, 5e-5)
    assert _rates(stage) == {0.05 * 0.1: 0, 0.05: 3}, "fc1, and weight and bias of the classifier, learn faster"
    assert (detection.name, detection.lr_multipliers) == ("finetune", {"network.inner.backbone.": 0.5})
    assert [phase.name for phase in _config().phases()] == ["train"]


def test_all_three_augmentations_teach_the_backbone_and_only_the_classifier_begins_anew() -> None:
    torch.manual_seed(0)
    config = _config(**{"pretrain.epochs": 1})
    model = config.build(feat_dim=3, num_classes=3)
    task = VolumeJoint(use="pretrain", combine="multi", p_apply=1.0).build(host=model, feat_channels=0, num_classes=3)
    batch = Batch(
        video_ids=("a", "b"),
        valid_mask=torch.arange(8).expand(2, 8) < torch.tensor([[8], [6]]),
        seconds_per_sample=torch.ones(2),
        start_s=torch.zeros(2),
        video_labels=torch.eye(3)[:2],
        frames=torch.randint(0, 256, (2, 3, 8, 32, 32), dtype=torch.uint8),
        frame_labels=torch.eye(3)[:2, None].expand(2, 8, 3),
    )
    assert task.takes_part(config.phases()[0]) and not task.takes_part(Phase("train", 1, 0.1, {}))
    mixed = task.transform(batch)
    task.losses(model(mixed), mixed)["volume_joint"].backward()
    without = [name for name, p in model.network.inner.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []
    before = {name: p.clone() for name, p in model.network.named_parameters()}
    model.begin_phase("finetune", lambda split, sampling: [])
    changed = {name for name, p in model.network.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {"inner.fc2.linear.weight", "inner.fc2.linear.bias"}
