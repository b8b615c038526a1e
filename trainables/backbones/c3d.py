"""C3D (Tran et al. 2015, arXiv:1412.0767) as R-C3D uses it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from trainables.backbones.base import Backbone, Endpoint

#: Flattened pool5 of a 16-frame, 112-pixel clip: 512 x 1 x 4 x 4.
_POOL5_NUMBERS = 8192

_TRUNK = {
    "conv1a": Endpoint(64, 1, 1, 0.5),
    "pool1": Endpoint(64, 1, 2, 0.5),
    "conv2a": Endpoint(128, 1, 2, 0.5),
    "pool2": Endpoint(128, 2, 4, 1.0),
    "conv3a": Endpoint(256, 2, 4, 1.0),
    "conv3b": Endpoint(256, 2, 4, 1.0),
    "pool3": Endpoint(256, 4, 8, 2.0),
    "conv4a": Endpoint(512, 4, 8, 2.0),
    "conv4b": Endpoint(512, 4, 8, 2.0),
    "pool4": Endpoint(512, 8, 16, 4.0),
    "conv5a": Endpoint(512, 8, 16, 4.0),
    "conv5b": Endpoint(512, 8, 16, 4.0),
}
_HEAD = {
    "pool5": Endpoint(512, 16, 32, 8.0),
    "fc6": Endpoint(4096, 16, 0, 8.0),
    "fc7": Endpoint(4096, 16, 0, 8.0),
}


class ConvRelu(nn.Conv3d):
    """3x3x3 convolution with bias that keeps the size, and ReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, C', T, H, W)."""
        return torch.relu(super().forward(x))


class MaxPool(nn.MaxPool3d):
    """Max-pooling in the precision of its input, which a maximum keeps; a CPU's autocast would copy it to float32."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, C, T', H', W')."""
        with torch.autocast("cpu", enabled=False):
            pooled: Tensor = super().forward(x)
        return pooled


class ClipLinear(nn.Linear):
    """Linear layer on a whole flattened clip (channel, time, height, width), and ReLU."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, C', 1, 1, 1).

        Raises:
            ValueError: the clip has another size than the layer was made for.
        """
        flat = x.flatten(1)
        if flat.shape[1] != self.in_features:
            raise ValueError(
                f"frames: a clip of {tuple(x.shape[1:])} after pooling, where the fully connected layers take "
                f"{self.in_features} numbers; give 16 frames of 112 x 112, or use an endpoint before fc6"
            )
        return torch.relu(super().forward(flat))[:, :, None, None, None]


class C3D(Backbone):
    """Eight 3x3x3 convolutions with max-pooling; time is halved by pool2, pool3 and pool4.

    27,655,936 parameters up to ``conv5b``, 77,995,776 with ``fc6`` and ``fc7``. Inputs are multiples of 8 frames; with
    the fully connected layers exactly 16 frames of 112 x 112.

    Source: VisionLearningGroup/R-C3D:experiments/thumos14/train.prototxt (names); DavideA/c3d-pytorch:C3D_model.py
    (``pool5`` pads height and width by one, which is how 7 x 7 becomes 4 x 4).

    Args:
        fc: also make ``pool5``, ``fc6`` and ``fc7``.
    """

    def __init__(self, *, fc: bool = False) -> None:
        super().__init__(_TRUNK | _HEAD if fc else _TRUNK, in_channels=3, multiple_of=(8, 1, 1))
        channels = 3
        for name, endpoint in _TRUNK.items():
            is_conv = name.startswith("conv")
            self.add_module(name, ConvRelu(channels, endpoint.channels) if is_conv else _pool(name))
            channels = endpoint.channels
        if fc:
            self.pool5 = MaxPool(2, padding=(0, 1, 1))
            self.fc6 = ClipLinear(_POOL5_NUMBERS, _HEAD["fc6"].channels)
            self.fc7 = ClipLinear(_HEAD["fc6"].channels, _HEAD["fc7"].channels)


def _pool(name: str) -> MaxPool:
    size: Any = (1, 2, 2) if name == "pool1" else 2
    return MaxPool(size)
