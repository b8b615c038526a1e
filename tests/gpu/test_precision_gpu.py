"""A trial on a CUDA device, in float32 and with layers in bfloat16: the losses of the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from trainables.aux_tasks.mdc_cas.config import Config as MdcCas
from trainables.data.synthetic.config import Config as Synthetic
from trainables.detectors.kt_mgfn.config import Base, Brm, Config, Data, Ktm, Mdcm, Optim
from trainables.entrypoints.detection import DetectionTrial
from trainables.evaluation.detection.protocols import ActivityNet

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

DETECTOR = Config(
    data=Data(length=32),
    base=Base(width=16, dropout=0.0),
    mdcm=Mdcm((1, 2)),
    ktm=Ktm(enabled=False),
    brm=Brm(width=8),
    optim=Optim(epochs1=2, epochs2=1, lr1=5e-3, lr2=5e-4),
)


@pytest.mark.parametrize(("precision", "rel"), [("float32", 1e-3), ("bfloat16", 0.02)])
def test_losses_are_those_of_the_cpu(tmp_path: Path, precision: Any, rel: float) -> None:
    data = Synthetic(num_videos=30, num_classes=3, feat_dim=8)
    data.prepare(tmp_path)
    curves = []
    for device, own in (("cpu", "float32"), ("cuda", precision)):
        run = DetectionTrial(
            detector=DETECTOR,
            tasks={"mdc_cas": MdcCas()},
            dataset=data,
            protocol=ActivityNet((0.3, 0.5)),
            seed=0,
            data_root=tmp_path,
            device=device,
            precision=own,
        )
        curves.append([dict(run.train_epoch()) for _ in range(run.num_epochs)])
        run.save(tmp_path / "c.pt")
        run.load(tmp_path / "c.pt")
        assert {p.device.type for p in run._modules.parameters()} == {device}
        assert run.score_select(DETECTOR, ActivityNet((0.3, 0.5)))["avg_map"] >= 0
    for ours, theirs in zip(*curves, strict=True):
        assert theirs["class"] == pytest.approx(ours["class"], rel=rel)
        assert theirs["mdc_cas"] == pytest.approx(ours["mdc_cas"], rel=rel)
