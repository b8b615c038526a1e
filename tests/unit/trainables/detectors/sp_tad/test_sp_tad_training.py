"""SP-TAD in whole trials: it learns what it sees, resumes to the bit, and takes tasks along."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sp_tad_batches import SMALL, batch, network

from trainables.aux_tasks.kt_mmd.config import Config as KtMmd
from trainables.aux_tasks.lce.config import Config as Lce
from trainables.aux_tasks.mac.config import Config as Mac
from trainables.aux_tasks.mdc_cas.config import Config as MdcCas
from trainables.aux_tasks.refine.config import Config as Refine
from trainables.aux_tasks.scp_sap_cls.config import Config as ScpSapCls
from trainables.aux_tasks.video_cls.config import Config as VideoCls
from trainables.data.synthetic.config import Config as Synthetic
from trainables.detectors.sp_tad.config import Config
from trainables.detectors.sp_tad.settings import Head, Optim, Soi
from trainables.entrypoints.detection import DetectionTrial
from trainables.evaluation.detection.protocols import ActivityNet
from trainables.records import Batch

DATA = Synthetic(num_videos=32, num_classes=3, feat_dim=16, overfit=True)
PROTOCOL = ActivityNet((0.5,))
CONFIG = Config(
    clip_length=64,
    train_stride=64,
    num_heads=2,
    num_proposals=12,
    proposal_init="grid",
    width=32,
    head=Head(attention_heads=4, dim_dynamic=8, ffn=64),
    optim=Optim(lr=2e-3, epochs=32, lr_decay_epoch=24, batch_size=8),
)
TINY = dataclasses.replace(
    CONFIG, width=8, soi=Soi(resolution=4), head=Head(attention_heads=2, dim_dynamic=4, ffn=8, dropout=0.1)
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    DATA.prepare(folder)
    return folder


def trial(root: Path, config: Config = CONFIG, tasks: Mapping[str, Any] | None = None) -> DetectionTrial:
    return DetectionTrial(detector=config, tasks=tasks or {}, dataset=DATA, protocol=PROTOCOL, seed=0, data_root=root)


@pytest.mark.slow
def test_sixteen_videos_are_learned(root: Path) -> None:
    run = trial(root)
    assert len(run._data.video_ids("train")) == 16
    before = run.score_select(CONFIG, PROTOCOL)["map_tiou_0.50"]
    history = [run.train_epoch() for _ in range(run.num_epochs)]
    assert all(
        history[-1][f"stage{k}_{n}"] < 0.5 * history[0][f"stage{k}_{n}"] for k in (1, 2) for n in ("class", "l1")
    )
    assert before < 0.1
    assert run.score_select(CONFIG, PROTOCOL)["map_tiou_0.50"] >= 0.9


def test_a_resumed_trial_is_equal_to_the_bit(root: Path, tmp_path: Path) -> None:
    whole, first, second = (trial(root, TINY) for _ in range(3))
    history = [whole.train_epoch() for _ in range(2)]
    first.train_epoch()
    first.save(tmp_path / "checkpoint.pt")
    second.load(tmp_path / "checkpoint.pt")
    assert second.train_epoch() == history[1]


def test_the_total_is_the_weighted_sum_of_all_stages(root: Path) -> None:
    losses = trial(root, TINY).train_epoch()
    weights = TINY.loss_weights()
    assert losses.keys() == weights.keys() | {"loss"}
    assert losses["loss"] == pytest.approx(sum(w * losses[name] for name, w in weights.items()), rel=1e-5)


def test_tasks_of_three_birds_train_beside_it_and_correct_its_scores(root: Path, tmp_path: Path) -> None:
    tasks = {"lce": Lce(voting=True, per_class=False), "mac": Mac(trunk="shared"), "refine": Refine()}
    run = trial(root, TINY, tasks)
    losses = run.train_epoch()
    assert all(losses[name] > 0 for name in ("lce", "mac", "refine", "stage2_class"))
    metrics = run.finish(tmp_path, {"": TINY})
    assert 0 <= metrics["test/map_tiou_0.50"] <= 1
    corrected = run.raw_outputs("select")
    del run._tasks["refine"]
    run._raw.clear()
    plain = run.raw_outputs("select")
    for a, b in zip(corrected, plain, strict=True):
        assert not torch.equal(a.tensors["class_logits"], b.tensors["class_logits"])
        assert torch.equal(a.tensors["segments"], b.tensors["segments"])


def test_tasks_of_features_train_beside_it(root: Path, tmp_path: Path) -> None:
    tasks = {"video_cls": VideoCls(), "scp_sap_cls": ScpSapCls(), "mdc_cas": MdcCas(), "kt_mmd": KtMmd()}
    run = trial(root, dataclasses.replace(TINY, act_head=False), tasks)
    losses = run.train_epoch()
    assert {"video_cls", "scp_sap_cls", "mdc_cas", "kt_mmd"} <= losses.keys()
    assert "act" not in losses
    assert run.finish(tmp_path, {"": TINY})["test/map_tiou_0.50"] >= 0
    rescored = run.detections("test", TINY).scores
    del run._tasks["video_cls"]
    assert (rescored < run.detections("test", TINY).scores).all(), "a probability is below 1"


def _part(data: Batch, rows: list[int]) -> Batch:
    assert data.feats is not None
    assert data.segments is not None
    return dataclasses.replace(
        data,
        video_ids=tuple(data.video_ids[i] for i in rows),
        feats=data.feats[rows],
        valid_mask=data.valid_mask[rows],
        segments=tuple(data.segments[i] for i in rows),
    )


def test_the_losses_of_two_workers_make_up_those_of_one() -> None:
    """Means over what ``loss_counts`` says: instances, two in one clip and one in the other; ``act`` over clips."""
    names = tuple(SMALL.loss_weights())
    model, data = network().train(), batch()

    def found(part: Batch) -> tuple[np.ndarray, np.ndarray]:
        outputs = model(part)
        losses = model.losses(outputs, part, names)
        counts = {"act": float(len(part.video_ids)), **model.loss_counts(outputs, part)}
        return np.array([losses[n].item() for n in names]), np.array([counts[n] for n in names])

    (first, a), (second, b) = found(_part(data, [0])), found(_part(data, [1]))
    np.testing.assert_allclose((first * a + second * b) / (a + b), found(data)[0], rtol=1e-4)
