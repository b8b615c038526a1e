"""The network of PDAN on stored features."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trainables.detectors.frame_level.network import FrameNetwork
from trainables.layers.dilated_attention import DilatedAttention


class PdanNetwork(FrameNetwork):
    """Logits of every frame through blocks of dilated attention, each added to what went in.

    Source: Dai et al., WACV 2021; dairui01/PDAN:PDAN.py. Differs: padding is 0 from the first layer on (there that
    layer's bias gets in).

    Args:
        feat_dim: D.
        num_classes: K.
        blocks: their number; dilation 1, 2, 4...
        width: channels of the blocks.
        dropout: on what a block adds.
    """

    def __init__(self, *, feat_dim: int, num_classes: int, blocks: int, width: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Conv1d(feat_dim, width, 1)
        self.attention = nn.ModuleList(DilatedAttention(width, 2**i) for i in range(blocks))
        self.bottleneck = nn.ModuleList(nn.Conv1d(width, width, 1) for _ in range(blocks))
        self.dropout = nn.Dropout(dropout)
        self.classes = nn.Conv1d(width, num_classes, 1)

    def renew_classes(self) -> None:
        """The last layer."""
        self.classes.reset_parameters()

    def forward(self, feats: Tensor, valid_mask: Tensor) -> Tensor:
        """(B, K, T) of (B, D, T)."""
        mask = valid_mask[:, None]
        x = self.first(feats) * mask
        for attention, bottleneck in zip(self.attention, self.bottleneck, strict=True):
            x = (x + self.dropout(bottleneck(torch.relu(attention(x))))) * mask
        return self.classes(x) * mask
