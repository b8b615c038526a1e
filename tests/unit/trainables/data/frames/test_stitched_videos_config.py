"""What the builder makes is what the data set reads: every frame handed out has the label of what it shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from encoded_videos import encode

from trainables.config import FrameInput, Sampling
from trainables.data.frames.config import Config
from trainables.data.stitched.videos import VideoStitchSettings, frame_plan, stitch_videos
from trainables.data.video.reader import VideoReader

GREY = {"jump": 40, "run": 110, "idle": 180, "wait": 230}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Videos of grey clips, a level for each class, and the clips of two classes."""
    folder = tmp_path_factory.mktemp("data")
    for label, grey in GREY.items():
        (folder / "clips" / label).mkdir(parents=True)
        for number in range(6):
            frames = np.full((10 + 3 * number, 32, 32, 3), grey, np.uint8)
            encode(folder / "clips" / label / f"v_{number}.mp4", frames, fps=20)
    plan, rate = frame_plan(
        20, class_names=("jump", "run"), num_videos=(4, 2, 2), num_snippets=(80, 120), max_snippets=20, seed=3
    )
    with VideoReader() as reader:
        settings = VideoStitchSettings(plan, rate, height=32, width=32, trimmed=True)
        stitch_videos(folder / "clips", folder / "stitched_videos", settings, reader)
    return folder


def test_frames_of_stitched_videos_have_the_labels_of_what_they_show(root: Path) -> None:
    config = Config()
    config.prepare(root)
    dataset = config.open(root)
    levels = np.asarray([GREY["jump"], GREY["run"], GREY["idle"], GREY["wait"]])
    frames_at = FrameInput(fps=20, size=(20, 20), crop=(16, 16))
    sampling = Sampling("window", "window", 48, window_stride=(16, 48), both_ways=True, frames=frames_at)
    frames = 0
    for split in ("train", "select", "test"):
        for batch in dataset.batches(
            split,
            sampling=sampling,
            batch_size=4,
            supervision="segments",
            seed=0,
            epoch=0 if split == "train" else None,
        ):
            greys = batch.frames.float().mean(dim=(1, 3, 4)).numpy()
            assert np.abs(greys[..., None] - levels).min(-1).max() < 8
            shown = np.abs(greys[..., None] - levels).argmin(-1)
            labels = batch.frame_labels.numpy()
            for number in (0, 1):
                assert (labels[..., number].astype(bool) == ((shown == number) & batch.valid_mask.numpy())).all()
            frames += batch.valid_mask.sum().item()
    assert frames >= 8 * 80


def test_trimmed_clips_are_a_split_of_their_own(root: Path) -> None:
    config = Config()
    plain = Config(store="stitched_videos/trimmed")  # a data set like any other
    config.prepare(root)
    assert config.has_trimmed(root)
    assert not plain.has_trimmed(root)
    assert config.digest(root) != plain.digest(root)
    assert config.remarks(root) == ()
    frames_at = FrameInput(fps=20, size=20, crop=(16, 16))
    sampling = Sampling("clip", "native", 8, frames=frames_at)
    arguments: Any = {"sampling": sampling, "supervision": "segments", "seed": 0, "epoch": 0, "batch_size": 4}
    dataset = config.open(root)
    batches = list(dataset.batches("trimmed", **arguments))
    assert sum(len(batch.video_ids) for batch in batches) == 6, "half of each class's six clips are training's"
    for batch in batches:
        greys = batch.frames.float().mean(dim=(1, 3, 4))
        for number, label in enumerate(("jump", "run")):
            labelled = batch.frame_labels[..., number] > 0
            assert labelled.sum() == (((greys - GREY[label]).abs() < 8) & batch.valid_mask).sum()
        assert (batch.frame_labels.sum(2) == batch.valid_mask).all(), "an action from beginning to end"
    assert {name for batch in batches for name in batch.video_ids}.isdisjoint(dataset.video_ids("train"))


def test_clips_that_do_not_belong_to_the_videos_are_refused(root: Path) -> None:
    annotations = root / "stitched_videos/trimmed/annotations.json"
    text = annotations.read_text()
    other_class = ("run", "walk"), "have the classes jump, walk, the videos jump, run"
    other_split = ('"train"', '"test"'), "clip 'clip_00000' is in 'test'; clips are all in train"
    for change, words in (other_class, other_split):
        annotations.write_text(text.replace(*change))
        with pytest.raises(ValueError, match=words):
            Config().prepare(root)
    annotations.write_text(text)
