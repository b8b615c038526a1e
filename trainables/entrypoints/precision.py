"""Mixed precision in training: products of layers in bfloat16, everything else in float32.

bfloat16 reaches as far as float32 does, so that gradients need no scaling and no step is left out. It holds eight bits:
enough for what a layer multiplies, too few for the position of a snippet among hundreds, for sums over them, or for
scores that are to be ranked. So every layer hands on what it was given, and inference is as ever.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

Precision = Literal["float32", "bfloat16"]

_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def reduce_precision(module: nn.Module) -> None:
    """While they are in training mode, linear layers and convolutions multiply in bfloat16.

    Weights, gradients and outputs keep their type.
    """
    for layer in module.modules():
        if isinstance(layer, _LAYERS):
            layer.forward = _reduced(layer, layer.forward)  # type: ignore[method-assign, assignment]


def _reduced(layer: nn.Module, whole: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def forward(x: Tensor) -> Tensor:
        if not layer.training:
            return whole(x)
        with torch.autocast(x.device.type, torch.bfloat16):
            product = whole(x)
        return product.to(x.dtype)

    return forward
