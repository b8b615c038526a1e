"""Mixed precision: layers multiply in bfloat16 while they train; nothing else is any narrower."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from trainables.aux_tasks.mdc_cas.config import Config as MdcCas
from trainables.data.synthetic.config import Config as Synthetic
from trainables.detectors.kt_mgfn.config import Base, Brm, Config, Data, Ktm, Mdcm, Optim
from trainables.entrypoints.detection import DetectionTrial
from trainables.entrypoints.precision import reduce_precision
from trainables.evaluation.detection.protocols import ActivityNet

DATA = Synthetic(num_videos=30, num_classes=3, feat_dim=8)
DETECTOR = Config(
    data=Data(length=32),
    base=Base(width=16, dropout=0.3),
    mdcm=Mdcm((1, 2)),
    ktm=Ktm(enabled=False),
    brm=Brm(width=8),
    optim=Optim(epochs1=2, epochs2=1, lr1=5e-3, lr2=5e-4),
)
PROTOCOL = ActivityNet((0.3, 0.5))


def trial(root: Path, precision: Any) -> DetectionTrial:
    return DetectionTrial(
        detector=DETECTOR,
        tasks={"mdc_cas": MdcCas()},
        dataset=DATA,
        protocol=PROTOCOL,
        seed=0,
        data_root=root,
        precision=precision,
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    DATA.prepare(folder)
    return folder


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(nn.Linear(8, 5), (4, 8)), (nn.Conv1d(8, 5, 3), (2, 8, 9)), (nn.Conv3d(8, 5, 3), (1, 8, 4, 4, 4))],
    ids=lambda value: type(value).__name__,
)
def test_a_layer_multiplies_narrow_and_hands_on_what_it_was_given(layer: nn.Module, shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0), requires_grad=True)
    whole = layer(x)
    reduce_precision(layer)
    product = layer(x)
    assert product.dtype == torch.float32
    assert torch.equal(product, product.bfloat16().float()), "it was computed in bfloat16"
    assert not torch.equal(product, whole)
    assert torch.allclose(product, whole, rtol=2e-2, atol=2e-2)
    product.sum().backward()
    assert {p.grad.dtype for p in (x, *layer.parameters()) if p.grad is not None} == {torch.float32}
    assert all(p.grad is not None and p.dtype == torch.float32 for p in layer.parameters())
    assert torch.equal(layer.eval()(x), whole), "inference is as ever"


def test_a_trial_learns_the_same_and_scores_in_float32(root: Path) -> None:
    whole, reduced = trial(root, "float32"), trial(root, "bfloat16")
    assert reduced.score_select(DETECTOR, PROTOCOL) == whole.score_select(DETECTOR, PROTOCOL)
    curves = [[dict(run.train_epoch()) for _ in range(run.num_epochs)] for run in (whole, reduced)]
    for ours, theirs in zip(*curves, strict=True):
        assert ours != theirs
        assert theirs["class"] == pytest.approx(ours["class"], rel=0.02)
        assert theirs["mdc_cas"] == pytest.approx(ours["mdc_cas"], rel=0.02)
    assert {p.dtype for p in reduced._modules.parameters()} == {torch.float32}
    for raw in reduced.raw_outputs("select"):
        assert {t.dtype for t in raw.tensors.values()} == {torch.float32}
    scores = [t for raw in reduced.raw_outputs("select") for t in raw.tensors.values()]
    assert any(not torch.equal(t, t.bfloat16().float()) for t in scores)


def test_it_resumes_to_the_bit(root: Path, tmp_path: Path) -> None:
    once, first, second = (trial(root, "bfloat16") for _ in range(3))
    history = [dict(once.train_epoch()) for _ in range(3)]
    assert [dict(first.train_epoch()) for _ in range(2)] == history[:2]
    first.save(tmp_path / "c.pt")
    second.load(tmp_path / "c.pt")
    assert dict(second.train_epoch()) == history[2]
