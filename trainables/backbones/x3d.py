"""X3D (Feichtenhofer 2020, arXiv:2004.04730): a narrow residual network that never strides in time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainables.backbones.base import Backbone, Endpoint
from trainables.layers.recompute import recomputed

#: Before the expansion by width and depth: channels and blocks of res2 to res5, inner channels per output channel.
_STEM_CHANNELS = 12
_STAGES = ((12, 1), (24, 2), (48, 5), (96, 3))
_BOTTLENECK = 2.25
_SE_RATIO = 1 / 16


def round_width(channels: float, factor: float) -> int:
    """Channels times a factor, rounded to a multiple of 8 (half up), at least 8, never below 90 %.

    Source: facebookresearch/SlowFast:slowfast/models/operators.py, ``SE._round_width``.
    """
    wanted = channels * factor
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * wanted else rounded


@dataclass(frozen=True)
class Plan:
    """Sizes of a network of the family.

    Attributes:
        stem: channels of the stem.
        stages: channels and number of blocks of res2 to res5.
        conv5: channels of the last convolution.
    """

    stem: int
    stages: tuple[tuple[int, int], ...]
    conv5: int


def plan(width: float, depth: float) -> Plan:
    """Sizes after the expansion.

    Args:
        width: factor of the channels.
        depth: factor of the blocks.
    """
    stages = tuple((round_width(channels, width), math.ceil(depth * blocks)) for channels, blocks in _STAGES)
    return Plan(round_width(_STEM_CHANNELS, width), stages, int(_BOTTLENECK * stages[-1][0]))


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


class Stage(nn.Sequential):
    """Blocks one after another, the first of stride 2; every other one has gates.

    Args:
        in_channels: C.
        out_channels: C'.
        num_blocks: how many.
        shortcut_bn: batch normalisation of the first block's shortcut.
        recompute: in training, keep only the inputs of the blocks and compute the rest again in the backward pass.
    """

    def __init__(
        self, in_channels: int, out_channels: int, num_blocks: int, *, shortcut_bn: bool = True, recompute: bool = False
    ) -> None:
        inputs = [in_channels] + [out_channels] * (num_blocks - 1)
        blocks = [
            Block(channels, out_channels, stride=1 if i else 2, gates=i % 2 == 0, shortcut_bn=shortcut_bn)
            for i, channels in enumerate(inputs)
        ]
        super().__init__(*blocks)
        self._recompute = recompute

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, C', T, H / 2, W / 2)."""
        for block in self:
            x = recomputed(block, x) if self._recompute and self.training else block(x)
        return x


class X3D(Backbone):
    """Endpoints ``stem``, ``res2`` to ``res5``, ``conv5``, ``pool`` (mean over space) and ``fc1``, one output a frame.

    X3D-S and X3D-M are the same network at other input sizes (width 2, depth 2.2); X3D-L has depth 5. Up to ``fc1``
    X3D-M has 2,974,722 parameters, a linear classifier of K classes adds 2049 K.

    Source: the paper, Table 1; facebookresearch/SlowFast:slowfast/models/video_model_builder.py, class ``X3D``.

    Args:
        width: factor of the channels.
        depth: factor of the blocks.
        fc1_channels: width of the last layer; None = the network ends with ``pool``.
        res2_shortcut_bn: batch normalisation on the shortcut of res2, which keeps its width: SlowFast's checkpoints
            have it, facebookresearch/pytorchvideo's have none.
        recompute: in training, keep only the inputs of the blocks and compute the rest again in the backward pass.
    """

    def __init__(
        self,
        *,
        width: float = 2.0,
        depth: float = 2.2,
        fc1_channels: int | None = 2048,
        res2_shortcut_bn: bool = True,
        recompute: bool = False,
    ) -> None:
        sizes = plan(width, depth)
        endpoints = {"stem": Endpoint(sizes.stem, 1, 2, 0.5)}
        endpoints |= {f"res{i}": Endpoint(out, 1, 2**i, 0.5) for i, (out, _) in enumerate(sizes.stages, start=2)}
        endpoints["conv5"] = Endpoint(sizes.conv5, 1, 32, 0.5)
        endpoints["pool"] = Endpoint(sizes.conv5, 1, 0, 0.5)
        if fc1_channels is not None:
            endpoints["fc1"] = Endpoint(fc1_channels, 1, 0, 0.5)
        super().__init__(endpoints, in_channels=3)
        self.stem = Stem(sizes.stem)
        channels = sizes.stem
        for i, (out, num_blocks) in enumerate(sizes.stages, start=2):
            normalised = res2_shortcut_bn or i > 2
            self.add_module(f"res{i}", Stage(channels, out, num_blocks, shortcut_bn=normalised, recompute=recompute))
            channels = out
        self.conv5 = Conv5(channels, sizes.conv5)
        self.pool = SpatialMean()
        if fc1_channels is not None:
            self.fc1 = PointwiseRelu(sizes.conv5, fc1_channels)
        start_convolutions(self)


def start_convolutions(network: nn.Module) -> None:
    """Random weights of every three-dimensional convolution: He et al. 2015 (arXiv:1502.01852), by outputs."""
    for module in network.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
