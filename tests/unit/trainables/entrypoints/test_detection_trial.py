"""A detection trial: deterministic, resumable to the bit, weights and losses meet in one place."""

from __future__ import annotations

import dataclasses
import json
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trainables.aux_tasks.kt_mmd.config import Config as KtMmd
from trainables.aux_tasks.mdc_cas.config import Config as MdcCas
from trainables.config import Phase
from trainables.data.synthetic.config import Config as Synthetic
from trainables.detectors.kt_mgfn.config import Base, Brm, Ccm, Config, Data, Ktm, Loss, Mdcm, Optim
from trainables.entrypoints.detection import DetectionTrial, weighted_sum
from trainables.entrypoints.optimizer import make_optimizer, set_learning_rate
from trainables.entrypoints.raw_outputs import read_raw
from trainables.evaluation.detection.protocols import ActivityNet

DATA = Synthetic(num_videos=30, num_classes=3, feat_dim=8)
DETECTOR = Config(
    data=Data(length=32),
    base=Base(width=16, dropout=0.3),
    mdcm=Mdcm((1, 2)),
    ktm=Ktm(enabled=False),
    brm=Brm(width=8),
    optim=Optim(epochs1=3, epochs2=2, lr1=5e-3, lr2=5e-4),
)
PROTOCOL = ActivityNet((0.3, 0.5))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    DATA.prepare(folder)
    return folder


def trial(root: Path, **changes: Any) -> DetectionTrial:
    arguments: dict[str, Any] = {
        "detector": DETECTOR,
        "tasks": {},
        "dataset": DATA,
        "protocol": PROTOCOL,
        "seed": 0,
        "data_root": root,
    }
    return DetectionTrial(**{**arguments, **changes})


def train(run: DetectionTrial, epochs: int) -> list[dict[str, float]]:
    return [dict(run.train_epoch()) for _ in range(epochs)]


def test_the_same_arguments_give_the_same_numbers(root: Path) -> None:
    runs = [trial(root) for _ in range(2)]
    assert train(runs[0], 5) == train(runs[1], 5)
    scores = [r.score_select(DETECTOR, PROTOCOL) for r in runs]
    assert scores[0] == scores[1]
    assert train(trial(root, seed=1), 1) != train(trial(root), 1)


