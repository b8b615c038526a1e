"""C3D as the shared map of R-C3D: frames in, conv5b out."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from trainables.backbones.c3d import C3D
from trainables.backbones.preprocess import C3D_RGB
from trainables.detectors.r_c3d.feature_map import repeat_last
from trainables.records import Batch


class C3DMap(nn.Module):
    """Frames as a map of 512 channels with one cell for 8 frames and 16 x 16 pixels.

    Args:
        recompute: forget what lies inside a stage (up to a pooling) and compute it again in the backward pass.
        precision: of the convolutions.
    """

    samples_per_cell = 8
    spatial = True
    channels = 512

    def __init__(self, *, recompute: bool, precision: Literal["float32", "bfloat16"]) -> None:
        super().__init__()
        self.c3d = C3D()
        self._recompute = recompute
        self._reduced = precision == "bfloat16"

    def forward(self, batch: Batch) -> Tensor:
        """(B, 512, cells, h, w) float32.

        Raises:
            ValueError: the batch has no frames, or they are no (B, 3, F, H, W).
        """
        if batch.frames is None:
            raise ValueError("r_c3d_frames reads frames; the batch has none")
        frames = batch.frames
        if frames.ndim != 5 or frames.shape[1] != 3:
            raise ValueError(f"frames: r_c3d_frames takes (B, 3, F, H, W), got {tuple(frames.shape)}")
        if min(frames.shape[3:]) < 16:
            raise ValueError(f"frames: {frames.shape[3]} x {frames.shape[4]} pixels; C3D takes 16 x 16 or more")
        x = _normalised(repeat_last(frames, batch.valid_mask.sum(dim=1), self.samples_per_cell))
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self._reduced):
            for stage in self._stages():
                x = checkpoint(stage, x, use_reentrant=False) if self._recompute and self.training else stage(x)
        return x.float()

    def _stages(self) -> list[nn.Sequential]:
        """The network in parts that each end with a pooling, the last one with conv5b."""
        stages: list[list[nn.Module]] = [[]]
        for name, child in self.c3d.named_children():
            stages[-1].append(child)
            if name.startswith("pool"):
                stages.append([])
        return [nn.Sequential(*stage) for stage in stages]


def _normalised(frames: Tensor) -> Tensor:
    """(B, 3, F, H, W) RGB on the scale 0 to 255 -> BGR without the means of the Caffe network."""
    mean = torch.tensor(C3D_RGB.mean, device=frames.device)[:, None, None, None]
    return frames.flip(1).float() - mean
