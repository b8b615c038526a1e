"""What every auxiliary task must hold, whoever ships it."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import entry_points
from typing import Any

import pytest
import torch

from tadtune.spec.fields import build_config, field_infos
from trainables.contracts import TaskBase
from trainables.records import VIEWS, Batch, Outputs, SegmentTargets, SegmentView

POINTS = [p for p in entry_points(group="tadtune.tasks") if p.value.startswith("trainables.")]
HOSTS = {p.name: p for p in entry_points(group="tadtune.detectors") if p.value.startswith("trainables.")}
VIEW_TASKS = [p for p in POINTS if "rois" not in p.load().requires]
ROI_PAIRS = [
    (p, name)
    for p in POINTS
    if "rois" in p.load().requires
    for name, host in HOSTS.items()
    if "rois" in host.load().views and host.load().inputs == "feats"
]

#: Where a host's published size would only cost time.
SMALLER: dict[str, dict[str, Any]] = {"sp_tad": {"width": 32, "num_heads": 2, "soi.resolution": 4}}


@pytest.fixture(params=VIEW_TASKS, ids=lambda p: p.name)
def config(request: pytest.FixtureRequest) -> Any:
    """A task that reads nothing but views."""
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
        frames=torch.rand(2, 3, 16, 2, 4, generator=generator),
        frame_labels=torch.eye(3)[:2, None].expand(2, 16, 3),
    )
    segments = SegmentView(
        input_index=torch.tensor([0, 0, 1]),
        ends_grid=torch.tensor([[2.3, 7.1], [8.0, 12.5], [1.2, 9.4]], requires_grad=True),
        labels=torch.tensor([0, 0, 1]),
        scores=torch.tensor([0.9, 0.5, 0.7]),
    )
    cas = torch.randn(2, 3, 16, generator=generator)
    views = {"feats": feats, "cas_logits": cas, "frame_logits": _on_frames(batch).frame_logits, "segments": segments}
    return Outputs(valid_mask=valid, **views), batch


def _on_frames(batch: Batch) -> Outputs:
    """A host that reads frames: a frame's mean colours are its logits."""
    assert batch.frames is not None
    return Outputs(batch.valid_mask, frame_logits=batch.frames.mean(dim=(3, 4)).transpose(1, 2).requires_grad_())


def _begun(config: Any) -> Any:
    """The task before its first epoch, beside a host that returns its input."""
    task = config.build(host=_on_frames, feat_channels=8, num_classes=3)
    generator = torch.Generator().manual_seed(1)
    clips = replace(_host()[1], feats=torch.randn(2, 8, 16, generator=generator))
    task.begin_epoch(lambda batch: Outputs(batch.valid_mask, feats=batch.feats), lambda split, sampling: [clips])
    return task


@pytest.mark.parametrize("point", POINTS, ids=lambda p: p.name)
def test_configurations_say_what_they_need(point: Any) -> None:
    config = point.load()()
    assert set(config.requires) <= set(VIEWS)
    assert config.supervision in ("none", "video_labels", "segments")
    assert all(info.doc and info.source for info in field_infos(config).values())
    assert "weight" in field_infos(config)
    assert set(getattr(config, "beside", ())) <= {p.name for p in POINTS} - {point.name}


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
        assert (gradient is not None and bool(gradient.any())) == (view not in getattr(config, "detached", ())), view


def test_a_missing_view_is_said(config: Any) -> None:
    task = _begun(config)
    outputs, batch = _host()
    with pytest.raises(ValueError, match="needs"):
        task.losses(Outputs(valid_mask=outputs.valid_mask), batch)


class Attached:
    """A task of regions on a real detector, with those it builds upon."""

    def __init__(self, point: Any, detector: str) -> None:
        torch.manual_seed(0)
        self.config = point.load()()
        host = build_config(HOSTS[detector].load(), SMALLER.get(detector, {}), where="detector")
        self.model: Any = host.build(feat_dim=8, num_classes=3)
        others = {p.name: p.load()() for p in POINTS if p.name in getattr(self.config, "beside", ())}
        self.beside = {name: self._build(config) for name, config in others.items()}
        self.task = self._build(self.config)
        self.task.meet(self.beside)

    def _build(self, config: Any) -> TaskBase:
        task: TaskBase = config.build(host=self.model, feat_channels=0, num_classes=3)
        return task

    @staticmethod
    def batch() -> Batch:
        generator = torch.Generator().manual_seed(0)
        return Batch(
            video_ids=("a", "b"),
            valid_mask=torch.arange(32).expand(2, 32) < torch.tensor([[32], [25]]),
            seconds_per_sample=torch.full((2,), 0.5, dtype=torch.float64),
            start_s=torch.zeros(2, dtype=torch.float64),
            feats=torch.randn(2, 8, 32, generator=generator, requires_grad=True),
            segments=tuple(
                SegmentTargets(torch.tensor([[3.0, 9.0 + i], [12.0, 22.5]]), torch.tensor([i, 2])) for i in range(2)
            ),
        )


@pytest.fixture(params=ROI_PAIRS, ids=lambda pair: f"{pair[0].name}-{pair[1]}")
def attached(request: pytest.FixtureRequest) -> Attached:
    return Attached(*request.param)


def test_tasks_of_regions_learn_together_with_their_host(attached: Attached) -> None:
    model, task, batch = attached.model.train(), attached.task.train(), attached.batch()
    outputs = model(batch)
    losses = task.losses(outputs, batch)
    assert losses.keys() == attached.config.loss_weights().keys()
    assert all(value.dim() == 0 and torch.isfinite(value) for value in losses.values())
    sum(losses.values()).backward()  # type: ignore[union-attr]
    assert list(task.parameters())
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in task.parameters())
    shared = [batch.feats, *model.parameters()]  # a host of features may have no weights before the shared map
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in shared), "the host feels it"
    own = {id(p) for p in task.parameters()}
    others = [model, *attached.beside.values()]
    assert not own & {id(p) for other in others for p in other.parameters()}, "weights that count twice"


def test_what_tasks_of_regions_store_goes_with_the_inputs(attached: Attached) -> None:
    model, task, batch = attached.model.eval(), attached.task.eval(), attached.batch()
    with torch.no_grad():
        outputs = model(replace(batch, segments=None))
        refined = task.refine(outputs, batch)
        stored = {**refined.raw, **task.raw(refined)}
    assert outputs.raw.keys() <= stored.keys()
    assert all(len(tensor) == 2 and not tensor.requires_grad for tensor in stored.values())
    assert all(refined.raw[name].shape == tensor.shape for name, tensor in outputs.raw.items())


def test_tasks_of_regions_say_what_they_lack(attached: Attached) -> None:
    batch = attached.batch()
    with pytest.raises(ValueError, match="needs"):
        attached.task.losses(Outputs(valid_mask=batch.valid_mask), batch)