@pytest.mark.parametrize("stop_at", [1, 3, 4])
def test_a_resumed_trial_is_equal_to_the_bit(root: Path, tmp_path: Path, stop_at: int) -> None:
    whole = trial(root)
    history = train(whole, 5)
    first = trial(root)
    train(first, stop_at)
    first.score_select(DETECTOR, PROTOCOL)  # scoring in between changes nothing
    first.save(tmp_path / "checkpoint.pt")
    torch.rand(100)  # whatever else the process drew
    second = trial(root)
    second.load(tmp_path / "checkpoint.pt")
    assert second.epoch == stop_at
    assert train(second, 5 - stop_at) == history[stop_at:]
    for a, b in zip(whole._modules.state_dict().values(), second._modules.state_dict().values(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("stop_at", [1, 2, 3, 5])
def test_transfer_from_trimmed_clips_resumes_to_the_bit(root: Path, tmp_path: Path, stop_at: int) -> None:
    detector = dataclasses.replace(DETECTOR, ktm=Ktm(enabled=True, epochs=2, length=16))
    tasks = {"kt_mmd": KtMmd(length=16)}
    whole = trial(root, detector=detector, tasks=tasks)
    losses = train(whole, 7)
    assert [sorted(epoch) for epoch in losses[::3]] == [
        ["class", "kt_mmd", "loss"], ["class", "kt", "kt_mmd", "loss"], ["class", "kt", "kt_mmd", "loss", "oic"],
    ]  # fmt: skip
    first = trial(root, detector=detector, tasks=tasks)
    train(first, stop_at)
    first.save(tmp_path / "c.pt")
    again = trial(root, detector=detector, tasks=tasks)
    again.load(tmp_path / "c.pt")
    assert train(again, 7 - stop_at) == losses[stop_at:]
    assert again.score_select(detector, PROTOCOL) == whole.score_select(detector, PROTOCOL)


def test_transfer_brings_held_out_videos_nearer_to_the_clips(root: Path) -> None:
    def distance(beta: float) -> float:
        ktm = Ktm(enabled=True, epochs=2, length=16)
        detector = dataclasses.replace(DETECTOR, ktm=ktm, loss=Loss(beta=beta), brm=Brm(enabled=False))
        run = trial(root, detector=detector)
        train(run, 5)
        model = run._model.eval()
        inputs = run._data.batches(
            "select", sampling=detector.sampling(), batch_size=16, supervision="video_labels", seed=0, epoch=None
        )
        torch.manual_seed(0)
        with torch.no_grad():
            return float(np.mean([model.losses(model(batch), batch, ("kt",))["kt"] for batch in inputs]))

    assert distance(10.0) < distance(0.0)


def test_a_data_set_without_clips_is_refused_beforehand(tmp_path: Path) -> None:
    bare = Synthetic(num_videos=30, num_classes=3, feat_dim=8, trimmed_per_class=0)
    bare.prepare(tmp_path)
    with pytest.raises(ValueError, match=r"kt_mgfn learns from trimmed clips, and data set 'synthetic' has none; set"):
        Config().check_data(bare, tmp_path)
    with pytest.raises(ValueError, match="task kt_mmd learns from trimmed clips"):
        KtMmd().check_data(bare, tmp_path)
    Config(ktm=Ktm(enabled=False)).check_data(bare, tmp_path)
    with pytest.raises(ValueError, match="has no trimmed clips"):
        bare.open(tmp_path).batches(
            "trimmed", sampling=DETECTOR.sampling(), batch_size=2, supervision="none", seed=0, epoch=None
        )


def test_phases_and_their_losses(root: Path) -> None:
    history = train(trial(root), 5)
    assert [set(h) for h in history] == [{"class", "loss"}] * 3 + [{"class", "oic", "loss"}] * 2
    last = history[-1]
    assert last["loss"] == pytest.approx(last["class"] + 10 * last["oic"], abs=1e-4)


def test_a_task_adds_its_loss_with_its_weight(root: Path) -> None:
    run = trial(root, tasks={"mdc_cas": MdcCas(weight=0.25)})
    (history,) = train(run, 1)
    assert history["loss"] == pytest.approx(history["class"] + 0.25 * history["mdc_cas"], abs=1e-5)
    assert run.num_parameters > trial(root).num_parameters


def test_every_weak_task_runs_beside_the_host_in_every_phase(root: Path) -> None:
    names = ("contrast_eval", "kt_mmd", "mdc_cas", "oae", "oic")
    tasks = {name: import_module(f"trainables.aux_tasks.{name}.config").Config() for name in names}
    detector = dataclasses.replace(DETECTOR, ktm=Ktm(enabled=True, epochs=1, length=16))
    run = trial(root, detector=detector, tasks=tasks)
    losses = train(run, run.num_epochs)
    assert all({"kt_mmd", "mdc_cas", "oae", "oic_task", "contrast_eval"} <= epoch.keys() for epoch in losses)
    assert 0 < run.score_select(detector, PROTOCOL)["avg_map"] <= 1


def test_a_task_without_weight_leaves_the_host_alone(root: Path) -> None:
    # clipping joins all gradients, so compare where it does not act
    loose = dataclasses.replace(DETECTOR, optim=dataclasses.replace(DETECTOR.optim, grad_clip=1e6))
    plain, beside = trial(root, detector=loose), trial(root, detector=loose, tasks={"mdc_cas": MdcCas(weight=0.0)})
    assert [h["class"] for h in train(plain, 3)] == [h["class"] for h in train(beside, 3)]


def test_inference_values_need_no_new_forward_pass(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = trial(root)
    train(run, 3)
    plain = run.score_select(DETECTOR, PROTOCOL)
    monkeypatch.setattr(run, "_batches", lambda *a: pytest.fail("a forward pass"))
    other = dataclasses.replace(DETECTOR, post=dataclasses.replace(DETECTOR.post, theta_nms=0.2, score_terms=("oic",)))
    assert run.score_select(other, PROTOCOL) != plain


def test_what_a_finished_trial_leaves_behind(root: Path, tmp_path: Path) -> None:
    run = trial(root)
    train(run, 5)
    tuned = dataclasses.replace(DETECTOR, post=dataclasses.replace(DETECTOR.post, theta_nms=0.3))
    metrics = run.finish(tmp_path, {"": DETECTOR, "_tuned": tuned})
    assert set(metrics) == {f"test{s}/{n}" for s in ("", "_tuned") for n in PROTOCOL.metric_names()}
    matches = PROTOCOL.load_matches(tmp_path / "matches_test.arrow")
    assert PROTOCOL.score(matches)["avg_map"] == metrics["test/avg_map"]
    truth = json.loads((tmp_path / "truth_test.json").read_text())["videos"]
    found = json.loads((tmp_path / "detections_test.json").read_text())["results"]
    assert truth.keys() == found.keys()
    stored = read_raw(tmp_path / "raw_select.parquet")
    live = run.raw_outputs("select")
    assert [r.video_id for r in stored] == [r.video_id for r in live]
    for a, b in zip(stored, live, strict=True):
        assert a.tensors.keys() == b.tensors.keys()
        assert all(torch.equal(a.tensors[n], b.tensors[n].float()) for n in a.tensors)


def test_checkpoints_load_safely(root: Path, tmp_path: Path) -> None:
    run = trial(root)
    train(run, 1)
    run.save(tmp_path / "c.pt")
    state = torch.load(tmp_path / "c.pt", weights_only=True)
    assert state["epoch"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["c.pt"]


def test_a_loss_that_is_not_finite_stops_with_its_name(root: Path) -> None:
    run = trial(root)
    with torch.no_grad():
        next(run._modules.parameters()).fill_(float("nan"))
    with pytest.raises(FloatingPointError, match=r"class = nan.*phase 'classify', epoch 1, step 1"):
        run.train_epoch()


def test_every_loss_has_a_weight_and_every_weight_a_loss() -> None:
    terms = {"a": torch.tensor(2.0), "b": torch.tensor(3.0)}
    assert float(weighted_sum(terms, {"a": 1.0, "b": 0.5})) == 3.5
    with pytest.raises(ValueError, match="do not match at: c"):
        weighted_sum(terms, {"a": 1.0, "b": 0.5, "c": 1.0})
    with pytest.raises(ValueError, match="do not match at: b"):
        weighted_sum(terms, {"a": 1.0})


def test_learning_rates_of_parts_and_steps() -> None:
    modules = torch.nn.ModuleDict(
        {"detector": torch.nn.ModuleDict({"body": torch.nn.Linear(2, 2), "head": torch.nn.Linear(2, 1)})}
    )
    phase = Phase(
        "only", 10, 1e-2, {}, optimizer="sgd", momentum=0.9, lr_milestones=(4, 8), lr_multipliers={"body.": 0.1}
    )
    optimizer = make_optimizer(modules, phase)
    rates = []
    for epoch in (0, 4, 9):
        set_learning_rate(optimizer, phase, epoch)
        rates.append(sorted(group["lr"] for group in optimizer.param_groups))
    assert np.allclose(rates, [[1e-3, 1e-2], [1e-4, 1e-3], [1e-5, 1e-4]])
    with pytest.raises(ValueError, match="no parameter begins with 'neck.'"):
        make_optimizer(modules, dataclasses.replace(phase, frozen=("neck.",)))


def test_biases_may_learn_faster_and_not_decay() -> None:
    parts = torch.nn.ModuleDict({"body": torch.nn.Linear(2, 2), "head": torch.nn.Linear(2, 1)})
    modules = torch.nn.ModuleDict({"detector": parts, "task_a": torch.nn.Linear(2, 2)})
    phase = Phase(
        "only", 2, 1e-2, {}, optimizer="sgd", weight_decay=0.1, lr_multipliers={"body.": 0.5}, bias_lr_multiplier=2.0,
        decay_biases=False, lr_milestones=(1,),
    )  # fmt: skip
    optimizer = make_optimizer(modules, phase)
    set_learning_rate(optimizer, phase, 1)
    names = {id(p): name for name, p in modules.named_parameters()}
    found = {
        names[id(p)]: (round(group["lr"], 6), group["weight_decay"])
        for group in optimizer.param_groups
        for p in group["params"]
    }
    assert found == {
        "detector.body.weight": (5e-4, 0.1),
        "detector.body.bias": (1e-3, 0.0),
        "detector.head.weight": (1e-3, 0.1),
        "detector.head.bias": (2e-3, 0.0),
        "task_a.weight": (1e-3, 0.1),
        "task_a.bias": (2e-3, 0.0),
    }


def test_learning_beats_permuted_labels(tmp_path: Path) -> None:
    data = dataclasses.replace(DATA, num_videos=60)
    data.prepare(tmp_path)
    detector = Config(
        data=Data(length=64),
        base=Base(width=32, dropout=0.3),
        mdcm=Mdcm((1,)),
        ccm=Ccm(stages=1),
        brm=Brm(enabled=False),
        optim=Optim(epochs1=25, epochs2=0, lr1=5e-3),
    )
    scores = []
    for permuted in (False, True):
        run = trial(tmp_path, detector=detector, dataset=dataclasses.replace(data, permute_labels=permuted))
        train(run, 25)
        scores.append(run.score_select(detector, PROTOCOL)["avg_map"])
    assert scores[0] > 0.5
    assert scores[0] > scores[1] + 0.3
