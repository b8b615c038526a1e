"""Detectors on X3D in a trial: they learn from frames, score whole videos, hand on their weights, and resume."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trainables.data.frames.config import Config as Videos
from trainables.data.video.encode import write_mp4
from trainables.detectors.coarse_fine.config import Config as CoarseFine
from trainables.detectors.coarse_fine.config import Fine
from trainables.detectors.x3d.config import Config as PerFrame
from trainables.detectors.x3d.settings import Backbone, Frames, FramesOptim
from trainables.detectors.x3d.two_streams import StageTwoOptim
from trainables.entrypoints.detection import DetectionTrial
from trainables.evaluation.frames.frame_map import FrameMapDense

COLOURS = {"idle": (90, 90, 90), "jump": (200, 60, 60), "run": (60, 60, 200)}
PROTOCOL = FrameMapDense(fps=10.0)
COMMON: dict[str, Any] = {
    "frames": Frames(fps=10.0, stride=2, size=32, crop=32, train_short_sides=None),
    "backbone": Backbone(width=0.5, depth=0.1, fc1=32),
    "dropout": 0.0,
}
SINGLE = PerFrame(
    clip_length=12, optim=FramesOptim("adam", epochs=12, lr=0.01, batch_size=3, lr_milestones=(8,)), **COMMON
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Videos of 4 s: background, an action, background; each of one colour, with other noise in every frame."""
    root = tmp_path_factory.mktemp("data")
    folder = root / "stitched_videos"
    (folder / "videos").mkdir(parents=True)
    generator, database = np.random.default_rng(0), {}
    for number in range(10):
        label, start, end = ("jump", "run")[number % 2], 8 + number % 4, 26 + number % 5
        colours = [COLOURS[label] if start <= frame < end else COLOURS["idle"] for frame in range(40)]
        plain = np.asarray(colours)[:, None, None, :].repeat(48, 1).repeat(64, 2)
        frames = (plain + generator.integers(-20, 20, plain.shape)).astype(np.uint8)
        write_mp4(folder / f"videos/v{number}.mp4", frames, fps=Fraction(10), height=48, width=64)
        annotations = [{"segment": [start / 10, end / 10], "label": label}]
        subset = "train" if number < 6 else "select" if number < 8 else "test"
        database[f"v{number}"] = {"subset": subset, "duration": 4.0, "annotations": annotations}
    (folder / "annotations.json").write_text(json.dumps({"database": database}))
    Videos().prepare(root)
    return root


def trial(root: Path, config: Any) -> DetectionTrial:
    return DetectionTrial(detector=config, tasks={}, dataset=Videos(), protocol=PROTOCOL, seed=0, data_root=root)


@pytest.fixture(scope="module")
def learned(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[DetectionTrial, Path]:
    """A trial of x3d, and its checkpoint."""
    run = trial(root, SINGLE)
    losses = [run.train_epoch()["loss"] for _ in range(run.num_epochs)]
    assert losses[-1] < losses[0] / 2
    path = tmp_path_factory.mktemp("x3d") / "checkpoint.pt"
    run.save(path)
    return run, path


def test_actions_of_their_own_colour_are_found(learned: tuple[DetectionTrial, Path], tmp_path: Path) -> None:
    run, _ = learned
    assert run.finish(tmp_path, {"": SINGLE})["test/frame_map"] > 0.9
    found = run.detections("test", SINGLE)
    assert found.video_ids == ("v8", "v9")
    assert np.diff(found.first_frame).tolist() == [20, 20]
    assert found.times_s[:3] == pytest.approx([0.1, 0.3, 0.5])


def test_a_fine_stream_from_that_checkpoint_stays_as_it_is_and_a_resumed_trial_is_equal_to_the_bit(
    root: Path, learned: tuple[DetectionTrial, Path], tmp_path: Path
) -> None:
    _, checkpoint = learned
    config = CoarseFine(
        clip_length=8,
        fine=Fine(str(checkpoint), length=16),
        optim=StageTwoOptim(epochs=3, lr=0.02, batch_size=3, lr_milestones=()),
        **COMMON,
    )
    whole, first, second = (trial(root, config) for _ in range(3))
    history = [dict(whole.train_epoch()) for _ in range(2)]
    first.train_epoch()
    first.save(tmp_path / "checkpoint.pt")
    second.load(tmp_path / "checkpoint.pt")
    assert dict(second.train_epoch()) == history[1]
    a, b = (run.detections("select", config) for run in (whole, second))
    assert np.array_equal(a.scores, b.scores)
    stored = torch.load(checkpoint, weights_only=True)["weights"]
    fine = whole._model.network.inner.fine.state_dict()
    assert all(torch.equal(value, stored[f"detector.network.inner.backbone.{n}"]) for n, value in fine.items())


def test_checkpoints_of_other_sizes_are_refused(root: Path, learned: tuple[DetectionTrial, Path]) -> None:
    with pytest.raises(ValueError, match="does not fit X3D in layout 'x3d_trial'"):
        trial(root, replace(SINGLE, weights=str(learned[1]), backbone=Backbone(width=1.0, depth=0.1, fc1=32)))
