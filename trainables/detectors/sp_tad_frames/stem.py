"""One I3D for each stream as the three stages of SP-TAD.

Letters: B inputs, T frames, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.backbones.i3d import I3D
from trainables.backbones.layouts import I3D_LAYOUTS
from trainables.backbones.weights import load_checkpoint, read_checkpoint
from trainables.detectors.sp_tad.stem import CELLS_MULTIPLE, Stages, Stem, stage_channels, stages_of
from trainables.records import Batch

#: The last three stages, and how many frames a cell of each covers.
ENDPOINTS = {"Mixed_3c": 2.0, "Mixed_4f": 4.0, "Mixed_5c": 8.0}

#: Channels of a frame by stream, in their order.
STREAM_CHANNELS = {"rgb": 3, "flow": 2}


class ClipStem(Stem):
    """I3D to Mixed_5c; stages are averaged over space, streams lie side by side, RGB first.

    Values 0 to 255 become -1 to 1, in both streams; behind the real end of a clip they are 0. Without a checkpoint
    batch normalisation does nothing where it is frozen, so the convolutions start as in He et al. 2015
    (arXiv:1502.01852, Eq. 10).

    Args:
        streams: "rgb", or "rgb" and "flow".
        weights: stream -> file of a checkpoint, None = random weights.
        freeze_bn: batch normalisation stays in eval mode, and its scales and shifts do not learn.
    """

    def __init__(self, *, streams: Sequence[str], weights: Mapping[str, str | None], freeze_bn: bool) -> None:
        super().__init__()
        first, second, third = ENDPOINTS.values()
        self.strides = (first, second, third)
        self.channels = stage_channels(len(streams))
        self.clip_channels = sum(self.channels)
        self.trunks = nn.ModuleDict({name: _trunk(STREAM_CHANNELS[name], weights[name]) for name in streams})
        self._freeze_bn = freeze_bn
        if freeze_bn:
            for module in self.trunks.modules():
                if isinstance(module, nn.BatchNorm3d):
                    _fix(module)

    def train(self, mode: bool = True) -> ClipStem:
        """As for any module, but for batch normalisation where it is frozen."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm3d) and self._freeze_bn:
                module.eval()
        return self

    def forward(self, batch: Batch) -> Stages:
        """The three stages.

        Raises:
            ValueError: no frames, or not (B, C, T, H, W) of the streams' channels.
        """
        clips = self._clips(batch)
        split = torch.split(clips, [STREAM_CHANNELS[name] for name in self.trunks], dim=1)
        found = [self._stages_of(name, clip) for name, clip in zip(self.trunks, split, strict=True)]
        sequences = [torch.cat([maps[name].mean(dim=(3, 4)) for maps in found], dim=1) for name in ENDPOINTS]
        return stages_of(sequences, batch.valid_mask, self.strides)

    def _stages_of(self, stream: str, clip: Tensor) -> dict[str, Tensor]:
        trunk = self.trunks[stream]
        assert isinstance(trunk, I3D), "as it was made"
        return trunk.collect(clip, tuple(ENDPOINTS))

    def _clips(self, batch: Batch) -> Tensor:
        if batch.frames is None:
            raise ValueError("sp_tad_frames reads frames; the batch has none")
        wanted = sum(STREAM_CHANNELS[name] for name in self.trunks)
        if batch.frames.ndim != 5 or batch.frames.shape[1] != wanted:
            raise ValueError(f"frames: sp_tad_frames takes (B, {wanted}, T, H, W), got {tuple(batch.frames.shape)}")
        values = (batch.frames.float() / 127.5 - 1) * batch.valid_mask[:, None, :, None, None]
        multiple = round(self.strides[0]) * CELLS_MULTIPLE
        return F.pad(values, (0, 0, 0, 0, 0, -values.shape[2] % multiple))


def _trunk(in_channels: int, weights: str | None) -> I3D:
    trunk = I3D(in_channels=in_channels)
    if weights is not None:
        load_checkpoint(trunk, read_checkpoint(Path(weights), I3D_LAYOUTS))
        return trunk
    for module in trunk.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    return trunk


def _fix(norm: nn.BatchNorm3d) -> None:
    """Turn scale and shift into buffers: stored under their names as before, and never learnt."""
    for name in ("weight", "bias"):
        value = norm._parameters.pop(name)
        assert value is not None, "I3D's are affine"
        norm.register_buffer(name, value.detach())
