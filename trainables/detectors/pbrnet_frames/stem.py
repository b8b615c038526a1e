"""I3D as the shared map of PBRNet, and the frame level's own convolutions over the clip.

Letters: B inputs, T frames of the input, T' cells of the map, a multiple of 32, F = 8 T' frames, s cells in height and
width.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.backbones.i3d import I3D
from trainables.backbones.layouts import I3D_LAYOUTS
from trainables.backbones.weights import load_checkpoint, read_checkpoint
from trainables.detectors.pbrnet.settings import CELLS_MULTIPLE, FRAMES_PER_CELL
from trainables.detectors.pbrnet.stem import BRANCH_WIDTHS, Stem, pad_time
from trainables.records import Batch

_ENDPOINT = "Mixed_5c"


class ClipStem(Stem):
    """I3D to Mixed_5c; its weights learn, its batch normalisation stays in eval mode.

    Without a checkpoint that normalisation does nothing, so the convolutions start as in He et al. 2015
    (arXiv:1502.01852, Eq. 10). As PyTorch starts them, Mixed_5c is zero but for a millionth.

    Args:
        space: s; the map is averaged to it where the frames are not 32 s pixels wide and high.
        weights: file of a checkpoint, None = random weights.
    """

    samples_per_cell = FRAMES_PER_CELL

    def __init__(self, *, space: int, weights: str | None) -> None:
        super().__init__()
        self.space = space
        self.bins = (1, space, space)
        self.i3d = I3D()
        self.channels = self.i3d.endpoints[_ENDPOINT].channels
        if weights is not None:
            load_checkpoint(self.i3d, read_checkpoint(Path(weights), I3D_LAYOUTS))
        else:
            _initialise(self.i3d)

    def train(self, mode: bool = True) -> ClipStem:
        """As for any module, but for batch normalisation."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm3d):
                module.eval()
        return self

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """(B, 1024, T', s, s), and the clip (B, 3, T, H, W) with values in [0, 1].

        Raises:
            ValueError: no frames, or no (B, 3, T, H, W).
        """
        if batch.frames is None:
            raise ValueError("pbrnet_frames reads frames; the batch has none")
        if batch.frames.ndim != 5 or batch.frames.shape[1] != 3:
            raise ValueError(f"frames: pbrnet_frames takes (B, 3, T, H, W), got {tuple(batch.frames.shape)}")
        clip = batch.frames.float() / 255
        shared = self.i3d.collect(clip, (_ENDPOINT,))[_ENDPOINT]
        return pad_time(_to_space(shared, self.space), CELLS_MULTIPLE), clip

    def branch(self, width: int) -> nn.Module:
        """Convolutions over the raw clip."""
        return ClipBranch(width=width, space=self.space)


class ClipBranch(nn.Module):
    """Frame features of the raw clip: (B, 3, T, H, W) -> (B, width, F, s, s)."""

    def __init__(self, *, width: int, space: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv3d(a, b, 3, stride=(1, 2, 2), padding=1) for a, b in pairwise((3, *BRANCH_WIDTHS, width))
        )
        self._space = space

    def forward(self, clip: Tensor) -> Tensor:
        """Each convolution halves height and width; what is left is averaged to s x s."""
        x = clip
        for conv in self.convs[:-1]:
            x = torch.relu(conv(x))
        return pad_time(_to_space(self.convs[-1](x), self._space), CELLS_MULTIPLE * FRAMES_PER_CELL)


def _initialise(i3d: I3D) -> None:
    for module in i3d.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")


def _to_space(x: Tensor, space: int) -> Tensor:
    """(B, C, T, h, w) -> (B, C, T, s, s)."""
    return F.adaptive_avg_pool3d(x, (x.shape[2], space, space))
