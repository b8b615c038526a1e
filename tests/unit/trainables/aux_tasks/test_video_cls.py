"""Classification of clips as a task beside any host."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from trainables.aux_tasks.video_cls.config import Config
from trainables.aux_tasks.video_cls.task import STORED, VideoCls, probs_of_detections
from trainables.detections import Detections
from trainables.records import Batch, Outputs, RawOutput, SegmentTargets


def task() -> VideoCls:
    torch.manual_seed(0)
    built = Config().build(host=None, feat_channels=4, num_classes=3)
    assert isinstance(built, VideoCls)
    return built


def host() -> tuple[Outputs, Batch]:
    mask = torch.arange(6) < torch.tensor([[6], [4]])
    feats = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(0))
    batch = Batch(
        video_ids=("a", "b"),
        valid_mask=mask,
        seconds_per_sample=torch.ones(2),
        start_s=torch.zeros(2),
        video_labels=torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]),
    )
    return Outputs(valid_mask=mask, feats=feats), batch


def test_the_classes_of_the_clip_come_first_then_those_of_the_video() -> None:
    module, (outputs, batch) = task(), host()
    assert outputs.feats is not None
    means = torch.stack([outputs.feats[0].mean(dim=1), outputs.feats[1, :, :4].mean(dim=1)])
    p = torch.sigmoid(means @ module.classify.weight.T + module.classify.bias)
    # the first video also shows class 2, this clip of it does not; the second clip shows nothing
    inside = tuple(SegmentTargets(torch.zeros(n, 2), torch.zeros(n, dtype=torch.long)) for n in (2, 0))
    for segments, rows in ((None, [[1, 0, 1], [0, 1, 0]]), (inside, [[1, 0, 0], [0, 0, 0]])):
        y = torch.tensor(rows, dtype=torch.float32)
        expected = -(y * p.log() + (1 - y) * (1 - p).log()).mean()
        found = module.losses(outputs, dataclasses.replace(batch, segments=segments))["video_cls"]
        torch.testing.assert_close(found, expected)
    torch.testing.assert_close(module.raw(outputs)[STORED], p.detach())
    with pytest.raises(ValueError, match="needs segments or video labels"):
        module.losses(outputs, dataclasses.replace(batch, video_labels=None))


def clip(video: str, start_s: float, probs: tuple[float, float, float]) -> RawOutput:
    return RawOutput(video, start_s, 0.5, 20, 30.0, {STORED: torch.tensor(probs)})


def test_the_clip_that_shows_most_of_a_detection_judges_it() -> None:
    raw = [clip("a", 0.0, (0.5, 0.25, 1.0)), clip("a", 5.0, (0.1, 0.75, 0.0)), clip("b", 0.0, (0.0, 0.2, 0.3))]
    found = Detections(
        ("a", "b"),
        np.array([0, 0, 0, 0, 1, 1]),
        # clips are [0, 10] and [5, 15]: more in the second, in the first alone, in both alike, and behind them
        np.array([[4.0, 12.0], [0.0, 3.0], [6.0, 8.0], [7.0, 20.0], [1.0, 2.0], [20.0, 25.0]]),
        np.array([1, 1, 0, 2, 2, 0]),
        np.array([0.8, 0.8, 0.6, 0.6, -0.3, 0.4]),
    )
    probs = probs_of_detections(found, raw)
    np.testing.assert_allclose(probs, [0.75, 0.25, 0.5, 1e-8, 0.3, 1e-8], rtol=1e-6)
    rescored = task().rescore(found, raw, Config())
    np.testing.assert_allclose(rescored.scores, [0.6, 0.2, 0.3, 6e-9, -1.0, 4e-9], rtol=1e-6)
    assert rescored.segments_s is found.segments_s
    np.testing.assert_allclose(task().rescore(found, raw, Config(power=0.0)).scores, found.scores)
