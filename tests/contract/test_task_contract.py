"""What every auxiliary task must hold, whoever ships it."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

import pytest
import torch

from tadtune.spec.fields import field_infos
from trainables.contracts import TaskBase
from trainables.records import VIEWS, Batch, Outputs, SegmentView

POINTS = [p for p in entry_points(group="tadtune.tasks") if p.value.startswith("trainables.")]


@pytest.fixture(params=POINTS, ids=lambda p: p.name)
def config(request: pytest.FixtureRequest) -> Any:
    return request.param.load()()


def _host() -> tuple[Outputs, Batch]:
    """A host that offers features, activation sequences and segments, all with gradient."""
    generator = torch.Generator().manual_seed(0)
    valid = torch.ones(2, 16, dtype=torch.bool)
    feats = torch.randn(2, 8, 16, generator=generator, requires_grad=True)
    batch = Batch(
        video_ids=("a", "b"),
        valid_mask=valid,
        seconds_per_sample=torch.ones(2),
        start_s=torch.zeros(2),
        video_labels=torch.eye(2, 3),
    )
    cas_logits = torch.randn(2, 3, 16, generator=generator, requires_grad=True)
    ends = torch.tensor([[2.3, 7.9], [1.2, 12.4], [5.5, 9.1]], requires_grad=True)
    segments = SegmentView(torch.tensor([0, 1, 1]), ends, torch.tensor([0, 1, 1]), torch.tensor([0.9, 0.8, 0.7]))
    return Outputs(valid_mask=valid, feats=feats, cas_logits=cas_logits, segments=segments), batch


def test_configurations_say_what_they_need(config: Any) -> None:
    assert set(config.requires) <= set(VIEWS)
    assert config.supervision in ("none", "video_labels", "segments")
    assert all(info.doc and info.source for info in field_infos(config).values())
    assert "weight" in field_infos(config)


def test_losses_have_weights_and_reach_the_host_and_the_task(config: Any) -> None:
    torch.manual_seed(0)
    task = config.build(host=None, feat_channels=8, num_classes=3)
    assert isinstance(task, TaskBase)
    outputs, batch = _host()
    losses = task.losses(outputs, batch)
    assert losses.keys() == config.loss_weights().keys()
    sum(losses.values()).backward()  # type: ignore[union-attr]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in task.parameters())
    offered = {"feats": outputs.feats, "cas_logits": outputs.cas_logits}
    offered["segments"] = None if outputs.segments is None else outputs.segments.ends_grid
    grads = [offered[view].grad for view in config.requires]  # type: ignore[union-attr]
    assert any(grad is not None and grad.abs().sum() > 0 for grad in grads)


def test_a_missing_view_is_said(config: Any) -> None:
    task = config.build(host=None, feat_channels=8, num_classes=3)
    outputs, batch = _host()
    with pytest.raises(ValueError, match="needs"):
        task.losses(Outputs(valid_mask=outputs.valid_mask), batch)
