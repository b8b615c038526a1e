"""Regions of interest of PBRNet: the coarse segments, as auxiliary tasks see them.

How the tasks of Three Birds meet PBRNet is published nowhere. Here the regions are the segments that CPD decodes, their
logits RPD's, their labels RPD's assignment, and their features are pooled from the shared map and go through one fully
connected layer. Letters: B inputs, N coarse segments of each, R = B N regions, D0 and D channels.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from trainables.layers.offsets import ends_from_centre_length
from trainables.layers.region_trunk import RegionTrunk
from trainables.layers.soi_pool import soi_pool
from trainables.losses.balanced import mined_cross_entropy
from trainables.records import Outputs, PooledRegions, RoiView


class Regions(nn.Module):
    """The part of :class:`trainables.contracts.RoiHost` that is not the detector.

    A region that takes no part (rejected by CPD, or centred in padding) has label -1.

    Args:
        channels: of the shared map.
        samples_per_cell: temporal samples of the input that a cell of the map covers.
        bins: parts of a pooled region in time, height and width.
        width: D; None = the regions have no features, and no task that reads them can be attached.
        num_logits: K + 1.
    """

    classification_loss_name = "rpd_class"
    offsets_per_class = False

    def __init__(
        self, *, channels: int, samples_per_cell: int, bins: tuple[int, int, int], width: int | None, num_logits: int
    ) -> None:
        super().__init__()
        self.samples_per_cell = samples_per_cell
        self.pooled_channels = channels * math.prod(bins)
        self.num_logits = num_logits
        self._bins = bins
        self._width = width
        if width is not None:
            self.roi_trunk = RegionTrunk(nn.Linear(self.pooled_channels, width), nn.ReLU())

    @property
    def roi_channels(self) -> int:
        """D.

        Raises:
            ValueError: the regions have no features.
        """
        if self._width is None:
            raise ValueError(
                "net.roi_width: null leaves regions without the features that auxiliary tasks read; set it"
            )
        return self._width

    def pool(self, outputs: Outputs, segments: Tensor) -> PooledRegions:
        """(M, 3) input index, start, end in temporal samples -> M regions, differentiable in the shared map."""
        return self._pooled(outputs.terms["map"], segments)

    def _pooled(self, shared: Tensor, segments: Tensor) -> PooledRegions:
        feats = soi_pool(shared, segments, samples_per_cell=self.samples_per_cell, bins=self._bins).flatten(1)
        return PooledRegions(feats, segments[:, 0].long(), len(shared))

    def new_trunk(self) -> nn.Module:
        """A copy of the trunk, with the weights it has now.

        Raises:
            ValueError: the regions have no features.
        """
        trunk = RegionTrunk(nn.Linear(self.pooled_channels, self.roi_channels), nn.ReLU())
        trunk.load_state_dict(self.roi_trunk.state_dict())
        return trunk

    def classification_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Positives beside as many of the joint batch's hardest negatives; regions of label -1 take no part."""
        return mined_cross_entropy(logits, labels)

    def roi_offsets(self, outputs: Outputs) -> Tensor:
        """(R, 2) RPD's regression, coded by start and end; the same for every class."""
        return ends_from_centre_length(outputs.terms["rpd_offsets"].flatten(0, 1))

    def with_logits(self, outputs: Outputs, logits: Tensor) -> Outputs:
        """The same outputs with other (R, K + 1) class logits: :meth:`trainables.records.Outputs.with_roi_logits`."""
        return outputs.with_roi_logits(logits, "class_logits")

    def _view(self, shared: Tensor, segments: Tensor, logits: Tensor) -> RoiView:
        """Regions without targets.

        Args:
            shared: the map.
            segments: (B, N, 2) coarse segments in temporal samples, without gradient.
            logits: (B, N, K + 1).
        """
        owner = torch.arange(len(segments), device=segments.device, dtype=segments.dtype)
        rois = torch.cat([owner[:, None, None].expand(-1, segments.shape[1], 1), segments], dim=-1).flatten(0, 1)
        feats = logits.new_zeros(len(rois), 0) if self._width is None else self.roi_trunk(self._pooled(shared, rois))
        return RoiView(rois=rois, feats=feats, logits=logits.flatten(0, 1))
