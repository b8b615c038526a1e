"""The inputs of one pass over a split, and their labels, whether they are made of features or of frames.

Every random draw comes from a generator of (seed, epoch, index of the video in the split) alone, and workers share out
each batch, so that an epoch has the same batches whatever ran before it and whatever the number of workers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from trainables.config import Sampling
from trainables.data.batches.passes import Pass
from trainables.data.batches.sampling import Sampled
from trainables.records import SegmentTargets
from trainables.segments import FloatArray, clip_segments, seconds_to_grid

#: Kinds of sampling whose inputs are parts of a video.
_PARTS = ("window", "shot", "clip")


class Labelled(Protocol):
    """What the inputs of a video follow from."""

    @property
    def video_id(self) -> str:
        """Its id."""
        ...

    @property
    def snippet_seconds(self) -> float:
        """Seconds that one snippet (feature or frame) covers."""
        ...

    @property
    def start_s(self) -> float:
        """Time of snippet coordinate 0, seconds."""
        ...

    @property
    def segments_s(self) -> FloatArray:
        """(n, 2) annotated instances, seconds."""
        ...

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """(n,) class ids."""
        ...

    def sampled(self, sampling: Sampling, *, training: bool, generator: np.random.Generator) -> list[Sampled]:
        """Its inputs."""
        ...


V = TypeVar("V", bound=Labelled)


@dataclass(frozen=True)
class Input(Generic[V]):
    """One input to come.

    Attributes:
        video: what it is of.
        sampled: what to read of it.
        number: index of the video in the split.
        part: index of the input among all of the video.
    """

    video: V
    sampled: Sampled
    number: int
    part: int

    def __len__(self) -> int:
        """Samples."""
        return len(self.sampled.positions)

    @property
    def seconds_per_sample(self) -> float:
        """Seconds that one sample covers."""
        return self.video.snippet_seconds * self.sampled.snippets_per_sample

    @property
    def start_s(self) -> float:
        """Time of sample coordinate 0."""
        return self.video.start_s + self.video.snippet_seconds * self.sampled.start_snippets

    def segments_grid(self) -> FloatArray:
        """(n, 2) instances in samples of this input, not cut to it."""
        return seconds_to_grid(self.video.segments_s, start_s=self.start_s, seconds_per_sample=self.seconds_per_sample)

    def targets_grid(self, min_share: float, min_length: float) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        """Instances cut to the input.

        Args:
            min_share: of an instance that must lie inside.
            min_length: of what is left of it, samples.

        Returns:
            (n, 2) cut instances, and (n,) which of them count.
        """
        grid = self.segments_grid()
        cut, inside = clip_segments(grid, 0.0, float(len(self)))
        length, left = grid[:, 1] - grid[:, 0], cut[:, 1] - cut[:, 0]
        share: FloatArray = np.divide(left, length, out=np.zeros_like(left), where=length > 0)
        return cut, inside & (share >= min_share) & (left >= min_length)


def plan_batches(videos: Sequence[V], wanted: Pass) -> list[tuple[Sequence[Input[V]], int]]:
    """What one pass hands out to a worker.

    Args:
        videos: of the split, in its order.
        wanted: the pass.

    Returns:
        Of every batch in which this worker has a part, that part and T, what the whole batch is padded to.

    Raises:
        ValueError: no window of the whole split shows enough of an instance.
    """
    inputs = _plan(videos, wanted)
    chunks = [inputs[first : first + wanted.batch_size] for first in range(0, len(inputs), wanted.batch_size)]
    widths = [max(map(len, chunk)) if wanted.kind == "native" else wanted.sampling.length for chunk in chunks]
    shares = [(chunk[wanted.rank :: wanted.world_size], width) for chunk, width in zip(chunks, widths, strict=True)]
    return [(own, width) for own, width in shares if own]


def _plan(videos: Sequence[V], wanted: Pass) -> list[Input[V]]:
    """All workers' inputs, in the order in which they are handed out."""
    numbers = range(len(videos))
    # a key of four words: shorter ones are padded with zeros, and would make two videos draw alike
    own = [np.random.Generator(np.random.PCG64([1, wanted.seed, wanted.epoch or 0, number])) for number in numbers]
    order = list(numbers)
    if wanted.training:
        places = [generator.random() for generator in own]
        order.sort(key=lambda number: (places[number], number))
    drawn: list[tuple[float, Input[V]]] = []
    for number in order:
        # windows of one video are spread over the epoch
        for item in _inputs_of(videos[number], number, wanted, own[number]):
            drawn.append((own[number].random() if wanted.training else 0.0, item))
    if videos and not drawn:
        least = wanted.sampling.min_inside
        raise ValueError(f"sampling.min_inside: no window holds {least} of an instance; lower it or raise the length")
    drawn.sort(key=lambda item: item[0])
    return [item for _, item in drawn]


