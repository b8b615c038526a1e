"""Second stage of R-C3D: the trunk of a pooled region, its class and its offsets.

Letters: R regions, D0 pooled numbers, D channels after the trunk, K classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trainables.layers.input_draws import dropout_of_inputs
from trainables.records import PooledRegions


class RoiTrunk(nn.Module):
    """fc6 and, with two layers, fc7, each followed by ReLU and dropout.

    Args:
        in_features: D0.
        width: D.
        layers: 1 or 2.
        dropout: probability.
    """

    def __init__(self, *, in_features: int, width: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.fc6 = _initialised(nn.Linear(in_features, width))
        self.fc7 = _initialised(nn.Linear(width, width)) if layers == 2 else None
        self.dropout = dropout

    def forward(self, pooled: PooledRegions) -> Tensor:
        """(R, D)."""
        hidden = self._dropout(torch.relu(self.fc6(pooled.feats)), pooled)
        return hidden if self.fc7 is None else self._dropout(torch.relu(self.fc7(hidden)), pooled)

    def _dropout(self, x: Tensor, pooled: PooledRegions) -> Tensor:
        return dropout_of_inputs(x, pooled.owner, pooled.num_inputs, p=self.dropout, training=self.training)


def _initialised(layer: nn.Linear) -> nn.Linear:
    """He et al. 2015 for layers that no checkpoint fills."""
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.bias)
    return layer


class RoiHeads(nn.Module):
    """Class logits with background first, and offsets of every class.

    Source: VisionLearningGroup/R-C3D:experiments/*/train.prototxt.

    Args:
        channels: D.
        num_classes: K.
    """

    def __init__(self, *, channels: int, num_classes: int) -> None:
        super().__init__()
        self.cls = nn.Linear(channels, num_classes + 1)
        self.reg = nn.Linear(channels, 2 * (num_classes + 1))
        for layer, std in ((self.cls, 0.01), (self.reg, 0.001)):
            nn.init.normal_(layer.weight, std=std)
            nn.init.zeros_(layer.bias)

    def forward(self, feats: Tensor) -> tuple[Tensor, Tensor]:
        """(R, D) -> (R, K + 1) logits, (R, K + 1, 2) dc and dl, divided by their deviations."""
        return self.cls(feats), self.reg(feats).unflatten(1, (-1, 2))
