"""CleanNet's classification of snippets as tasks: what takes part, what learns, what it does to scores."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.aux_tasks.positive_snippet_cls.config import Config as PositiveConfig
from trainables.aux_tasks.scp_sap_cls.config import Config as ScpSapConfig
from trainables.aux_tasks.scp_sap_cls.task import STORED, class_prior
from trainables.detections import Detections
from trainables.records import Batch, Outputs, RawOutput, SegmentView

K, T = 2, 6


def build(config: Any) -> Any:
    """With weights that read the first K channels as class logits and the last one as attention."""
    task = config.build(host=None, feat_channels=K + 1, num_classes=K).double()
    with torch.no_grad():
        for parameter in task.parameters():
            parameter.zero_()
        task.heads.classifier.weight[:, :K] = torch.eye(K, dtype=torch.float64)
        task.heads.attention.weight[0, K] = 1.0
    return task


def host(segments: list[tuple[int, float, float, float]], num: int = 1, valid: int = T) -> tuple[Outputs, Batch]:
    """Snippets whose probability of class 0 is 0.2, 0.3, ..., all with the same attention; rows (input, start, end,
    score) of segments."""
    probs = torch.linspace(0.2, 0.7, T, dtype=torch.float64)
    feats = torch.stack([probs.log(), (1 - probs).log(), torch.zeros(T, dtype=torch.float64)])
    table = torch.tensor(segments, dtype=torch.float64).reshape(-1, 4)
    view = SegmentView(
        input_index=table[:, 0].long(),
        ends_grid=table[:, 1:3].clone().requires_grad_(),
        labels=torch.zeros(len(table), dtype=torch.long),
        scores=table[:, 3],
    )
    mask = torch.arange(T).expand(num, T) < valid
    outputs = Outputs(valid_mask=mask, feats=feats.expand(num, -1, -1).clone().requires_grad_(), segments=view)
    batch = Batch(
        video_ids=tuple(f"v{i}" for i in range(num)),
        valid_mask=mask,
        seconds_per_sample=torch.ones(num),
        start_s=torch.zeros(num),
        video_labels=torch.eye(K, dtype=torch.float64)[torch.zeros(num, dtype=torch.long)],
    )
    return outputs, batch


def test_all_valid_snippets_classify_the_video() -> None:
    outputs, batch = host([], valid=3)
    found = build(ScpSapConfig()).losses(outputs, batch)["scp_sap_cls"]
    assert found.item() == pytest.approx(-math.log((0.2 + 0.3 + 0.4) / 3))


def test_snippets_inside_the_best_segments_classify_the_video() -> None:
    # centres 1.5 and 2.5 of the better segment, 4.5 of the other one
    outputs, batch = host([(0, 4.2, 5.0, 0.1), (0, 1.0, 3.0, 0.9)])
    every = build(PositiveConfig()).losses(outputs, batch)["positive_snippet_cls"]
    assert every.item() == pytest.approx(-math.log((0.3 + 0.4 + 0.6) / 3))
    best = build(PositiveConfig(top=1)).losses(outputs, batch)["positive_snippet_cls"]
    assert best.item() == pytest.approx(-math.log((0.3 + 0.4) / 2))


def test_an_input_without_segments_is_classified_from_all_its_snippets() -> None:
    outputs, batch = host([(1, 5.0, 6.0, 1.0)], num=2, valid=4)
    # the second input's segment lies on padding, which is no snippet
    found = build(PositiveConfig()).losses(outputs, batch)["positive_snippet_cls"]
    assert found.item() == pytest.approx(-math.log((0.2 + 0.3 + 0.4 + 0.5) / 4))


def test_snippets_outside_segments_and_their_ends_get_no_gradient() -> None:
    outputs, batch = host([(0, 1.0, 3.0, 1.0)])
    build(PositiveConfig()).losses(outputs, batch)["positive_snippet_cls"].backward()
    assert outputs.feats is not None
    assert outputs.feats.grad is not None
    assert outputs.segments is not None
    assert outputs.feats.grad.abs().sum(dim=1)[0].bool().tolist() == [False, True, True, False, False, False]
    assert outputs.segments.ends_grid.grad is None


def raw(video: int, num_samples: int, probs: list[float]) -> RawOutput:
    return RawOutput(f"v{video}", 0.0, 1.0, num_samples, 100.0, {STORED: torch.tensor(probs, dtype=torch.float64)})


def test_what_is_stored_is_the_class_distribution() -> None:
    outputs, _ = host([], num=2, valid=5)
    stored = build(ScpSapConfig()).raw(outputs)[STORED]
    assert stored[0].tolist() == pytest.approx([0.4, 0.6])
    assert not stored.requires_grad


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 9), st.floats(0, 1)), min_size=1, max_size=8))
def test_a_video_s_classes_are_the_mean_over_its_samples(windows: list[tuple[int, int, float]]) -> None:
    windows = [*windows, *((v, 1, 0.5) for v in range(3))]
    found = class_prior(["v0", "v1", "v2"], [raw(v, n, [p, 1 - p]) for v, n, p in windows])
    for video in range(3):
        samples = [p for v, n, p in windows if v == video for _ in range(n)]
        assert found[video, 0] == pytest.approx(max(np.mean(samples), 1e-8))


def test_detections_of_unlikely_classes_fall_behind() -> None:
    found = Detections(
        ("v0", "v1"),
        np.array([0, 0, 1, 1]),
        np.tile([0.0, 1.0], (4, 1)),
        np.array([0, 1, 0, 1]),
        np.array([0.8, 0.8, -0.1, 0.0]),
    )
    stored = [raw(1, 4, [0.5, 0.5]), raw(0, 4, [0.9, 0.1])]
    task = build(ScpSapConfig())
    moved = task.rescore(found, stored, ScpSapConfig())
    assert moved.scores.tolist() == pytest.approx([0.72, 0.08, -0.2, 0.0])
    squared = task.rescore(found, stored, ScpSapConfig(eta=2.0))
    assert squared.scores.tolist() == pytest.approx([0.648, 0.008, -0.4, 0.0])
    unused = task.rescore(found, stored, ScpSapConfig(eta=0.0))
    assert unused.scores.tolist() == found.scores.tolist()


def test_missing_labels_are_said() -> None:
    outputs, batch = host([(0, 1.0, 3.0, 1.0)])
    for config in (ScpSapConfig(), PositiveConfig()):
        with pytest.raises(ValueError, match="video labels"):
            build(config).losses(outputs, replace(batch, video_labels=None))
