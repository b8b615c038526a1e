"""BN-Inception (Ioffe and Szegedy 2015, arXiv:1502.03167), the two streams of TSN and UntrimmedNet.

Both streams are this network: UntrimmedNet, whose features KT-MGFN and CleanNet read, has BN-Inception in both. The
variant of the 2016 ActivityNet challenge with a ResNet as its spatial stream is not built.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, nn

from trainables.backbones.base import Backbone, Endpoint

#: Channels of 1x1 (0 = a block that halves the image), 3x3 reduce, 3x3, double reduce, double, and of the projection
#: after the pooling ("avg", or "max" where nothing or 5b's projection follows).
_BLOCKS: dict[str, tuple[int, int, int, int, int, str, int]] = {
    "inception_3a": (64, 64, 64, 64, 96, "avg", 32),
    "inception_3b": (64, 64, 96, 64, 96, "avg", 64),
    "inception_3c": (0, 128, 160, 64, 96, "max", 0),
    "inception_4a": (224, 64, 96, 96, 128, "avg", 128),
    "inception_4b": (192, 96, 128, 96, 128, "avg", 128),
    "inception_4c": (160, 128, 160, 128, 160, "avg", 128),
    "inception_4d": (96, 128, 192, 160, 192, "avg", 128),
    "inception_4e": (0, 128, 192, 192, 256, "max", 0),
    "inception_5a": (352, 192, 320, 160, 224, "avg", 128),
    "inception_5b": (352, 192, 320, 192, 224, "max", 128),
}
_STRIDES = {"3a": 8, "3b": 8, "3c": 16, "4a": 16, "4b": 16, "4c": 16, "4d": 16, "4e": 32, "5a": 32, "5b": 32}


class ConvBnRelu(nn.Module):
    """Convolution with bias, batch normalisation, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H / s, W / s)."""
        return torch.relu(self.bn(self.conv(x)))


class InceptionBlock(nn.Module):
    """Branches 1x1, 3x3, double 3x3 and pooling side by side; without the 1x1 branch it halves the image.

    Args:
        in_channels: C.
        one, reduce, three, double_reduce, double: channels of the branches.
        pool: "avg" or "max".
        pool_proj: channels of the projection after the pooling, 0 = none.
    """

    def __init__(
        self,
        in_channels: int,
        one: int,
        reduce: int,
        three: int,
        double_reduce: int,
        double: int,
        pool: str,
        pool_proj: int,
    ) -> None:
        super().__init__()
        stride = 1 if one else 2
        self.one = ConvBnRelu(in_channels, one, 1) if one else None
        self.three_reduce = ConvBnRelu(in_channels, reduce, 1)
        self.three = ConvBnRelu(reduce, three, 3, stride)
        self.double_reduce = ConvBnRelu(in_channels, double_reduce, 1)
        self.double_1 = ConvBnRelu(double_reduce, double, 3)
        self.double_2 = ConvBnRelu(double, double, 3, stride)
        padding = 1 if one else 0
        self.pool: nn.Module = nn.MaxPool2d(3, stride, padding, ceil_mode=True)
        if pool == "avg":
            self.pool = nn.AvgPool2d(3, stride, padding, ceil_mode=True)
        self.pool_proj = ConvBnRelu(in_channels, pool_proj, 1) if pool_proj else nn.Identity()
        self.out_channels = one + three + double + (pool_proj or in_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H / s, W / s)."""
        parts = [] if self.one is None else [self.one(x)]
        parts += [self.three(self.three_reduce(x)), self.double_2(self.double_1(self.double_reduce(x)))]
        return torch.cat([*parts, self.pool_proj(self.pool(x))], dim=1)


class GlobalMean(nn.Module):
    """Mean over the image."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, 1, 1)."""
        return x.mean(dim=(2, 3), keepdim=True)


class Scores(nn.Linear):
    """The classifier, called ``fc-action`` in the public nets: class scores before any softmax."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, 1, 1) -> (N, K, 1, 1)."""
        return super().forward(x.flatten(1))[:, :, None, None]


class BNInception(Backbone):
    """A two-dimensional network applied to every frame; a frame may be a stack of flow fields.

    Endpoints up to ``global_pool`` (1024 channels), and ``fc`` with class scores. 10,270,240 parameters without ``fc``
    for RGB. Height and width are multiples of 32.

    Source: Cadene/pretrained-models.pytorch:pretrainedmodels/models/bninception.py (a port of the network of
    yjxiong/tsn-pytorch).

    Args:
        in_channels: 3 for RGB, 10 for five stacked flow fields (x1, y1, x2, y2, ...).
        num_classes: K of ``fc``, None = no classifier.
    """

    def __init__(self, *, in_channels: int = 3, num_classes: int | None = None) -> None:
        stem = {
            "conv1": (64, 2),
            "pool1": (64, 4),
            "conv2_reduce": (64, 4),
            "conv2": (192, 4),
            "pool2": (192, 8),
        }
        endpoints = {name: Endpoint(channels, 1, stride, 0.5) for name, (channels, stride) in stem.items()}
        blocks: dict[str, InceptionBlock] = {}
        channels = 192
        for name, widths in _BLOCKS.items():
            blocks[name] = InceptionBlock(channels, *widths)
            channels = blocks[name].out_channels
            endpoints[name] = Endpoint(channels, 1, _STRIDES[name[-2:]], 0.5)
        endpoints["global_pool"] = Endpoint(channels, 1, 0, 0.5)
        if num_classes is not None:
            endpoints["fc"] = Endpoint(num_classes, 1, 0, 0.5)
        super().__init__(endpoints, in_channels=in_channels, multiple_of=(1, 32, 32))
        self.conv1 = ConvBnRelu(in_channels, 64, 7, 2)
        self.pool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2_reduce = ConvBnRelu(64, 64, 1)
        self.conv2 = ConvBnRelu(64, 192, 3)
        self.pool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        for name, block in blocks.items():
            self.add_module(name, block)
        self.global_pool = GlobalMean()
        if num_classes is not None:
            self.fc = Scores(channels, num_classes)

    def _run(self, x: Tensor, names: Collection[str]) -> dict[str, Tensor]:
        batch, _, frames = x.shape[:3]
        images = x.transpose(1, 2).flatten(0, 1)
        found = super()._run(images, names)
        return {name: m.reshape(batch, frames, *m.shape[1:]).transpose(1, 2) for name, m in found.items()}
