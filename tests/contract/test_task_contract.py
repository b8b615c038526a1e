"""What every auxiliary task must hold, whoever ships it."""

from __future__ import annotations

from dataclasses import replace
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
    segments = SegmentView(
        input_index=torch.tensor([0, 0, 1]),
        ends_grid=torch.tensor([[2.3, 7.1], [8.0, 12.5], [1.2, 9.4]], requires_grad=True),
        labels=torch.tensor([0, 0, 1]),
        scores=torch.tensor([0.9, 0.5, 0.7]),
    )
    cas = torch.randn(2, 3, 16, generator=generator)
    return Outputs(valid_mask=valid, feats=feats, cas_logits=cas, segments=segments), batch


def _begun(config: Any) -> Any:
    """The task before its first epoch, beside a host that returns its input."""
    task = config.build(host=None, feat_channels=8, num_classes=3)
    generator = torch.Generator().manual_seed(1)
    clips = replace(_host()[1], feats=torch.randn(2, 8, 16, generator=generator))
    task.begin_epoch(lambda batch: Outputs(batch.valid_mask, feats=batch.feats), lambda split, sampling: [clips])
    return task


def test_configurations_say_what_they_need(config: Any) -> None:
    assert set(config.requires) <= set(VIEWS)
    assert config.supervision in ("none", "video_labels", "segments")
    assert all(info.doc and info.source for info in field_infos(config).values())
    assert "weight" in field_infos(config)


def test_losses_have_weights_and_reach_the_host_and_the_task(config: Any) -> None:
    torch.manual_seed(0)
    task = _begun(config)
    assert isinstance(task, TaskBase)
    outputs, batch = _host()
    losses = task.losses(outputs, batch)
    assert losses.keys() == config.loss_weights().keys()
    sum(losses.values()).backward()  # type: ignore[union-attr]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in task.parameters())
    assert outputs.feats is not None
    assert outputs.segments is not None
    reached = {"feats": outputs.feats.grad, "segments": outputs.segments.ends_grid.grad}
    for view in set(config.requires) & reached.keys():
        gradient = reached[view]
        assert gradient is not None, view
        assert gradient.abs().sum() > 0, view


def test_a_missing_view_is_said(config: Any) -> None:
    task = _begun(config)
    outputs, batch = _host()
    with pytest.raises(ValueError, match="needs"):
        task.losses(Outputs(valid_mask=outputs.valid_mask), batch)
