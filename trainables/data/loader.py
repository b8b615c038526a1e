"""Batches of one pass over a split. Hands out no label that the supervision does not allow.

Every random draw comes from a generator of (seed, epoch, index of the video in the split) alone, so that an epoch is
the same whatever ran before it and whatever the number of workers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from trainables.config import Sampling
from trainables.data.sampling import Sampled, check_sampling, sample_video, write
from trainables.data.schema import Features
from trainables.records import Batch, SegmentTargets, Supervision
from trainables.segments import FloatArray, clip_segments, seconds_to_grid

#: Kinds of sampling that make several inputs of one video, each a part of it.
_PARTS = ("window", "shot")


@dataclass(frozen=True)
class LabelledVideo:
    """What a pass needs to know of one video.

    Attributes:
        video_id: its id.
        snippet_seconds: seconds that one snippet covers.
        feats: (L, C), may be a view of a memory map.
        segments_s: (n, 2) annotated instances, seconds.
        labels: (n,) class ids.
        start_s: time of snippet coordinate 0, seconds.
    """

    video_id: str
    snippet_seconds: float
    feats: Features
    segments_s: FloatArray
    labels: npt.NDArray[np.int64]
    start_s: float = 0.0


@dataclass(frozen=True)
class _Input:
    """One input to come: a video, and what to read of it."""

    video: LabelledVideo
    sampled: Sampled

    @property
    def seconds_per_sample(self) -> float:
        return self.video.snippet_seconds * self.sampled.snippets_per_sample

    @property
    def start_s(self) -> float:
        return self.video.start_s + self.video.snippet_seconds * self.sampled.start_snippets

    def segments_grid(self) -> FloatArray:
        """(n, 2) instances in samples of this input, not cut to it."""
        return seconds_to_grid(self.video.segments_s, start_s=self.start_s, seconds_per_sample=self.seconds_per_sample)

    def inside(self) -> FloatArray:
        """(n,) share of each instance that lies inside this input."""
        grid = self.segments_grid()
        cut = np.clip(grid, 0.0, float(len(self.sampled.positions)))
        length, left = grid[:, 1] - grid[:, 0], cut[:, 1] - cut[:, 0]
        share: FloatArray = np.divide(left, length, out=np.zeros_like(left), where=length > 0)
        return share


def load_batches(
    videos: Sequence[LabelledVideo],
    num_classes: int,
    *,
    sampling: Sampling,
    batch_size: int,
    supervision: Supervision,
    seed: int,
    epoch: int | None,
    rank: int = 0,
    world_size: int = 1,
) -> Iterator[Batch]:
    """Inputs of one pass; arguments as in :meth:`trainables.contracts.Dataset.batches`.

    Args:
        videos: of the split, in its order.
        num_classes: K.
        sampling: see there, as the rest.
        batch_size: see there.
        supervision: see there.
        seed: see there.
        epoch: see there.
        rank: see there.
        world_size: see there.

    Raises:
        ValueError: an argument out of bounds; at once, not when the first batch is read.
    """
    check_sampling(sampling)
    if batch_size < 1:
        raise ValueError(f"batch_size: {batch_size} must be 1 or more")
    if not 0 <= rank < world_size:
        raise ValueError(f"rank: {rank} must be from 0 to world_size - 1 = {world_size - 1}")
    if supervision not in get_args(Supervision):
        raise ValueError(f"supervision: '{supervision}' is none of {', '.join(get_args(Supervision))}")
    if sampling.min_inside > 0 and supervision != "segments":
        raise ValueError(f"sampling.min_inside: {sampling.min_inside} reads segments; '{supervision}' allows none")
    kind = sampling.test if epoch is None else sampling.train
    inputs = _inputs(videos, sampling, seed, epoch, rank, world_size)
    width = None if kind == "native" else sampling.length
    keep_ratio = sampling.keep_ratio if kind in _PARTS else 0.0
    chunks = (inputs[first : first + batch_size] for first in range(0, len(inputs), batch_size))
    return (_collate(chunk, num_classes, width, supervision, keep_ratio) for chunk in chunks)


def _inputs(
    videos: Sequence[LabelledVideo], sampling: Sampling, seed: int, epoch: int | None, rank: int, world_size: int
) -> list[_Input]:
    """This worker's inputs, in the order in which they are handed out."""
    numbers = range(len(videos))
    # a key of four words: shorter ones are padded with zeros, and would make two videos draw alike
    own = [np.random.Generator(np.random.PCG64([1, seed, epoch or 0, number])) for number in numbers]
    order = list(numbers)
    if epoch is not None:
        places = [generator.random() for generator in own]
        order.sort(key=lambda number: (places[number], number))
    drawn: list[tuple[float, _Input]] = []
    for number in order[rank::world_size]:
        generator = own[number]
        # windows of one video are spread over the epoch
        for item in _inputs_of(videos[number], sampling, epoch is not None, generator):
            drawn.append((0.0 if epoch is None else generator.random(), item))
    if not drawn and not any(_inputs_of(videos[n], sampling, epoch is not None, own[n]) for n in order):
        raise ValueError(
            f"sampling.min_inside: no window holds {sampling.min_inside} of an instance; lower it or raise the length"
        )
    drawn.sort(key=lambda item: item[0])
    return [item for _, item in drawn]


