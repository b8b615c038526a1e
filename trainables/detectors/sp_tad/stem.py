"""What the network begins with: three sequences, as the last three stages of a backbone give them.

Letters: B inputs, T samples, C_l channels and T_l cells of stage l.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.layers.dilated import masked_mean
from trainables.records import Batch

#: Channels of I3D's Mixed_3c, Mixed_4f and Mixed_5c, and how often each comes in 8 frames.
I3D_CHANNELS = (480, 832, 1024)
I3D_PHASES = (4, 2, 1)

#: Inputs are padded with zeros to a multiple of the coarsest level, in cells of the finest stage.
CELLS_MULTIPLE = 8


@dataclass(frozen=True)
class Stages:
    """Sequences of one batch, fine to coarse.

    Attributes:
        sequences: (B, C_l, T_l) each.
        clip_feat: (B, C) means over the real cells of what the clip's classes are read from.
    """

    sequences: tuple[Tensor, ...]
    clip_feat: Tensor


class Stem(nn.Module):
    """Base of the kinds of input.

    Attributes:
        channels: C_l.
        strides: samples of the input that one cell of each stage covers.
        clip_channels: of ``Stages.clip_feat``.
    """

    channels: tuple[int, int, int]
    strides: tuple[float, float, float]
    clip_channels: int

    @abstractmethod
    def forward(self, batch: Batch) -> Stages:
        """The three sequences."""


def real_mean(sequence: Tensor, valid_mask: Tensor, stride: float) -> Tensor:
    """(B, C) mean over the cells that begin before the input's real end.

    Args:
        sequence: (B, C, T_l).
        valid_mask: (B, T).
        stride: samples that a cell covers.
    """
    place = torch.arange(sequence.shape[2], device=sequence.device) * stride
    return masked_mean(sequence, place < valid_mask.sum(dim=1)[:, None])


def pad_end(x: Tensor, multiple: int) -> Tensor:
    """(B, C, T) with zeros behind, up to a multiple of samples."""
    return F.pad(x, (0, -x.shape[2] % multiple))


def _real_feats(batch: Batch) -> Tensor:
    if batch.feats is None:
        raise ValueError("sp_tad reads pre-extracted features; the batch has none")
    return batch.feats * batch.valid_mask[:, None]


class FeatureStem(Stem):
    """Features of any kind: as they are, and their means over 2 and 4 samples.

    Args:
        feat_dim: C.
    """

    strides = (1.0, 2.0, 4.0)

    def __init__(self, feat_dim: int) -> None:
        super().__init__()
        self.channels = (feat_dim, feat_dim, feat_dim)
        self.clip_channels = feat_dim

    def forward(self, batch: Batch) -> Stages:
        """Three sequences of C channels.

        Raises:
            ValueError: the batch has no features.
        """
        feats = _real_feats(batch)
        first = pad_end(feats, CELLS_MULTIPLE)
        rest = (F.avg_pool1d(first, 2), F.avg_pool1d(first, 4))
        return Stages((first, *rest), real_mean(feats, batch.valid_mask, 1.0))


class StageStem(Stem):
    """Features in which a sample is 8 frames of the three I3D stages, as :func:`pack_stages` lays them out.

    Args:
        feat_dim: 4608 for one stream, 9216 for two.

    Raises:
        ValueError: another number of channels.
    """

    strides = (0.25, 0.5, 1.0)

    def __init__(self, feat_dim: int) -> None:
        super().__init__()
        self.channels = stage_channels(count_streams(feat_dim))
        self.clip_channels = sum(self.channels)

    def forward(self, batch: Batch) -> Stages:
        """What the backbone gave.

        Raises:
            ValueError: the batch has no features.
        """
        sequences = unpack_stages(pad_end(_real_feats(batch), CELLS_MULTIPLE // I3D_PHASES[0]), self.channels)
        return stages_of(sequences, batch.valid_mask, self.strides)


def count_streams(feat_dim: int) -> int:
    """Streams (RGB; RGB and flow) of which a feature of :func:`pack_stages` is made.

    Raises:
        ValueError: it is made of something else.
    """
    one = sum(c * n for c, n in zip(I3D_CHANNELS, I3D_PHASES, strict=True))
    if feat_dim not in (one, 2 * one):
        raise ValueError(
            f"stages: 'i3d' takes features of {one} channels a stream, one or two of them, the data set has "
            f"{feat_dim}; set detector.stages: one, or extract the three stages"
        )
    return feat_dim // one


def stage_channels(streams: int) -> tuple[int, int, int]:
    """C_l of so many streams side by side."""
    first, second, third = I3D_CHANNELS
    return first * streams, second * streams, third * streams


def stages_of(sequences: Sequence[Tensor], valid_mask: Tensor, strides: Sequence[float]) -> Stages:
    """Stages whose clip feature is the means of all three, side by side."""
    means = [real_mean(x, valid_mask, stride) for x, stride in zip(sequences, strides, strict=True)]
    return Stages(tuple(sequences), torch.cat(means, dim=1))


def pack_stages(sequences: Sequence[Tensor]) -> Tensor:
    """Three sequences of 4, 2 and 1 cells for every 8 frames as one: stage by stage, cell by cell, channel by channel.

    Args:
        sequences: (B, C_l, n_l T) with n_l = 4, 2, 1.

    Returns:
        (B, sum n_l C_l, T).
    """
    parts = [
        x.reshape(*x.shape[:2], -1, phases).permute(0, 3, 1, 2).flatten(1, 2)
        for x, phases in zip(sequences, I3D_PHASES, strict=True)
    ]
    return torch.cat(parts, dim=1)


def unpack_stages(feats: Tensor, channels: Sequence[int]) -> tuple[Tensor, ...]:
    """The inverse of :func:`pack_stages`.

    Args:
        feats: (B, sum n_l C_l, T).
        channels: C_l.
    """
    sizes = [c * n for c, n in zip(channels, I3D_PHASES, strict=True)]
    return tuple(
        part.reshape(len(part), phases, -1, part.shape[2]).permute(0, 2, 3, 1).flatten(2)
        for part, phases in zip(torch.split(feats, sizes, dim=1), I3D_PHASES, strict=True)
    )
