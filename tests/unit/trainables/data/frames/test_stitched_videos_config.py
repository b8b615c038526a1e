"""What the builder makes is what the data set reads: every frame handed out has the label of what it shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from encoded_videos import encode

from trainables.config import FrameInput, Sampling
from trainables.data.frames.config import Config
from trainables.data.stitched.videos import VideoStitchSettings, frame_plan, stitch_videos
from trainables.data.video.reader import VideoReader

GREY = {"jump": 40, "run": 110, "idle": 180, "wait": 230}


def test_frames_of_stitched_videos_have_the_labels_of_what_they_show(tmp_path: Path) -> None:
    for label, grey in GREY.items():
        (tmp_path / "clips" / label).mkdir(parents=True)
        for number in range(6):
            frames = np.full((10 + 3 * number, 32, 32, 3), grey, np.uint8)
            encode(tmp_path / "clips" / label / f"v_{number}.mp4", frames, fps=20)
    plan, rate = frame_plan(
        20, class_names=("jump", "run"), num_videos=(4, 2, 2), num_snippets=(80, 120), max_snippets=20, seed=3
    )
    with VideoReader() as reader:
        settings = VideoStitchSettings(plan, rate, height=32, width=32)
        stitch_videos(tmp_path / "clips", tmp_path / "stitched_videos", settings, reader)
    config = Config()
    config.prepare(tmp_path)
    dataset = config.open(tmp_path)
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
