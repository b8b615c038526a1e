"""What the network begins with: the shared map, and frame features of its own.

Letters: B inputs, C channels, T samples or frames of the input, T' cells of the map, a multiple of 32, F = 8 T' frames,
s cells in height and width.
"""

from __future__ import annotations

from abc import abstractmethod
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.detectors.pbrnet.settings import CELLS_MULTIPLE, FRAMES_PER_CELL
from trainables.records import Batch

#: Channels of the frame level's own convolutions before the last.
BRANCH_WIDTHS = (64, 128)


class Stem(nn.Module):
    """Base of the two kinds of input.

    Attributes:
        channels: C of the map.
        space: s.
        samples_per_cell: samples of the input that a cell of the map covers.
        bins: parts of a pooled region in time, height and width.
    """

    channels: int
    space: int
    samples_per_cell: int
    bins: tuple[int, int, int]

    @abstractmethod
    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The shared map (B, C, T', s, s), and what the branch reads."""

    @abstractmethod
    def branch(self, width: int) -> nn.Module:
        """The frame level's own way from the input to (B, width, F, s, s), without a ReLU at its end."""


def pad_time(x: Tensor, multiple: int) -> Tensor:
    """(B, C, T, h, w) with zeros behind, up to a multiple of samples."""
    return F.pad(x, (0, 0, 0, 0, 0, -x.shape[2] % multiple))


class FeatureStem(Stem):
    """Features as they are: no space, a sample is a cell.

    Args:
        channels: C.
        parts: of a pooled region in time.
    """

    space = 1
    samples_per_cell = 1

    def __init__(self, channels: int, *, parts: int) -> None:
        super().__init__()
        self.channels = channels
        self.bins = (parts, 1, 1)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """(B, C, T', 1, 1), twice.

        Raises:
            ValueError: the batch has no features.
        """
        if batch.feats is None:
            raise ValueError("pbrnet reads pre-extracted features; the batch has none")
        shared = pad_time(batch.feats[..., None, None], CELLS_MULTIPLE)
        return shared, shared

    def branch(self, width: int) -> nn.Module:
        """Convolutions over the features, stretched to 8 frames a sample."""
        return FeatureBranch(channels=self.channels, width=width)


class FeatureBranch(nn.Module):
    """Frame features of pre-extracted ones: (B, C, T', 1, 1) -> (B, width, F, 1, 1)."""

    def __init__(self, *, channels: int, width: int) -> None:
        super().__init__()
        self.narrow = nn.Conv3d(channels, BRANCH_WIDTHS[0], 1)
        self.convs = nn.ModuleList(
            nn.Conv3d(a, b, (3, 1, 1), padding=(1, 0, 0)) for a, b in pairwise((*BRANCH_WIDTHS, width))
        )

    def forward(self, feats: Tensor) -> Tensor:
        """Linear interpolation between the centres of samples, then three convolutions.

        The first one looks at single samples, so that it may come before the interpolation, at an eighth of the cost.
        """
        x = F.interpolate(self.narrow(feats), scale_factor=(float(FRAMES_PER_CELL), 1.0, 1.0), mode="trilinear")
        for conv in self.convs:
            x = conv(torch.relu(x))
        return x