def _inputs_of(video: V, number: int, wanted: Pass, generator: np.random.Generator) -> list[Input[V]]:
    """One video's inputs, without the training windows that show too little of every instance."""
    sampling = wanted.sampling
    sampled = video.sampled(sampling, training=wanted.training, generator=generator)
    inputs = [Input(video, one, number, part) for part, one in enumerate(sampled)]
    if wanted.training and wanted.kind in _PARTS and sampling.min_inside > 0:
        return [item for item in inputs if item.targets_grid(sampling.min_inside, sampling.min_target)[1].any()]
    return inputs


def common_fields(inputs: Sequence[Input[V]], width: int, num_classes: int, wanted: Pass) -> dict[str, Any]:
    """Everything of a :class:`trainables.records.Batch` but what was read of the videos.

    Args:
        inputs: B of them.
        width: T.
        num_classes: K.
        wanted: the pass.
    """
    valid = np.arange(width) < np.asarray([len(item) for item in inputs])[:, None]
    full = wanted.supervision == "segments"
    sampling = wanted.sampling
    keep_ratio, min_target = (sampling.keep_ratio, sampling.min_target) if wanted.kind in _PARTS else (0.0, 0.0)
    return {
        "video_ids": tuple(item.video.video_id for item in inputs),
        "valid_mask": torch.from_numpy(valid),
        "seconds_per_sample": torch.tensor([item.seconds_per_sample for item in inputs], dtype=torch.float64),
        "start_s": torch.tensor([item.start_s for item in inputs], dtype=torch.float64),
        "video_labels": None if wanted.supervision == "none" else _video_labels(inputs, num_classes),
        "segments": tuple(_targets(item, keep_ratio, min_target) for item in inputs) if full else None,
        "frame_labels": _frame_labels(inputs, valid, num_classes) if full else None,
    }


def _video_labels(inputs: Sequence[Input[V]], num_classes: int) -> Tensor:
    """(B, K) classes of the whole video, also where a window shows none of them."""
    labels = torch.zeros(len(inputs), num_classes)
    for row, item in zip(labels, inputs, strict=True):
        row[torch.from_numpy(item.video.labels)] = 1.0
    return labels


def _targets(item: Input[V], keep_ratio: float, min_target: float) -> SegmentTargets:
    """Instances cut to the input; those outside, or of which too little is inside, are left out."""
    grid, kept = item.targets_grid(keep_ratio, min_target)
    return SegmentTargets(torch.from_numpy(grid[kept]).float(), torch.from_numpy(item.video.labels[kept]))


def _frame_labels(inputs: Sequence[Input[V]], valid: npt.NDArray[np.bool_], num_classes: int) -> Tensor:
    """(B, T, K): a sample has a class where its centre lies in an instance."""
    labels = np.zeros((*valid.shape, num_classes), np.float32)
    centres = np.arange(valid.shape[1]) + 0.5
    for row, item in zip(labels, inputs, strict=True):
        for (start, end), label in zip(item.segments_grid(), item.video.labels, strict=True):
            row[(centres >= start) & (centres < end), label] = 1.0
    return torch.from_numpy(labels * valid[:, :, None])
