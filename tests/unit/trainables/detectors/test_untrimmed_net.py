"""UntrimmedNet: runs above the threshold, gradients, what it does not read."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.detectors.untrimmed_net.config import Cls, Config, Infer
from trainables.detectors.untrimmed_net.detect import runs
from trainables.records import Batch, RawOutput, SegmentTargets

PLAIN = Config(cls=Cls(dropout=0.0), infer=Infer(smooth=False))


def batch(num: int = 3, length: int = 12) -> Batch:
    generator = torch.Generator().manual_seed(5)
    return Batch(
        video_ids=tuple(f"v{i}" for i in range(num)),
        valid_mask=torch.ones(num, length, dtype=torch.bool),
        seconds_per_sample=torch.full((num,), 0.5, dtype=torch.float64),
        start_s=torch.zeros(num, dtype=torch.float64),
        video_labels=torch.eye(3)[torch.arange(num) % 3],
        feats=torch.randn(num, 8, length, generator=generator),
    )


def build(config: Config = PLAIN) -> Any:
    torch.manual_seed(0)
    return config.build(feat_dim=8, num_classes=3).train()


def raw(scp: list[list[float]], probs: list[float]) -> RawOutput:
    tensors = {"scp": torch.tensor(scp), "class_probs": torch.tensor(probs)}
    return RawOutput("v", 0.0, 0.5, len(scp[0]), 100.0, tensors)


def test_every_parameter_gets_a_gradient() -> None:
    model, data = build(), batch()
    model.losses(model(data), data, ("class",))["class"].backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in model.parameters())


def test_boundaries_are_never_read() -> None:
    model, data = build(), batch()
    targets = tuple(SegmentTargets(torch.tensor([[1.0, 5.0]]), torch.tensor([0])) for _ in data.video_ids)
    scrambled = dataclasses.replace(data, segments=targets, frame_labels=torch.ones(3, 12, 3))
    losses = [model.losses(model(d), d, ("class",))["class"] for d in (data, scrambled)]
    assert torch.equal(*losses)


def test_runs_above_half_of_the_maximum_golden() -> None:
    found = build().detect([raw([[0.1, 0.6, 0.8, 0.4, 0.1, 0.5, 0.1], [0.3] * 7, [0.1] * 7], [0.9, 0.06, 0.04])], PLAIN)
    # above 0.4: snippets 1 to 2 (mean 0.7) and 5; 0.4 itself does not count; score = mean + 0.2 class probability
    assert found.segments_s.tolist() == [[0.5, 1.5], [2.5, 3.0]]
    assert found.scores.tolist() == pytest.approx([0.7 + 0.18, 0.5 + 0.18])
    assert found.labels.tolist() == [0, 0]


def test_smoothing_is_the_mean_with_the_next_snippet() -> None:
    config = dataclasses.replace(PLAIN, infer=Infer(smooth=True, cls_weight=0.0))
    found = build().detect([raw([[0.0, 0.0, 1.0, 0.0, 0.8]], [1.0])], config)
    # smoothed: 0, 1/2, 1/2, 2/5, 4/5; above 2/5: [1, 3) and [4, 5)
    assert found.segments_s.tolist() == [[2.0, 2.5], [0.5, 1.5]]
    assert found.scores.tolist() == pytest.approx([0.8, 0.5])


def test_a_video_without_a_likely_class_shows_its_best_one() -> None:
    found = build().detect([raw([[0.1, 0.5]] * 3, [0.05, 0.09, 0.08])], PLAIN)
    assert found.labels.tolist() == [1]


@given(st.lists(st.lists(st.booleans(), min_size=7, max_size=7), min_size=1, max_size=4))
def test_runs_against_a_loop(above: list[list[bool]]) -> None:
    expected = []
    for row, values in enumerate(above):
        start = None
        for t, value in enumerate([*values, False]):
            if value and start is None:
                start = t
            elif not value and start is not None:
                expected.append((row, float(start), float(t)))
                start = None
    row, ends = runs(torch.tensor(above))
    assert [(r, *e) for r, e in zip(row.tolist(), ends.tolist(), strict=True)] == expected


def test_what_is_missing_is_said() -> None:
    model, data = build(), batch()
    with pytest.raises(ValueError, match="the batch has none"):
        model(dataclasses.replace(data, feats=None))
    with pytest.raises(ValueError, match="needs video labels"):
        model.losses(model(data), dataclasses.replace(data, video_labels=None), ("class",))
    with pytest.raises(ValueError, match="no loss contrast; this detector has class"):
        model.losses(model(data), data, ("contrast",))
