"""X3D per frame: nothing strides or pools over time, so T frames give T answers.

Letters: B inputs, T frames, H and W pixels, C channels, K classes.
"""

from __future__ import annotations

from torch import Tensor, nn

from trainables.backbones.x3d import X3D


class FrameClassifier(nn.Module):
    """Dropout and a linear layer, on every frame alike.

    Args:
        in_channels: C.
        num_classes: K.
        dropout: share of the inputs that training sets to 0.
    """

    def __init__(self, in_channels: int, num_classes: int, *, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(in_channels, num_classes)

    def forward(self, feats: Tensor) -> Tensor:
        """(B, C, T) -> (B, K, T) logits."""
        logits: Tensor = self.linear(self.dropout(feats).transpose(1, 2))
        return logits.transpose(1, 2)


class FrameX3D(nn.Module):
    """Backbone up to fc1, and a classifier of its outputs; X3D-M with 157 classes has 3,296,415 parameters.

    Source: SSDet, section 4 (per-frame predictions of X3D-M); kkahatapitiya/SSDet:x3d.py.

    Args:
        backbone: with its last layer, fc1.
        num_classes: K.
        dropout: before the classifier.
    """

    def __init__(self, backbone: X3D, num_classes: int, *, dropout: float = 0.5) -> None:
        super().__init__()
        self.backbone = backbone
        self.fc2 = FrameClassifier(backbone.endpoints["fc1"].channels, num_classes, dropout=dropout)

    def forward(self, frames: Tensor) -> Tensor:
        """(B, 3, T, H, W) normalised frames -> (B, K, T) logits."""
        logits: Tensor = self.fc2(self.backbone(frames).flatten(2))
        return logits
