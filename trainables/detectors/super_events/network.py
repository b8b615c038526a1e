"""The network of super-events on stored features."""

from __future__ import annotations

from torch import Tensor, nn

from trainables.detectors.frame_level.network import FrameNetwork
from trainables.layers.super_events import SuperEvents


class SuperEventNetwork(FrameNetwork):
    """Logits of every frame: of its features, and of the video's super-events.

    Source: piergiaj/super-events-cvpr18:super_event_models.py.

    Args:
        feat_dim: D.
        num_classes: K.
        num_filters: of each of the two sets.
        dropout: on the features and on the super-events.
    """

    def __init__(self, *, feat_dim: int, num_classes: int, num_filters: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.video = SuperEvents(width=feat_dim, num_classes=num_classes, num_filters=num_filters, dropout=dropout)
        self.frame = nn.Conv1d(feat_dim, num_classes, 1)
        self._begin_frame()

    def renew_classes(self) -> None:
        """Both classifiers; the filters of the super-events stay."""
        self.video.renew_classes()
        self._begin_frame()

    def _begin_frame(self) -> None:
        bound = (2 * self.frame.in_channels) ** -0.5
        for parameter in self.frame.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(self, feats: Tensor, valid_mask: Tensor) -> Tensor:
        """(B, K, T) of (B, D, T)."""
        feats = self.dropout(feats)
        return self.frame(feats) + self.video(feats, valid_mask)[:, :, None]
