"""X3D (Feichtenhofer 2020, arXiv:2004.04730): a narrow residual network that never strides in time."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainables.backbones.base import Backbone, Endpoint

#: Before the expansion by width and depth: channels and blocks of res2 to res5, inner channels per output channel.
_STEM_CHANNELS = 12
_STAGES = ((12, 1), (24, 2), (48, 5), (96, 3))
_BOTTLENECK = 2.25
_SE_RATIO = 1 / 16


def round_width(channels: float, factor: float) -> int:
    """Channels times a factor, rounded to a multiple of 8 (half up), at least 8, never below 90 %.

    Source: facebookresearch/SlowFast:slowfast/models/utils.py, ``round_width``.
    """
    wanted = channels * factor
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * wanted else rounded


class Stem(nn.Module):
    """1x3x3 convolution of stride 2, depthwise 5x1x1 convolution, batch normalisation, ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_xy = nn.Conv3d(3, channels, (1, 3, 3), (1, 2, 2), (0, 1, 1), bias=False)
        self.conv_t = nn.Conv3d(channels, channels, (5, 1, 1), 1, (2, 0, 0), groups=channels, bias=False)
        self.bn = nn.BatchNorm3d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, T, H, W) -> (B, C, T, H / 2, W / 2)."""
        return torch.relu(self.bn(self.conv_t(self.conv_xy(x))))


class SqueezeExcite(nn.Module):
    """Channel gates from the mean over time and space; over all frames given, so chunks of a clip differ slightly."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = round_width(channels, _SE_RATIO)
        self.fc1 = nn.Conv3d(channels, squeezed, 1)
        self.fc2 = nn.Conv3d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W), same shape."""
        mean = x.mean(dim=(2, 3, 4), keepdim=True)
        return x * torch.sigmoid(self.fc2(torch.relu(self.fc1(mean))))


class Block(nn.Module):
    """Inverted bottleneck: 1x1x1, depthwise 3x3x3 (with gates on every other block), Swish, 1x1x1, shortcut.

    Args:
        in_channels: C.
        out_channels: C'.
        stride: in space; with it the shortcut is a convolution.
        gates: squeeze and excitation after the second batch normalisation.
        shortcut_bn: batch normalisation of the convolutional shortcut.
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int, gates: bool, shortcut_bn: bool) -> None:
        super().__init__()
        inner = int(_BOTTLENECK * out_channels)
        strides = (1, stride, stride)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1:
            self.shortcut = nn.Conv3d(in_channels, out_channels, 1, strides, bias=False)
        self.shortcut_bn = nn.BatchNorm3d(out_channels) if stride > 1 and shortcut_bn else nn.Identity()
        self.conv_a = nn.Conv3d(in_channels, inner, 1, bias=False)
        self.bn_a = nn.BatchNorm3d(inner)
        self.conv_b = nn.Conv3d(inner, inner, 3, strides, 1, groups=inner, bias=False)
        self.bn_b = nn.BatchNorm3d(inner)
        self.se = SqueezeExcite(inner) if gates else nn.Identity()
        self.conv_c = nn.Conv3d(inner, out_channels, 1, bias=False)
        self.bn_c = nn.BatchNorm3d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, C', T, H / s, W / s)."""
        y = torch.relu(self.bn_a(self.conv_a(x)))
        y = F.silu(self.se(self.bn_b(self.conv_b(y))))
        return torch.relu(self.shortcut_bn(self.shortcut(x)) + self.bn_c(self.conv_c(y)))


class Conv5(nn.Module):
    """Pointwise convolution, batch normalisation, ReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(in_channels, out_channels, 1, bias=False)
        self.bn = nn.BatchNorm3d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, C', T, H, W)."""
        return torch.relu(self.bn(self.conv(x)))


class SpatialMean(nn.Module):
    """Mean over height and width."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, C, T, 1, 1)."""
        return x.mean(dim=(3, 4), keepdim=True)


class PointwiseRelu(nn.Conv3d):
    """1x1x1 convolution without bias, and ReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, C', T, H, W)."""
        return torch.relu(super().forward(x))


class X3D(Backbone):
    """Endpoints ``stem``, ``res2`` to ``res5``, ``conv5``, ``pool`` (mean over space) and ``fc1``, one output a frame.

    X3D-S and X3D-M are the same network at other input sizes (width 2, depth 2.2); X3D-L has depth 5. Up to ``fc1``
    X3D-M has 2,974,722 parameters, a linear classifier of K classes adds 2049 K.

    Source: the paper, Table 1; facebookresearch/SlowFast:slowfast/models/video_model_builder.py, class ``X3D``.

    Args:
        width: factor of the channels.
        depth: factor of the blocks.
        fc1_channels: width of the last layer.
        res2_shortcut_bn: batch normalisation on the shortcut of res2, which keeps its width: SlowFast's checkpoints
            have it, facebookresearch/pytorchvideo's have none.
    """

    def __init__(
        self,
        *,
        width: float = 2.0,
        depth: float = 2.2,
        fc1_channels: int = 2048,
        res2_shortcut_bn: bool = True,
    ) -> None:
        stem = round_width(_STEM_CHANNELS, width)
        outs = [round_width(channels, width) for channels, _ in _STAGES]
        conv5 = int(_BOTTLENECK * outs[-1])
        endpoints = {"stem": Endpoint(stem, 1, 2, 0.5)}
        endpoints |= {f"res{i}": Endpoint(out, 1, 2**i, 0.5) for i, out in enumerate(outs, start=2)}
        endpoints["conv5"] = Endpoint(conv5, 1, 32, 0.5)
        endpoints["pool"] = Endpoint(conv5, 1, 0, 0.5)
        endpoints["fc1"] = Endpoint(fc1_channels, 1, 0, 0.5)
        super().__init__(endpoints, in_channels=3)
        self.stem = Stem(stem)
        channels = stem
        for i, (out, (_, blocks)) in enumerate(zip(outs, _STAGES, strict=True), start=2):
            shortcut_bn = res2_shortcut_bn or i > 2
            self.add_module(f"res{i}", _stage(channels, out, math.ceil(depth * blocks), shortcut_bn=shortcut_bn))
            channels = out
        self.conv5 = Conv5(channels, conv5)
        self.pool = SpatialMean()
        self.fc1 = PointwiseRelu(conv5, fc1_channels)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def _stage(in_channels: int, out_channels: int, blocks: int, *, shortcut_bn: bool) -> nn.Sequential:
    first = Block(in_channels, out_channels, stride=2, gates=True, shortcut_bn=shortcut_bn)
    others = [
        Block(out_channels, out_channels, stride=1, gates=i % 2 == 0, shortcut_bn=shortcut_bn) for i in range(1, blocks)
    ]
    return nn.Sequential(first, *others)
