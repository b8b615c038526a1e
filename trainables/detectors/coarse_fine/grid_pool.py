"""Grid Pool and Grid Unpool: a stream chooses the frames it looks at, and its answers go back to where they belong.

Source: Coarse-Fine Networks (Kahatapitiya and Ryoo 2021, arXiv:2103.01302), section 3.2.
kkahatapitiya/Coarse-Fine-Networks:x3d_coarse.py, ``GridPoolLayer`` and ``GridUnpool``.

Letters: B inputs, C channels, T frames, n steps of the grid, J points, K classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def grid_points(confidence: Tensor) -> Tensor:
    """Where a video is looked at, as shares of its length: confident parts are seen in small steps.

    Args:
        confidence: (B, n) in (0, 1).

    Returns:
        (B, n + 1) from 0 to 1, rising; step i is (1 - confidence i) / the sum of these.
    """
    steps = 1 - confidence
    points = torch.cumsum(steps, dim=1)
    return F.pad(points / points[:, -1:], (1, 0))


def linear_weights(positions: Tensor, length: int) -> Tensor:
    """Weights of linear interpolation, with gradient in the positions.

    Args:
        positions: (B, J) in samples, from 0 to ``length`` - 1.
        length: T.

    Returns:
        (B, J, T), rows sum to 1.
    """
    samples = torch.arange(length, dtype=positions.dtype, device=positions.device)
    return (1 - (positions[..., None] - samples).abs()).clamp(min=0)


def sample_frames(x: Tensor, points: Tensor) -> Tensor:
    """Features at grid points.

    Args:
        x: (B, C, T, h, w).
        points: (B, J) shares; 0 is the first frame, 1 the last.

    Returns:
        (B, C, J, h, w).
    """
    weights = linear_weights(points * (x.shape[2] - 1), x.shape[2])
    return torch.einsum("bjt,bcthw->bcjhw", weights, x)


def inverse_points(points: Tensor) -> Tensor:
    """The piecewise linear map from j / n to point j, inverted at the multiples of 1 / n.

    Args:
        points: (B, n + 1) rising from 0 to 1.

    Returns:
        (B, n + 1) from 0 to 1.
    """
    steps = points.shape[1] - 1
    wanted = torch.linspace(0, 1, steps + 1, dtype=points.dtype, device=points.device).expand_as(points).contiguous()
    above = torch.searchsorted(points.detach().contiguous(), wanted).clamp(1, steps)
    low, high = points.gather(1, above - 1), points.gather(1, above)
    share = ((wanted - low) / (high - low).clamp(min=torch.finfo(points.dtype).tiny)).clamp(0, 1)
    return (above - 1 + share) / steps


def grid_unpool(logits: Tensor, points: Tensor, factor: int) -> Tensor:
    """Answers at grid points as answers at even distances.

    Args:
        logits: (B, K, n + 1).
        points: (B, n + 1) the grid.
        factor: frames for every step of the grid.

    Returns:
        (B, K, factor * n).
    """
    steps = points.shape[1] - 1
    weights = linear_weights(inverse_points(points) * steps, steps + 1)
    even = torch.einsum("bjt,bkt->bkj", weights, logits)
    return F.interpolate(even, factor * steps, mode="linear", align_corners=True)


class GridPool(nn.Module):
    """Learns the grid from the features, and samples them there.

    Args:
        channels: C.
        num_halvings: of the number of frames; the number of steps is T halved so often, rounded up each time.
        temperature: factor of the score within the sigmoid.
    """

    def __init__(self, channels: int, *, num_halvings: int = 2, temperature: float = 0.5) -> None:
        super().__init__()
        self._temperature = temperature
        layers: list[nn.Module] = []
        for _ in range(num_halvings):
            layers += [nn.Conv3d(channels, channels, 3, 2, 1), nn.BatchNorm3d(channels), nn.ReLU()]
        self.trunk = nn.Sequential(*layers)
        self.score = nn.Conv3d(channels, 1, (1, 3, 3), (1, 2, 2), (0, 1, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features of the stage before.

        Args:
            x: (B, C, T, h, w).

        Returns:
            (B, C, n + 1, h, w) features at the grid points, and the (B, n + 1) points.
        """
        scores = self.score(self.trunk(x)).mean(dim=(1, 3, 4))
        points = grid_points(torch.sigmoid(self._temperature * scores))
        return sample_frames(x, points), points
