"""R-C3D and PBRNet with the tasks of Three Birds on a CUDA device."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from trainables.aux_tasks.lce.config import Config as Lce
from trainables.aux_tasks.mac.config import Config as Mac
from trainables.aux_tasks.refine.config import Config as Refine
from trainables.contracts import TaskBase
from trainables.detectors.pbrnet.config import Config as PbrNet
from trainables.detectors.pbrnet.settings import Match, Net
from trainables.detectors.r_c3d.config import Config as RC3DFeatures
from trainables.detectors.r_c3d.settings import Anchors, Rpn, Trunk
from trainables.detectors.r_c3d_frames.config import Backbone
from trainables.detectors.r_c3d_frames.config import Config as RC3DFrames
from trainables.records import Batch, RawOutput, SegmentTargets

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

SMALL: dict[str, Any] = {"anchors": Anchors(scales=(2.0, 4.0, 8.0)), "rpn": Rpn(width=16), "trunk": Trunk(width=16)}
HOSTS: dict[str, Any] = {
    "r_c3d": RC3DFeatures(**SMALL),
    "pbrnet": PbrNet(net=Net(width=16, roi_width=16), match=Match(cpd_tiou=0.1, rpd_tiou=0.1, fgd_tiou=0.1)),
}


def batch(frames: bool = False) -> Batch:
    return Batch(
        video_ids=("a", "b"),
        valid_mask=torch.arange(64).expand(2, 64) < torch.tensor([[64], [50]]),
        seconds_per_sample=torch.full((2,), 0.5, dtype=torch.float64),
        start_s=torch.zeros(2, dtype=torch.float64),
        feats=None if frames else torch.randn(2, 12, 64),
        frames=torch.randint(0, 256, (2, 3, 64, 16, 16), dtype=torch.uint8) if frames else None,
        segments=tuple(SegmentTargets(torch.tensor([[4.0, 20.0], [24.0, 48.0]]), torch.tensor([i, 2])) for i in (0, 1)),
    )


def attached(model: Any) -> dict[str, TaskBase]:
    configs: dict[str, Any] = {"lce": Lce(voting=True), "mac": Mac(), "refine": Refine()}
    tasks = {name: c.build(host=model, feat_channels=0, num_classes=3) for name, c in configs.items()}
    tasks["refine"].meet(tasks)
    return tasks


@pytest.mark.parametrize("name", HOSTS)
def test_refined_detections_are_those_of_the_cpu(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    torch.manual_seed(0)
    config, data = HOSTS[name], replace(batch(), segments=None)
    model = config.build(feat_dim=12, num_classes=3).eval()
    modules = torch.nn.ModuleDict({"host": model, **attached(model)}).eval()
    found = {}
    for device in ("cpu", "cuda"):
        modules.to(device)
        moved = data.to(device)
        with torch.no_grad():
            outputs = modules["refine"].refine(model(moved), moved)
            raw = {key: t.cpu() for key, t in {**outputs.raw, **modules["lce"].raw(outputs)}.items()}
        inputs = [
            RawOutput(v, 0.0, 0.5, n, 32.0, {key: t[i] for key, t in raw.items()})
            for i, (v, n) in enumerate((("a", 64), ("b", 50)))
        ]
        found[device] = modules["lce"].rescore(model.detect(inputs, config), inputs, Lce(voting=True))
    assert len(found["cpu"].scores) > 10
    assert found["cpu"].segments_s == pytest.approx(found["cuda"].segments_s, abs=1e-2)
    assert found["cpu"].scores == pytest.approx(found["cuda"].scores, abs=1e-4)


FRAMES = RC3DFrames(**SMALL, backbone=Backbone(precision="bfloat16", recompute=True))


@pytest.mark.parametrize(("name", "config"), [*HOSTS.items(), ("r_c3d_frames", FRAMES)])
def test_a_step_with_all_tasks_has_finite_losses_and_gradients(name: str, config: Any) -> None:
    torch.manual_seed(0)
    model = config.build(feat_dim=12, num_classes=3).to("cuda").train()
    tasks = {key: task.to("cuda").train() for key, task in attached(model).items()}
    data = batch(frames=name == "r_c3d_frames").to("cuda")
    outputs = model(data)
    (phase,) = config.phases()
    losses = dict(model.losses(outputs, data, tuple(phase.loss_weights)))
    for task in tasks.values():
        losses |= task.losses(outputs, data)
    torch.stack([value.float() for value in losses.values()]).sum().backward()
    assert all(torch.isfinite(value) and value.device.type == "cuda" for value in losses.values())
    for module in (model, *tasks.values()):
        assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in module.parameters())
