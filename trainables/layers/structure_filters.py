"""Temporal structure filters: a few learned places and widths in the length of a video, as weights of its frames.

Letters: B videos, N filters, T frames.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

#: Added to the sum that the filters are divided by.
_EPS = 1e-6


def places(centres: Tensor, lengths: Tensor) -> Tensor:
    """(B, N) frame at which each filter stands: (length - 1)(tanh c + 1) / 2.

    Source: Piergiovanni and Ryoo, CVPR 2018; piergiaj/super-events-cvpr18:temporal_structure_filter.py.

    Args:
        centres: (N,) c, unbounded.
        lengths: (B,) frames.
    """
    return (lengths[:, None] - 1) * (torch.tanh(centres) + 1) / 2


def spreads(widths: Tensor) -> Tensor:
    """(N,) width in frames of each filter, from 0.61 to 4.48: exp(1.5 - 2 |tanh g|); the source is that of ``places``.

    Args:
        widths: (N,) g, unbounded.
    """
    return torch.exp(1.5 - 2 * torch.tanh(widths).abs())


def structure_filters(centres: Tensor, widths: Tensor, lengths: Tensor, valid_mask: Tensor) -> Tensor:
    """Cauchy densities over the frames of each video; they sum to 1 (less 1e-6 over their sum) over valid frames.

    Source: Piergiovanni and Ryoo, CVPR 2018; piergiaj/super-events-cvpr18:temporal_structure_filter.py. Differs: the
    sum is over valid frames (there: padding too); a third parameter, which has no effect there, is left out.

    Args:
        centres: (N,) c.
        widths: (N,) g.
        lengths: (B,) frames that the filters are spread over.
        valid_mask: (B, T).

    Returns:
        (B, N, T), 0 at padding.
    """
    spread = spreads(widths)[None, :, None]
    frames = torch.arange(valid_mask.shape[1], device=centres.device)
    distance = (frames - places(centres, lengths)[:, :, None]) / spread
    density = valid_mask[:, None] / (math.pi * spread * (1 + distance**2))
    return density / (density.sum(dim=2, keepdim=True) + _EPS)


def gaussian_kernels(positions: Tensor, sigmas: Tensor, taps: int) -> Tensor:
    """(M, taps) Gaussians that sum to 1.

    Source: Piergiovanni and Ryoo, ICML 2019, Eq. (1) and (2).

    Args:
        positions: (M,) of the maxima, in taps.
        sigmas: (M,) in taps.
        taps: L.
    """
    distance = (torch.arange(taps, device=positions.device) - positions[:, None]) / sigmas[:, None]
    return torch.softmax(-(distance**2) / 2, dim=1)
