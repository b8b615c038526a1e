"""The shared map, from pre-extracted features or from frames through I3D, and what the frame level reads.

Letters: B inputs, T cells, F = 8 T frames, s cells in height and width.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from trainables.backbones.i3d import I3D
from trainables.backbones.layouts import I3D_LAYOUTS
from trainables.backbones.weights import load_checkpoint, read_checkpoint
from trainables.detectors.pbrnet.config import FRAMES_PER_CELL, NUM_LEVELS, PIXELS_PER_CELL
from trainables.detectors.pbrnet.frame_level import ClipBranch, FeatureBranch
from trainables.records import Batch

_ENDPOINT = "Mixed_5c"
#: Cells come in multiples of this, so that every level is half the one before.
_LEAST_CELLS = 2 ** (NUM_LEVELS - 1)


class FeatureStem(nn.Module):
    """Features as they are: no space, a sample is a cell.

    Args:
        channels: C.
    """

    samples_per_cell = 1
    space = 1

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """(B, C, T, 1, 1), twice.

        Raises:
            ValueError: no features, or a number of samples that cannot be halved five times.
        """
        feats = batch.feats
        if feats is None:
            raise ValueError("pbrnet with inputs: feats reads pre-extracted features; the batch has none")
        if feats.shape[2] % _LEAST_CELLS:
            raise ValueError(
                f"pbrnet: {feats.shape[2]} samples are no multiple of {_LEAST_CELLS}; take windows of clip.cells"
            )
        shared = feats[..., None, None]
        return shared, shared

    def branch(self, width: int) -> nn.Module:
        """The frame level's own way from the input to frame features."""
        return FeatureBranch(channels=self.channels, width=width)


class ClipStem(nn.Module):
    """I3D to Mixed_5c; its batch normalisation stays in eval mode, its weights learn.

    Args:
        pixels: height and width of the frames.
        checkpoint: file of weights, None = from scratch.
    """

    samples_per_cell = FRAMES_PER_CELL

    def __init__(self, *, pixels: int, checkpoint: str | None) -> None:
        super().__init__()
        self.space = pixels // PIXELS_PER_CELL
        self.i3d = I3D()
        self.channels = self.i3d.endpoints[_ENDPOINT].channels
        self._pixels = pixels
        if checkpoint is not None:
            load_checkpoint(self.i3d, read_checkpoint(Path(checkpoint), I3D_LAYOUTS))

    def train(self, mode: bool = True) -> ClipStem:
        """As for any module, but for batch normalisation."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm3d):
                module.eval()
        return self

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """(B, 1024, T, s, s), and the clip (B, 3, F, 32 s, 32 s) with values in [0, 1].

        Raises:
            ValueError: no frames, or frames of another size.
        """
        frames, pixels = batch.frames, self._pixels
        if frames is None:
            raise ValueError("pbrnet with inputs: frames reads frames; the batch has none")
        least = _LEAST_CELLS * FRAMES_PER_CELL
        if frames.shape[1] != 3 or frames.shape[3:] != (pixels, pixels) or frames.shape[2] % least:
            raise ValueError(
                f"pbrnet: frames of shape {tuple(frames.shape)}; expected (B, 3, F, {pixels}, {pixels}) as clip.pixels "
                f"says, F a multiple of {least}"
            )
        clip = frames.float() / 255
        return self.i3d.collect(clip, (_ENDPOINT,))[_ENDPOINT], clip

    def branch(self, width: int) -> nn.Module:
        """The frame level's own way from the input to frame features."""
        return ClipBranch(width=width)
