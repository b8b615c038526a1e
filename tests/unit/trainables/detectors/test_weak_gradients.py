"""In every phase of every recipe of the weakly supervised detectors: what should learn does, and nothing else."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import nn

from trainables.config import Phase
from trainables.detectors.clean_net.config import Config as CleanNet
from trainables.detectors.clean_net.config import Gen, Reg, Sel
from trainables.detectors.kt_mgfn.config import Base, Brm, Ccm, Ktm, Mdcm, Train
from trainables.detectors.kt_mgfn.config import Config as KtMgfn
from trainables.detectors.untrimmed_net.config import Cls
from trainables.detectors.untrimmed_net.config import Config as UntrimmedNet
from trainables.entrypoints.detection import weighted_sum
from trainables.entrypoints.optimizer import make_optimizer
from trainables.records import Batch

KT = KtMgfn(base=Base(width=8, dropout=0.0), mdcm=Mdcm((1, 2)), brm=Brm(width=8, oic_keep=1.0), ktm=Ktm(length=8))
CLEAN = CleanNet(cls=Cls(dropout=0.0), gen=Gen(width=8, anchors=(1, 2, 4)), sel=Sel(theta_scp=0.0, positive_score=-2.0))


def kt(**parts: Any) -> KtMgfn:
    return dataclasses.replace(KT, **parts)


def brm(**changes: Any) -> Brm:
    return dataclasses.replace(KT.brm, **changes)


def clean(**parts: Any) -> CleanNet:
    return dataclasses.replace(CLEAN, **parts)


RECIPES: dict[str, Any] = {
    "kt_mgfn": KT,
    "kt_mgfn stage by stage": kt(train=Train("stagewise")),
    "kt_mgfn without the gradient to the CAS": kt(brm=brm(grad_to_cas=False)),
    "kt_mgfn on whole samples": kt(brm=brm(oic_mode="discrete")),
    "kt_mgfn with normalised regression": kt(brm=brm(batch_norm=True)),
    "kt_mgfn weighting by decay": kt(brm=brm(train_nms="soft_weight", reduction="mean")),
    "kt_mgfn with an unbounded CAS": kt(cas_norm="none"),
    "kt_mgfn with one head a stage": kt(mdcm=Mdcm((1, 2), per_branch_head=False)),
    "kt_mgfn with three stages": kt(ccm=Ccm(stages=3)),
    "kt_mgfn over the batch": kt(ktm=Ktm(length=8, scope="batch", kernel="single", init_from_trimmed=False)),
    "mgfn": kt(ktm=Ktm(enabled=False)),
    "kt_mgfn without regression": kt(brm=Brm(enabled=False)),
    "the plain CAS": kt(mdcm=Mdcm((1,)), ccm=Ccm(stages=1), ktm=Ktm(enabled=False), brm=Brm(enabled=False)),
    "clean_net": CLEAN,
    "clean_net apart": clean(joint=False),
    "clean_net from the centre": clean(gen=dataclasses.replace(CLEAN.gen, tsn_sampling=False)),
    "clean_net with batch norm": clean(gen=dataclasses.replace(CLEAN.gen, norm="bn")),
    "clean_net whose judge learns": clean(reg=Reg(detach_scp=False)),
    "plain model": clean(gen=Gen(train=False), joint=False),
    "untrimmed_net": UntrimmedNet(cls=Cls(dropout=0.0)),
    "untrimmed_net in one stream": UntrimmedNet(cls=Cls(dropout=0.0, streams=1, scp_norm="sigmoid")),
}


def batch(length: int = 20) -> Batch:
    generator = torch.Generator().manual_seed(5)
    return Batch(
        video_ids=tuple("abcd"),
        valid_mask=torch.arange(length) < torch.tensor([[length], [length], [length - 3], [length]]),
        seconds_per_sample=torch.full((4,), 0.5, dtype=torch.float64),
        start_s=torch.zeros(4, dtype=torch.float64),
        video_labels=torch.eye(3, dtype=torch.float64)[[0, 1, 2, 0]],
        feats=torch.randn(4, 8, length, generator=generator, dtype=torch.float64),
    )


def begun(config: Any, number: int) -> tuple[nn.ModuleDict, Phase]:
    """The network as it enters a phase, with its optimiser's say on what is frozen."""
    torch.manual_seed(0)
    model = config.build(feat_dim=8, num_classes=3).double()
    if hasattr(model, "heads"):
        with torch.no_grad():  # strong enough for classes to stand out
            model.heads.classifier.weight.mul_(1000.0)
            model.heads.attention.weight.mul_(1000.0)
    for phase in config.phases()[: number + 1]:
        if hasattr(model, "begin_phase"):
            model.begin_phase(phase.name, lambda split, sampling: [batch(8)])
    modules = nn.ModuleDict({"detector": model})
    make_optimizer(modules, phase)
    return modules.train(), phase