def _inputs_of(
    video: LabelledVideo, sampling: Sampling, training: bool, generator: np.random.Generator
) -> list[_Input]:
    """One video's inputs, without the training windows that show too little of every instance."""
    inputs = [_Input(video, s) for s in sample_video(video.feats, sampling, training=training, generator=generator)]
    if training and sampling.train in _PARTS and sampling.min_inside > 0:
        return [item for item in inputs if item.inside().max(initial=0.0) >= sampling.min_inside]
    return inputs


def _collate(
    inputs: Sequence[_Input], num_classes: int, width: int | None, supervision: Supervision, keep_ratio: float
) -> Batch:
    """One batch of T = ``width`` samples, or of the longest input's; what is missing is 0 and not valid."""
    lengths = [len(item.sampled.positions) for item in inputs]
    width = width or max(lengths)
    # channels first at once: turning a finished (B, T, C) array costs more than all the rest
    feats = np.zeros((len(inputs), inputs[0].video.feats.shape[1], width), np.float32)
    for row, item, length in zip(feats, inputs, lengths, strict=True):
        write(row[:, :length], item.video.feats, item.sampled)
    valid = np.arange(width) < np.asarray(lengths)[:, None]
    full = supervision == "segments"
    return Batch(
        video_ids=tuple(item.video.video_id for item in inputs),
        valid_mask=torch.from_numpy(valid),
        seconds_per_sample=torch.tensor([item.seconds_per_sample for item in inputs], dtype=torch.float64),
        start_s=torch.tensor([item.start_s for item in inputs], dtype=torch.float64),
        video_labels=None if supervision == "none" else _video_labels(inputs, num_classes),
        feats=torch.from_numpy(feats),
        segments=tuple(_targets(item, keep_ratio) for item in inputs) if full else None,
        frame_labels=_frame_labels(inputs, valid, num_classes) if full else None,
    )


def _video_labels(inputs: Sequence[_Input], num_classes: int) -> Tensor:
    """(B, K) classes of the whole video, also where a window shows none of them."""
    labels = torch.zeros(len(inputs), num_classes)
    for row, item in zip(labels, inputs, strict=True):
        row[torch.from_numpy(item.video.labels)] = 1.0
    return labels


def _targets(item: _Input, keep_ratio: float) -> SegmentTargets:
    """Instances cut to the input; those outside, or inside by less than ``keep_ratio`` of them, are left out."""
    grid, kept = clip_segments(item.segments_grid(), 0.0, float(len(item.sampled.positions)))
    kept &= item.inside() >= keep_ratio
    return SegmentTargets(torch.from_numpy(grid[kept]).float(), torch.from_numpy(item.video.labels[kept]))


def _frame_labels(inputs: Sequence[_Input], valid: npt.NDArray[np.bool_], num_classes: int) -> Tensor:
    """(B, T, K): a sample has a class where its centre lies in an instance."""
    labels = np.zeros((*valid.shape, num_classes), np.float32)
    centres = np.arange(valid.shape[1]) + 0.5
    for row, item in zip(labels, inputs, strict=True):
        for (start, end), label in zip(item.segments_grid(), item.video.labels, strict=True):
            row[(centres >= start) & (centres < end), label] = 1.0
    return torch.from_numpy(labels * valid[:, :, None])
