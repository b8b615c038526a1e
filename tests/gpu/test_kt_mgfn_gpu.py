"""The detector on a CUDA device: the same losses and detections as on the CPU."""

from __future__ import annotations

import pytest
import torch

from trainables.detectors.kt_mgfn.config import Base, Brm, Config, Data, Ktm
from trainables.records import Batch, RawOutput

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def test_losses_and_detections_are_those_of_the_cpu() -> None:
    config = Config(
        data=Data(length=64),
        base=Base(width=32, dropout=0.0),
        ktm=Ktm(enabled=False),
        brm=Brm(width=16, oic_keep=0.2),
    )
    torch.manual_seed(0)
    model = config.build(feat_dim=16, num_classes=4).double()
    batch = Batch(
        video_ids=("a", "b"),
        valid_mask=torch.arange(64).expand(2, 64) < torch.tensor([[64], [50]]),
        seconds_per_sample=torch.full((2,), 0.5, dtype=torch.float64),
        start_s=torch.zeros(2, dtype=torch.float64),
        video_labels=torch.eye(2, 4, dtype=torch.float64),
        feats=torch.randn(2, 16, 64, dtype=torch.float64),
    )
    found = {}
    for device in ("cpu", "cuda"):
        model = model.to(device)
        moved = batch.to(device)
        losses = model.train().losses(model(moved), moved, ("class", "oic"))
        with torch.no_grad():
            raw = {name: t.cpu() for name, t in model.eval()(moved).raw.items()}
        inputs = [
            RawOutput(v, 0.0, 0.5, n, 32.0, {k: t[i] for k, t in raw.items()})
            for i, (v, n) in enumerate((("a", 64), ("b", 50)))
        ]
        found[device] = ({k: float(v.detach()) for k, v in losses.items()}, model.detect(inputs, config))
    assert found["cpu"][0] == pytest.approx(found["cuda"][0], abs=1e-8)
    assert found["cpu"][1].segments_s == pytest.approx(found["cuda"][1].segments_s, abs=1e-6)
    assert found["cpu"][1].scores == pytest.approx(found["cuda"][1].scores, abs=1e-8)
