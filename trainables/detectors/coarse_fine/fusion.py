"""From the fine stream to the coarse one: frames are weighed around every grid point, and scale and shift it.

Source: Coarse-Fine Networks (Kahatapitiya and Ryoo 2021, arXiv:2103.01302), section 3.3.
kkahatapitiya/Coarse-Fine-Networks:x3d_coarse.py, ``Gaussian``, ``RewightLayer`` and ``MixingLayer``.

The fine maps are smaller than the coarse ones and are repeated over the pixels they stand for. All layers here look at
one pixel at a time, so they are applied to the small maps, and their outputs are repeated: the numbers are the same.

Letters: B inputs, T' fine frames, J grid points, d fine and c coarse channels, h and w cells of the fine maps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Keeps a weight defined where nothing is seen.
_EPS = 1e-6


def gaussian_alignment(centres: Tensor, valid_mask: Tensor, std_share: float) -> Tensor:
    """How near every fine frame is to every grid point.

    Args:
        centres: (B, J) in fine frames.
        valid_mask: (B, T') True = real.
        std_share: standard deviation as a share of the number of real frames.

    Returns:
        (B, T', J), its maximum over the real frames is 1; 0 on the others.
    """
    frames = torch.arange(valid_mask.shape[1], dtype=centres.dtype, device=centres.device)
    std = (valid_mask.sum(dim=1) * std_share)[:, None, None].to(centres.dtype)
    exponent = -(((frames[:, None] - centres[:, None]) / std) ** 2) / 2
    exponent = exponent.masked_fill(~valid_mask[:, :, None], -torch.inf)
    return torch.exp(exponent - exponent.amax(dim=1, keepdim=True))


class Reweight(nn.Module):
    """Fine frames, averaged around every grid point with learnt attention, as a scale and a shift.

    Args:
        fine_channels: d.
        coarse_channels: c.
        dropout: within the two perceptrons.
    """

    def __init__(self, fine_channels: int, coarse_channels: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        d, c = fine_channels, coarse_channels
        self.attention = nn.Sequential(nn.Conv3d(d, d, 1), nn.ReLU(), nn.Conv3d(d, 1, 1), nn.Sigmoid())
        self.shift = _perceptron(d, c, dropout)
        self.scale = _perceptron(d, c, dropout)

    def forward(self, fine: Tensor, alignment: Tensor) -> tuple[Tensor, Tensor]:
        """Shift and scale before its sigmoid.

        Args:
            fine: (B, d, T', h, w).
            alignment: (B, T', J) of :func:`gaussian_alignment`.

        Returns:
            Two (B, c, J, h, w).
        """
        attention = self.attention(fine)
        total = torch.einsum("bqthw,btj->bqjhw", attention, alignment)
        aligned = torch.einsum("bdthw,btj->bdjhw", fine * attention, alignment) / (total + _EPS)
        return self.shift(aligned), self.scale(aligned)


class Fusion(nn.Module):
    """Shift and scale of every coarse stage from the fine maps of all of them.

    Args:
        channels: of the stages, alike in both streams.
    """

    def __init__(self, channels: Mapping[str, int]) -> None:
        super().__init__()
        total = sum(channels.values())
        self.levels = nn.ModuleDict({name: Reweight(c, c) for name, c in channels.items()})
        self.shift = nn.ModuleDict({name: nn.Conv3d(total, c, 1) for name, c in channels.items()})
        self.scale = nn.ModuleDict({name: nn.Conv3d(total, c, 1) for name, c in channels.items()})

    def maps(self, fine: Mapping[str, Tensor], alignment: Tensor) -> tuple[Tensor, Tensor]:
        """All levels side by side.

        Args:
            fine: name of a stage -> (B, d, T', h, w).
            alignment: (B, T', J).

        Returns:
            Two (B, sum of the channels, J, h, w).
        """
        found: Sequence[tuple[Tensor, Tensor]] = [level(fine[name], alignment) for name, level in self.levels.items()]
        shifts, scales = zip(*found, strict=True)
        return torch.cat(shifts, dim=1), torch.cat(scales, dim=1)

    def forward(self, name: str, x: Tensor, maps: tuple[Tensor, Tensor]) -> Tensor:
        """A coarse stage's features, scaled and shifted.

        Args:
            name: of the stage.
            x: (B, c, J, H, W).
            maps: of :meth:`maps`.
        """
        shift = self.shift[name](maps[0])
        scale = torch.sigmoid(self.scale[name](maps[1]))
        return x * _repeated(scale, x) + _repeated(shift, x)


class LogitFusion(nn.Module):
    """Shift and scale of the logits from the fine stream's last features.

    Args:
        fine_channels: d.
        num_classes: K.
        dropout: within the perceptrons.
    """

    def __init__(self, fine_channels: int, num_classes: int, *, dropout: float) -> None:
        super().__init__()
        self.reweight = Reweight(fine_channels, num_classes, dropout=dropout)

    def forward(self, logits: Tensor, fine: Tensor, alignment: Tensor) -> Tensor:
        """(B, K, J) logits, (B, d, T', 1, 1) features and (B, T', J) alignment -> (B, K, J)."""
        shift, scale = self.reweight(fine, alignment)
        return cast("Tensor", logits * torch.sigmoid(scale.flatten(2)) + shift.flatten(2))


def _perceptron(d: int, c: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Conv3d(d, d, 1), nn.ReLU(), nn.Dropout(dropout), nn.Conv3d(d, c, 1))


def _repeated(small: Tensor, x: Tensor) -> Tensor:
    """(B, c, J, h, w) over the pixels of (B, c, J, H, W)."""
    return F.interpolate(small, x.shape[2:], mode="nearest")
