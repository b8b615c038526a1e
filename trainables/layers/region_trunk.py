"""Layers that pooled regions go through one by one, whatever input they are of."""

from __future__ import annotations

from torch import Tensor, nn

from trainables.records import PooledRegions


class RegionTrunk(nn.Sequential):
    """Layers of (M, D0) features, as a trunk in the sense of :class:`trainables.contracts.RoiHost`."""

    def forward(self, pooled: PooledRegions) -> Tensor:
        """(M, D)."""
        feats = pooled.feats
        for layer in self:
            feats = layer(feats)
        return feats
