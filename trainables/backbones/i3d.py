"""I3D: Inception-v1 inflated to three dimensions (Carreira and Zisserman 2017, arXiv:1705.07750)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainables.backbones.base import Backbone, Endpoint

Size3 = tuple[int, int, int]

_ENDPOINTS = {
    "Conv3d_1a_7x7": Endpoint(64, 2, 2, 1.5),
    "MaxPool3d_2a_3x3": Endpoint(64, 2, 4, 1.5),
    "Conv3d_2b_1x1": Endpoint(64, 2, 4, 1.5),
    "Conv3d_2c_3x3": Endpoint(192, 2, 4, 1.5),
    "MaxPool3d_3a_3x3": Endpoint(192, 2, 8, 1.5),
    "Mixed_3b": Endpoint(256, 2, 8, 1.5),
    "Mixed_3c": Endpoint(480, 2, 8, 1.5),
    "MaxPool3d_4a_3x3": Endpoint(480, 4, 16, 3.5),
    "Mixed_4b": Endpoint(512, 4, 16, 3.5),
    "Mixed_4c": Endpoint(512, 4, 16, 3.5),
    "Mixed_4d": Endpoint(512, 4, 16, 3.5),
    "Mixed_4e": Endpoint(528, 4, 16, 3.5),
    "Mixed_4f": Endpoint(832, 4, 16, 3.5),
    "MaxPool3d_5a_2x2": Endpoint(832, 8, 32, 5.5),
    "Mixed_5b": Endpoint(832, 8, 32, 5.5),
    "Mixed_5c": Endpoint(1024, 8, 32, 5.5),
}

#: Convolutions outside the Inception blocks: kernel and stride.
_CONVS: dict[str, tuple[Size3, Size3]] = {
    "Conv3d_1a_7x7": ((7, 7, 7), (2, 2, 2)),
    "Conv3d_2b_1x1": ((1, 1, 1), (1, 1, 1)),
    "Conv3d_2c_3x3": ((3, 3, 3), (1, 1, 1)),
}

_POOLS: dict[str, tuple[Size3, Size3]] = {
    "MaxPool3d_2a_3x3": ((1, 3, 3), (1, 2, 2)),
    "MaxPool3d_3a_3x3": ((1, 3, 3), (1, 2, 2)),
    "MaxPool3d_4a_3x3": ((3, 3, 3), (2, 2, 2)),
    "MaxPool3d_5a_2x2": ((2, 2, 2), (2, 2, 2)),
}

#: Channels of the branches b0, b1a, b1b, b2a, b2b, b3b.
_MIXED: dict[str, tuple[int, int, int, int, int, int]] = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}


def pad_same(x: Tensor, kernel: Size3, stride: Size3) -> Tensor:
    """Pad with zeros as TensorFlow's "SAME" does: the smaller half in front, so that the output is ceil(size / stride).

    Args:
        x: (B, C, T, H, W).
        kernel: of the layer that follows.
        stride: of the layer that follows.
    """
    pads: list[int] = []
    for size, k, s in reversed(list(zip(x.shape[2:], kernel, stride, strict=True))):
        total = max(k - (size % s or s), 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads)


class Unit(nn.Module):
    """Convolution without bias, "SAME" padding, batch normalisation, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel: Size3, stride: Size3 = (1, 1, 1)) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.conv3d = nn.Conv3d(in_channels, out_channels, kernel, stride, bias=False)
        self.bn = nn.BatchNorm3d(out_channels, eps=1e-3, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, C', ceil(T / s), ...)."""
        return torch.relu(self.bn(self.conv3d(pad_same(x, self.kernel, self.stride))))


class SameMaxPool(nn.Module):
    """Max-pooling with "SAME" padding by zeros; its inputs are not negative."""

    def __init__(self, kernel: Size3, stride: Size3) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, C, ceil(T / s), ...)."""
        return F.max_pool3d(pad_same(x, self.kernel, self.stride), self.kernel, self.stride)


class Mixed(nn.Module):
    """Inception block: four branches side by side.

    Args:
        in_channels: C.
        widths: channels of b0, b1a, b1b, b2a, b2b, b3b.
    """

    def __init__(self, in_channels: int, widths: tuple[int, int, int, int, int, int]) -> None:
        super().__init__()
        b0, b1a, b1b, b2a, b2b, b3b = widths
        one, three = (1, 1, 1), (3, 3, 3)
        self.b0 = Unit(in_channels, b0, one)
        self.b1a = Unit(in_channels, b1a, one)
        self.b1b = Unit(b1a, b1b, three)
        self.b2a = Unit(in_channels, b2a, one)
        self.b2b = Unit(b2a, b2b, three)
        self.b3a = SameMaxPool(three, one)
        self.b3b = Unit(in_channels, b3b, one)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, b0 + b1b + b2b + b3b, T, H, W)."""
        parts = [self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x))]
        return torch.cat(parts, dim=1)


class I3D(Backbone):
    """All endpoints up to ``Mixed_5c``; 12,287,264 parameters for RGB, 12,265,312 for flow.

    Batch-normalisation statistics are frozen by the caller (``eval``) where a paper freezes them.

    Source: piergiaj/pytorch-i3d:pytorch_i3d.py, whose parameter names are kept.

    Args:
        in_channels: 3 for RGB, 2 for flow (x, y).
    """

    def __init__(self, *, in_channels: int = 3) -> None:
        super().__init__(_ENDPOINTS, in_channels=in_channels)
        channels = in_channels
        for name, endpoint in _ENDPOINTS.items():
            self.add_module(name, _layer(name, channels, endpoint.channels))
            channels = endpoint.channels


def _layer(name: str, in_channels: int, out_channels: int) -> nn.Module:
    if name in _MIXED:
        return Mixed(in_channels, _MIXED[name])
    if name in _POOLS:
        return SameMaxPool(*_POOLS[name])
    return Unit(in_channels, out_channels, *_CONVS[name])
