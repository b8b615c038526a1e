"""Batches of frames for one pass over a split. Hands out no label that the supervision does not allow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from trainables.config import FrameInput, Sampling
from trainables.data.batches.inputs import Input, common_fields, plan_batches
from trainables.data.batches.passes import Pass
from trainables.data.batches.sampling import Sampled, sample_positions
from trainables.data.video.geometry import FrameTransform, random_crop_at
from trainables.data.video.reader import Clip, Request, VideoReader
from trainables.records import Batch
from trainables.segments import FloatArray

#: Kinds of sampling that need features: they are interpolated, or compared.
_FEATURES_ONLY = ("rescale", "shot")


@dataclass(frozen=True)
class FramesVideo:
    """What a pass needs to know of one video; its snippets are its frames at the rate of the inputs.

    Attributes:
        video_id: its id.
        file: where it is.
        fps: frames per second of the inputs.
        num_frames: of the whole video at that rate.
        segments_s: (n, 2) annotated instances, seconds.
        labels: (n,) class ids.
        start_s: time of the first frame.
    """

    video_id: str
    file: Path
    fps: Fraction
    num_frames: int
    segments_s: FloatArray
    labels: npt.NDArray[np.int64]
    start_s: float = 0.0

    @property
    def snippet_seconds(self) -> float:
        """Seconds that a frame is shown."""
        return float(1 / self.fps)

    def sampled(self, sampling: Sampling, *, training: bool, generator: np.random.Generator) -> list[Sampled]:
        """Its inputs."""
        return sample_positions(self.num_frames, sampling, training=training, generator=generator)


@dataclass(frozen=True)
class _Look:
    """What is done to all frames of one input alike."""

    transform: FrameTransform
    mirrored: bool


def frame_input(sampling: Sampling) -> FrameInput:
    """How frames are made.

    Raises:
        ValueError: the sampling does not say it, or cannot be done with frames.
    """
    if sampling.frames is None:
        raise ValueError("sampling.frames: is None, and the data are videos; say rate, size and crop of the frames")
    for name in ("train", "test"):
        if getattr(sampling, name) in _FEATURES_ONLY:
            raise ValueError(
                f"sampling.{name}: '{getattr(sampling, name)}' needs features; frames are sampled by native, window, "
                "clip, uniform or sparse"
            )
    return sampling.frames


def load_frame_batches(
    videos: Sequence[FramesVideo], num_classes: int, reader: VideoReader, wanted: Pass
) -> Iterator[Batch]:
    """Inputs of one pass; the next ones are decoded while the caller works on one.

    ``Batch.frames`` is (B, 3, T, H, W) uint8, RGB; behind the end of a video its last frame is repeated, and
    ``valid_mask`` is False there. Place of the crop and mirroring follow from the seed, the epoch, the video and the
    window alone.

    Args:
        videos: of the split, in its order, with the rate of ``sampling.frames``.
        num_classes: K.
        reader: decodes.
        wanted: the pass; size, place of the crop and mirroring follow from its seed and epoch, the video and the
            window alone.

    Raises:
        ValueError: sampling that frames cannot have, or no window that shows enough of an instance; at once, not when
            the first batch is read.
        VideoError: while reading: a video is not any more what it was.
    """
    form = frame_input(wanted.sampling)
    shares = plan_batches(videos, wanted)

    def batches() -> Iterator[Batch]:
        looks = [[_look(item, form, wanted) for item in own] for own, _ in shares]
        clips = reader.read_many(
            _request(item, look, reader)
            for (own, _), of_own in zip(shares, looks, strict=True)
            for item, look in zip(own, of_own, strict=True)
        )
        for (own, width), of_own in zip(shares, looks, strict=True):
            frames = _stacked(islice(clips, len(own)), of_own, width, form)
            yield Batch(frames=frames, **common_fields(own, width, num_classes, wanted))

    return batches()


def _look(item: Input[FramesVideo], form: FrameInput, wanted: Pass) -> _Look:
    if wanted.epoch is None:
        return _Look(_scaled(form.size, form.crop), mirrored=False)
    generator = np.random.Generator(np.random.PCG64([7, wanted.seed, wanted.epoch, item.number, item.part]))
    crop_at = random_crop_at(generator)
    size = form.size
    if form.train_sides is not None:
        height, width = generator.integers(*form.train_sides, size=2).tolist()
        size = (height, width)
    elif form.train_short_sides is not None:
        size = int(generator.choice(form.train_short_sides))
    mirrored = form.mirror and bool(generator.random() < 0.5)
    return _Look(_scaled(size, form.crop, crop_at), mirrored)


def _scaled(
    size: tuple[int, int] | int, crop: tuple[int, int], crop_at: tuple[float, float] | None = None
) -> FrameTransform:
    if isinstance(size, int):
        return FrameTransform(short_side=size, crop=crop, crop_at=crop_at)
    return FrameTransform(size=size, crop=crop, crop_at=crop_at)


def _request(item: Input[FramesVideo], look: _Look, reader: VideoReader) -> Request:
    video = item.video
    shown = reader.probe(video.file).resampled(video.fps)
    if len(shown) != video.num_frames:
        raise ValueError(
            f"{video.file}: has {len(shown)} frames at {float(video.fps):g} per second, had {video.num_frames}; "
            "start the study anew"
        )
    return Request(video.file, shown[item.sampled.positions.astype(np.int64)], look.transform)


def _stacked(clips: Iterator[Clip], looks: Sequence[_Look], width: int, form: FrameInput) -> Tensor:
    """(B, 3, T, H, W)."""
    frames = np.empty((len(looks), 3, width, *form.crop), np.uint8)
    for row, clip, look in zip(frames, clips, looks, strict=True):
        shown = clip.frames[:, :, ::-1] if look.mirrored else clip.frames
        row[:, : len(shown)] = shown.transpose(3, 0, 1, 2)
        row[:, len(shown) :] = row[:, len(shown) - 1 : len(shown)]
    return torch.from_numpy(frames)
