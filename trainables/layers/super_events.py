"""Super-events: what two sets of temporal structure filters see of a whole video, as evidence for every class.

Letters: B videos, D channels, T frames, K classes, N filters a set.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.layers.structure_filters import structure_filters


def pooled_events(feats: Tensor, filters: Tensor) -> Tensor:
    """(B, S, D) largest of N filtered features of each of S sets.

    Args:
        feats: (B, D, T).
        filters: (B, S, N, T).
    """
    return torch.einsum("bsnt,bdt->bsnd", filters, feats).amax(dim=2)


class SuperEvents(nn.Module):
    """Class logits of whole videos.

    Source: Piergiovanni and Ryoo, CVPR 2018; piergiaj/super-events-cvpr18:super_event_models.py. Differs: the mixing
    weights begin at 0 (there: in whatever is in memory).

    Args:
        width: D.
        num_classes: K.
        num_filters: N.
        dropout: on the pooled features.
    """

    def __init__(self, *, width: int, num_classes: int, num_filters: int, dropout: float) -> None:
        super().__init__()
        self.centres = nn.Parameter(0.5 * torch.randn(2, num_filters))
        self.widths = nn.Parameter(1e-4 * torch.randn(2, num_filters))
        self.mixing = nn.Parameter(torch.empty(num_classes))
        self.weight = nn.Parameter(torch.empty(num_classes, width))
        self.dropout = nn.Dropout(dropout)
        self.renew_classes()

    def renew_classes(self) -> None:
        """Begin anew with what is of the classes; the filters stay."""
        bound = (2 * self.weight.shape[1]) ** -0.5
        nn.init.zeros_(self.mixing)
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, feats: Tensor, valid_mask: Tensor) -> Tensor:
        """(B, K) of (B, D, T); padding influences nothing."""
        lengths = valid_mask.sum(dim=1)
        filters = structure_filters(self.centres.flatten(), self.widths.flatten(), lengths, valid_mask)
        sets = filters.reshape(len(filters), 2, -1, filters.shape[2])
        pooled = self.dropout(pooled_events(feats, sets))
        share = torch.sigmoid(self.mixing)
        first, second = F.linear(pooled, self.weight).unbind(dim=1)
        return share * first + (1 - share) * second
