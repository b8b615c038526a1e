"""C3D as the shared map of R-C3D: frames in, conv5b out."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from trainables.backbones.c3d import C3D
from trainables.backbones.preprocess import C3D_RGB
from trainables.detectors.r_c3d.feature_map import repeat_last
from trainables.records import Batch

#: Deviation of pixel values, roughly; without a checkpoint the first convolution brings them to the scale of 1.
PIXEL_STD = 60.0
#: Samples that a recomputed convolution works on at once; even, so that no pooling crosses a border.
STRETCH = 96


class C3DMap(nn.Module):
    """Frames as a map of 512 channels with one cell for 8 frames and 16 x 16 pixels.

    Convolutions start as in He et al. 2015 (arXiv:1502.01852, Eq. 10). As PyTorch starts them, what distinguishes one
    frame from another shrinks 500 times from conv1a to conv5b.

    Args:
        recompute: forget what lies inside a stage (up to a pooling) and compute it again in the backward pass; nothing
            changes but the order of sums.
        precision: of the convolutions.
    """

    samples_per_cell = 8
    spatial = True
    channels = 512

    def __init__(self, *, recompute: bool, precision: Literal["float32", "bfloat16"]) -> None:
        super().__init__()
        self.c3d = C3D()
        _initialise(self.c3d)
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
                x = _recomputed(stage, x) if self._recompute and self.training else stage(x)
        return x.float()

    def _stages(self) -> list[nn.Sequential]:
        """The network in parts that each end with a pooling, the last one with conv5b."""
        stages: list[list[nn.Module]] = [[]]
        for name, child in self.c3d.named_children():
            stages[-1].append(child)
            if name.startswith("pool"):
                stages.append([])
        return [nn.Sequential(*stage) for stage in stages]


def _initialise(c3d: C3D) -> None:
    """Start the convolutions; the scale of pixels goes into the first one: a checkpoint takes them as they are."""
    for name, layer in c3d.named_children():
        if isinstance(layer, nn.Conv3d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            assert layer.bias is not None, "every convolution of C3D has one"
            nn.init.zeros_(layer.bias)
            if name == "conv1a":
                layer.weight.data.div_(PIXEL_STD)


def _recomputed(stage: nn.Sequential, x: Tensor) -> Tensor:
    """A stage that keeps only its input; one with a single convolution works on a stretch of time after another.

    The first two stages hold most of the bytes, and would hold them all again in the backward pass.
    """
    if len(stage) != 2:
        return _kept(checkpoint(stage, x, use_reentrant=False))
    size = x.shape[2]
    stretches = []
    for start in range(0, size, STRETCH):
        end = min(start + STRETCH, size)
        # a convolution sees one sample more on each side: a neighbour, or the zeros around the clip
        seen = x[:, :, max(start - 1, 0) : end + 1]
        seen = F.pad(seen, (0, 0, 0, 0, int(start == 0), int(end == size)))
        stretches.append(_kept(checkpoint(_stretch, stage[0], stage[1], seen, use_reentrant=False)))
    return torch.cat(stretches, dim=2)


def _stretch(conv: nn.Conv3d, pool: nn.Module, x: Tensor) -> Tensor:
    """Convolution without padding in time, ReLU and pooling."""
    return _kept(pool(torch.relu(F.conv3d(x, conv.weight, conv.bias, padding=(0, 1, 1)))))


def _kept(output: Any) -> Tensor:
    result: Tensor = output
    return result


def _normalised(frames: Tensor) -> Tensor:
    """(B, 3, F, H, W) RGB on the scale 0 to 255 -> BGR without the means of the Caffe network."""
    mean = torch.tensor(C3D_RGB.mean, device=frames.device)[:, None, None, None]
    return frames.flip(1).float() - mean
