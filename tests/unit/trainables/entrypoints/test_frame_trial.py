"""A detector that reads frames is trained, scored and resumed like any other."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from trainables.config import FrameInput, Phase, Sampling
from trainables.data.frames.config import Config as Videos
from trainables.data.video.encode import write_mp4
from trainables.detections import Detections
from trainables.entrypoints.detection import DetectionTrial
from trainables.evaluation.detection.protocols import ActivityNet
from trainables.records import Batch, Outputs, RawOutput

GREY = {"idle": 60, "jump": 120, "run": 200}
PROTOCOL = ActivityNet((0.5,))


class Brightness(nn.Module):
    """Classifies every frame by its brightness; runs of one class are its detections."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.per_frame = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, num_classes + 1))

    def forward(self, batch: Batch) -> Outputs:
        assert batch.frames is not None
        assert batch.frames.dtype == torch.uint8
        means = batch.frames.float().mean(dim=(3, 4)) / 127.5 - 1.0
        return Outputs(batch.valid_mask, raw={"logits": self.per_frame(means.transpose(1, 2))})

    def losses(self, outputs: Outputs, batch: Batch, active: Collection[str]) -> Mapping[str, Tensor]:
        assert batch.frame_labels is not None
        labels = (batch.frame_labels.argmax(-1) + 1) * batch.frame_labels.any(-1)
        loss = nn.functional.cross_entropy(outputs.raw["logits"][batch.valid_mask], labels[batch.valid_mask])
        return dict.fromkeys(active, loss)

    def detect(self, raw: Sequence[RawOutput], config: Any) -> Detections:
        ids = tuple(dict.fromkeys(item.video_id for item in raw))
        rows = []
        for item in raw:
            logits = item.tensors["logits"][: item.num_samples]
            kinds = logits.argmax(-1).tolist()
            start = 0
            for frame in range(1, len(kinds) + 1):
                if frame == len(kinds) or kinds[frame] != kinds[start]:
                    if kinds[start]:
                        times = [item.start_s + at * item.seconds_per_sample for at in (start, frame)]
                        score = float(logits[start:frame].softmax(-1)[:, kinds[start]].mean())
                        rows.append((ids.index(item.video_id), *times, kinds[start] - 1, score))
                    start = frame
        table = np.asarray(rows, np.float64).reshape(-1, 5)
        return Detections(ids, table[:, 0].astype(int), table[:, 1:3], table[:, 3].astype(int), table[:, 4])


@dataclass(frozen=True)
class BrightnessConfig:
    key: ClassVar[str] = "brightness"
    supervision: ClassVar[str] = "segments"
    inputs: ClassVar[str] = "frames"
    batch_size: int = 4

    def build(self, *, feat_dim: int, num_classes: int) -> Brightness:
        assert feat_dim == 3
        return Brightness(num_classes)

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("main", 25, 0.05, {"frame_cls": 1.0}),)

    def sampling(self) -> Sampling:
        frames = FrameInput(fps=5, size=(20, 20), crop=(16, 16), mirror=True)
        return Sampling("window", "window", 20, window_stride=(5, 20), both_ways=True, min_inside=0.5, frames=frames)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Videos of 4 s: background, an action, background; of one grey each."""
    root = tmp_path_factory.mktemp("data")
    folder = root / "stitched_videos"
    (folder / "videos").mkdir(parents=True)
    database = {}
    for number in range(10):
        label, start, end = ("jump", "run")[number % 2], 5 + number % 4, 14 + number % 3
        levels = [GREY[label] if start <= frame < end else GREY["idle"] for frame in range(20)]
        frames = np.asarray(levels, np.uint8)[:, None, None, None].repeat(32, 1).repeat(32, 2).repeat(3, 3)
        write_mp4(folder / f"videos/v{number}.mp4", frames, fps=Fraction(5), height=32, width=32)
        annotations = [{"segment": [start / 5, end / 5], "label": label}]
        subset = "train" if number < 6 else "select" if number < 8 else "test"
        database[f"v{number}"] = {"subset": subset, "duration": 4.0, "annotations": annotations}
    (folder / "annotations.json").write_text(json.dumps({"database": database}))
    Videos().prepare(root)
    return root


def _trial(root: Path) -> DetectionTrial:
    return DetectionTrial(
        detector=BrightnessConfig(), tasks={}, dataset=Videos(), protocol=PROTOCOL, seed=0, data_root=root
    )


def test_actions_of_their_own_brightness_are_found_to_the_frame(root: Path, tmp_path: Path) -> None:
    run = _trial(root)
    losses = [run.train_epoch()["loss"] for _ in range(run.num_epochs)]
    assert losses[-1] < losses[0] / 4
    metrics = run.finish(tmp_path, {"": BrightnessConfig()})
    assert metrics["test/map_tiou_0.50"] == pytest.approx(1.0)
    found, truth = run.detections("test", BrightnessConfig()), run._data.ground_truth("test")
    assert np.allclose(found.segments_s, truth.segments_s)


def test_a_resumed_trial_is_equal_to_the_bit(root: Path, tmp_path: Path) -> None:
    whole, first, second = _trial(root), _trial(root), _trial(root)
    history = [dict(whole.train_epoch()) for _ in range(3)]
    first.train_epoch()
    first.save(tmp_path / "checkpoint.pt")
    second.load(tmp_path / "checkpoint.pt")
    assert [dict(second.train_epoch()) for _ in range(2)] == history[1:]
    a, b = (run.detections("select", BrightnessConfig()) for run in (whole, second))
    assert np.array_equal(a.segments_s, b.segments_s)
    assert np.array_equal(a.scores, b.scores)
