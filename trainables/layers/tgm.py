"""The temporal Gaussian mixture layer: convolutions over time whose kernels are mixtures of a few learned shapes.

Letters: B videos, C channels, D features of each, T frames, M shapes, L taps.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.layers.structure_filters import gaussian_kernels, places, spreads, structure_filters

Shape = Literal["cauchy", "gaussian"]


def shape_kernels(centres: Tensor, widths: Tensor, taps: int, shape: Shape) -> Tensor:
    """(M, taps) kernels, each of sum 1: temporal structure filters of a video of ``taps`` frames, or Gaussians."""
    lengths = torch.tensor([taps], device=centres.device)
    if shape == "cauchy":
        whole = torch.ones(1, taps, dtype=torch.bool, device=centres.device)
        return structure_filters(centres, widths, lengths, whole)[0]
    return gaussian_kernels(places(centres, lengths)[0], spreads(widths), taps)


def mixed_kernels(mixing: Tensor, kernels: Tensor) -> Tensor:
    """(..., taps) mixture of (M, taps) kernels with the softmax of (..., M) weights."""
    return torch.softmax(mixing, dim=-1) @ kernels


class TgmLayer(nn.Module):
    """(B, C_in, D, T) -> (B, C_out, D, T), every one of the D features alike.

    Source: Piergiovanni and Ryoo, "Temporal Gaussian Mixture Layer for Videos", ICML 2019; piergiaj/tgm-icml19:tgm.py.
    Differs: mixing weights begin near 0 (there: in whatever is in memory).

    Args:
        channels: (C_in, C_out); from one channel there is neither combination nor ReLU.
        num_kernels: M.
        taps: L; padding of L - 1 keeps T, the shorter half in front.
        shape: of the kernels.
    """

    def __init__(self, channels: tuple[int, int], *, num_kernels: int, taps: int, shape: Shape) -> None:
        super().__init__()
        channels_in, channels_out = channels
        self._taps, self._shape = taps, shape
        self.centres = nn.Parameter(0.5 * torch.randn(num_kernels))
        self.widths = nn.Parameter(1e-4 * torch.randn(num_kernels))
        self.mixing = nn.Parameter(0.01 * torch.randn(channels_out, channels_in, num_kernels))
        self.weight: nn.Parameter | None = None
        self.bias: nn.Parameter | None = None
        if channels_in > 1:
            bound = channels_in**-0.5
            self.weight = nn.Parameter(torch.empty(channels_out, channels_in).uniform_(-bound, bound))
            self.bias = nn.Parameter(torch.empty(channels_out).uniform_(-bound, bound))

    def forward(self, x: Tensor, valid_mask: Tensor) -> Tensor:
        """Convolve; padding is 0 before and after.

        Args:
            x: (B, C_in, D, T), 0 at padding.
            valid_mask: (B, T).
        """
        kernel = mixed_kernels(self.mixing, shape_kernels(self.centres, self.widths, self._taps, self._shape))
        if self.weight is not None:
            kernel = kernel * self.weight[:, :, None]
        before = (self._taps - 1) // 2
        padded = F.pad(x, (before, self._taps - 1 - before))
        # with channels side by side in memory a CPU takes a quarter less time
        y = F.conv2d(padded.contiguous(memory_format=torch.channels_last), kernel[:, :, None], self.bias)
        if self.weight is not None:
            y = torch.relu(y)
        return y * valid_mask[:, None, None]