CASES = [(name, number) for name, config in RECIPES.items() for number in range(len(config.phases()))]


@pytest.mark.parametrize(("name", "number"), CASES, ids=[f"{name}, phase {number + 1}" for name, number in CASES])
def test_every_parameter_of_a_phase_gets_a_gradient_and_no_other(name: str, number: int) -> None:
    modules, phase = begun(RECIPES[name], number)
    model, data = modules["detector"], batch()
    torch.manual_seed(1)
    losses = model.losses(model(data), data, tuple(phase.loss_weights))  # type: ignore[operator]
    assert all(float(value.detach()) != 0 for value in losses.values())
    weighted_sum(losses, phase.loss_weights).backward()  # type: ignore[no-untyped-call]
    got = {n for n, p in model.named_parameters() if p.grad is not None and bool(p.grad.any())}
    due = {n for n, _ in model.named_parameters() if not n.startswith(tuple(phase.frozen) or "?")}
    assert got == due
    assert due


#: What no loss but the class loss reads: biases do not enter class activation maps, pooled features come before heads.
HEADS = {"class": (), "kt": ("head.weight", "head.bias"), "oic": ("head.bias",)}


@pytest.mark.parametrize("loss", HEADS)
@pytest.mark.parametrize("grad_to_cas", [True, False])
def test_a_loss_of_kt_mgfn_alone_reaches_what_it_reads(loss: str, grad_to_cas: bool) -> None:
    modules, _ = begun(kt(brm=brm(grad_to_cas=grad_to_cas)), 2)
    model, data = modules["detector"], batch()
    model.losses(model(data), data, (loss,))[loss].backward()  # type: ignore[operator]
    got = {n for n, p in model.named_parameters() if p.grad is not None and bool(p.grad.any())}
    names = [n for n, _ in model.named_parameters()]
    classifiers = {n for n in names if n.startswith("stages.") and not n.endswith(HEADS[loss] or "?")}
    regressor = {n for n in names if n.startswith("regressor.")}
    if loss == "oic":
        assert got == (regressor | classifiers if grad_to_cas else regressor)
    else:
        assert got == classifiers


def test_frozen_parts_of_every_recipe_are_those_of_the_paper() -> None:
    frozen = {name: [phase.frozen for phase in config.phases()] for name, config in RECIPES.items()}
    regression, classifiers = ("regressor.",), ("stages.",)
    assert frozen["kt_mgfn"] == [regression, regression, ()]
    assert frozen["kt_mgfn stage by stage"] == [regression, regression, classifiers]
    assert frozen["mgfn"] == [regression, ()]
    assert frozen["the plain CAS"] == [(), ()]
    assert frozen["clean_net"] == [("generator.",), ()]
    assert frozen["clean_net apart"] == [("generator.",), ("heads.",)]
    assert frozen["plain model"] == frozen["untrimmed_net"] == [()]
