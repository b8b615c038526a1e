"""What every detector must hold, whoever ships it."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import fields, is_dataclass
from importlib.metadata import entry_points
from typing import Any

import numpy as np
import pytest
import torch

from tadtune.spec.fields import build_config, field_infos
from trainables.contracts import as_module
from trainables.detections import Detections, FrameScores
from trainables.evaluation.frames.scores import check_frame_scores
from trainables.records import VIEWS, Batch, RawOutput, SegmentTargets

POINTS = [p for p in entry_points(group="tadtune.detectors") if p.value.startswith("trainables.")]

SMALL_X3D: dict[str, Any] = {"backbone.width": 1.0, "backbone.depth": 1.0, "backbone.fc1": 256}

#: Where the paper's size would only cost time: half a second for every copy of 340 MB.
SMALLER: dict[str, dict[str, Any]] = {
    "r_c3d_frames": {"trunk.width": 64, "rpn.width": 64},
    "sp_tad": {"width": 32, "num_heads": 2, "soi.resolution": 4},
    "sp_tad_frames": {"width": 32, "num_heads": 2, "soi.resolution": 4},
    "x3d": SMALL_X3D,
    "slowfast_det": SMALL_X3D,
    "coarse_fine": SMALL_X3D,
}


@pytest.fixture(params=POINTS, ids=lambda p: p.name)
def config(request: pytest.FixtureRequest) -> Any:
    point = request.param
    return build_config(point.load(), SMALLER.get(point.name, {}), where="detector")


def _batch(config: Any) -> Batch:
    generator = torch.Generator().manual_seed(0)
    full = config.supervision == "segments"
    return Batch(
        video_ids=("a", "b"),
        valid_mask=torch.arange(32).expand(2, 32) < torch.tensor([[32], [25]]),
        seconds_per_sample=torch.full((2,), 0.5, dtype=torch.float64),
        start_s=torch.zeros(2, dtype=torch.float64),
        video_labels=torch.eye(2, 3),
        feats=torch.randn(2, 8, 32, generator=generator) if config.inputs == "feats" else None,
        frames=torch.rand(2, 3, 32, 32, 32, generator=generator) * 255 if config.inputs == "frames" else None,
        segments=tuple(SegmentTargets(torch.tensor([[3.0, 9.0]]), torch.tensor([i])) for i in range(2))
        if full
        else None,
        frame_labels=_frame_labels() if full else None,
    )


def _frame_labels() -> torch.Tensor:
    """(2, 32, 3) of the segments above."""
    inside = (torch.arange(32) >= 3) & (torch.arange(32) < 9)
    return torch.eye(3)[:2, None, :] * inside[None, :, None]


def _build(config: Any) -> Any:
    torch.manual_seed(0)
    return config.build(feat_dim=8, num_classes=3)


@pytest.mark.parametrize("point", POINTS, ids=lambda p: p.name)
def test_configurations_load_without_torch(point: Any) -> None:
    code = f"import {point.module}, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("point", POINTS, ids=lambda p: p.name)
def test_configurations_say_what_they_are(point: Any) -> None:
    cls = point.load()
    assert is_dataclass(cls)
    assert cls.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert cls.key == point.name
    assert cls.supervision in ("none", "video_labels", "segments")
    assert getattr(cls, "answers", "detections") in ("detections", "frame_scores")
    assert set(cls.views) <= set(VIEWS)
    assert fields(cls)
    for path, info in field_infos(cls).items():
        assert info.doc, f"{path} says nothing"
        assert info.source, f"{path} has no source"
        assert info.acts in ("training", "inference")
        if info.search is not None:
            low, high = info.search
            assert low < high, path
            assert info.default is None or low <= info.default <= high, f"{path}: default outside its search range"
            assert not info.log or low > 0, path
        if info.choices is not None:
            assert info.default in info.choices, f"{path}: default is no choice"


def test_outputs_offer_the_views_that_are_declared(config: Any) -> None:
    model = _build(config).train()
    outputs = model(_batch(config))
    for view in VIEWS:
        assert (getattr(outputs, view) is not None) == (view in config.views), view
    if outputs.segments is not None and len(outputs.segments.labels):
        assert outputs.segments.ends_grid.requires_grad, "what tasks pull at"
    if outputs.feats is not None:
        assert outputs.feats.shape[0] == 2
        assert outputs.feats.shape[2] == outputs.valid_mask.shape[1]
    for name, tensor in outputs.raw.items():
        assert tensor.shape[0] == 2, name
        assert not tensor.requires_grad, f"{name} keeps the graph alive"


def test_losses_are_those_of_the_phases(config: Any) -> None:
    data = _batch(config)
    for number, phase in enumerate(config.phases()):
        model = _build(config).train()
        for begun in config.phases()[: number + 1]:
            if hasattr(model, "begin_phase"):
                model.begin_phase(begun.name, lambda split, sampling: [data])
        losses = model.losses(model(data), data, tuple(phase.loss_weights))
        assert losses.keys() == phase.loss_weights.keys()
        assert all(value.dim() == 0 and torch.isfinite(value) for value in losses.values())
        names = [name for name, _ in as_module(model).named_parameters()]
        for prefix in (*phase.frozen, *phase.lr_multipliers):
            assert any(name.startswith(prefix) for name in names), prefix
    with pytest.raises(ValueError, match="no loss"):
        model.losses(model(data), data, ("no_such_loss",))


def test_the_same_seed_gives_the_same_network(config: Any) -> None:
    a, b = (_build(config).state_dict() for _ in range(2))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_weights_load_safely(config: Any) -> None:
    model = _build(config)
    stream = io.BytesIO()
    torch.save(model.state_dict(), stream)
    stream.seek(0)
    outcome = model.load_state_dict(torch.load(stream, weights_only=True))
    assert not outcome.missing_keys
    assert not outcome.unexpected_keys


def test_detection_is_deterministic_and_names_every_video(config: Any) -> None:
    model = _build(config).eval()
    with torch.no_grad():
        outputs = model(_batch(config))
    raw = [
        RawOutput(v, 0.0, 0.5, int(n), 16.0, {name: t[i] for name, t in outputs.raw.items()})
        for i, (v, n) in enumerate(zip(("a", "b"), (32, 25), strict=True))
    ]
    first, second = model.detect(raw, config), model.detect(raw, config)
    assert first.video_ids == ("a", "b")
    assert np.array_equal(first.scores, second.scores)
    assert first.scores.dtype == np.float64
    if getattr(config, "answers", "detections") == "frame_scores":
        _check_frames(first)
    else:
        _check_segments(first, second)


def _check_frames(found: Any) -> None:
    """Every real sample has a score, at its middle."""
    assert isinstance(found, FrameScores)
    check_frame_scores(found, 3)
    assert np.array_equal(np.diff(found.first_frame), [32, 25])
    assert np.allclose(found.times_s[:3], [0.25, 0.75, 1.25])


def _check_segments(first: Any, second: Any) -> None:
    assert isinstance(first, Detections)
    assert np.array_equal(first.segments_s, second.segments_s)
    assert first.segments_s.dtype == np.float64
    assert (first.segments_s[:, 1] > first.segments_s[:, 0]).all()
    assert first.segments_s.min() >= 0
    assert first.segments_s.max() <= 16.0
    assert first.labels.max() < 3
