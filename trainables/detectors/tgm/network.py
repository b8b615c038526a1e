"""The network of TGM with super-events on stored features."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from trainables.detectors.frame_level.network import FrameNetwork
from trainables.layers.super_events import SuperEvents
from trainables.layers.tgm import Shape, TgmLayer


class TgmNetwork(FrameNetwork):
    """Logits of every frame from its features, from TGM layers around it and from the video's super-events.

    Source: piergiaj/tgm-icml19:models.py (``Hierarchy``).

    Args:
        feat_dim: D.
        num_classes: K.
        num_layers: of TGM.
        channels: of each of them; the largest of the last is taken.
        num_kernels: shapes a kernel mixes.
        taps: length of the kernels.
        shape: of the kernels.
        num_filters: of each of the two sets of super-events.
        hidden: channels before the classes.
        dropout: on features, TGM's outputs and super-events.
    """

    def __init__(
        self,
        *,
        feat_dim: int,
        num_classes: int,
        num_layers: int,
        channels: int,
        num_kernels: int,
        taps: int,
        shape: Shape,
        num_filters: int,
        hidden: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        sizes = [1] + [channels] * num_layers
        self.layers = nn.ModuleList(
            TgmLayer(pair, num_kernels=num_kernels, taps=taps, shape=shape) for pair in pairwise(sizes)
        )
        self.video = SuperEvents(width=feat_dim, num_classes=num_classes, num_filters=num_filters, dropout=0.0)
        self.hidden = nn.Conv1d(2 * feat_dim + num_classes, hidden, 1)
        self.classes = nn.Conv1d(hidden, num_classes, 1)

    def renew_classes(self) -> None:
        """The last layer, and the super-events' evidence for the classes, which goes into the one before."""
        self.video.renew_classes()
        self.classes.reset_parameters()

    def forward(self, feats: Tensor, valid_mask: Tensor) -> Tensor:
        """(B, K, T) of (B, D, T)."""
        around = (feats * valid_mask[:, None])[:, None]
        for layer in self.layers:
            around = layer(around, valid_mask)
        around = self.dropout(around.amax(dim=1))
        video = self.dropout(self.video(feats, valid_mask))[:, :, None].expand(-1, -1, feats.shape[2])
        joined = torch.cat([self.dropout(feats), around, video], dim=1)
        return self.classes(torch.relu(self.hidden(torch.relu(joined))))
