"""Batches of features for one pass over a split. Hands out no label that the supervision does not allow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from trainables.config import Sampling
from trainables.data.batches.inputs import Input, common_fields, plan_batches
from trainables.data.batches.passes import Pass
from trainables.data.batches.sampling import Sampled, sample_video, write
from trainables.data.schema import Features
from trainables.records import Batch
from trainables.segments import FloatArray


@dataclass(frozen=True)
class FeaturesVideo:
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

    def sampled(self, sampling: Sampling, *, training: bool, generator: np.random.Generator) -> list[Sampled]:
        """Its inputs."""
        return sample_video(self.feats, sampling, training=training, generator=generator)


def load_batches(videos: Sequence[FeaturesVideo], num_classes: int, wanted: Pass) -> Iterator[Batch]:
    """Inputs of one pass.

    Args:
        videos: of the split, in its order.
        num_classes: K.
        wanted: the pass.

    Raises:
        ValueError: no window shows enough of an instance; at once, not when the first batch is read.
    """
    return (
        Batch(feats=_features(own, width), **common_fields(own, width, num_classes, wanted))
        for own, width in plan_batches(videos, wanted)
    )


def _features(inputs: Sequence[Input[FeaturesVideo]], width: int) -> Tensor:
    """(B, C, T); what is missing is 0."""
    # channels first at once: turning a finished (B, T, C) array costs more than all the rest
    feats = np.zeros((len(inputs), inputs[0].video.feats.shape[1], width), np.float32)
    for row, item in zip(feats, inputs, strict=True):
        write(row[:, : len(item)], item.video.feats, item.sampled)
    return torch.from_numpy(feats)
