"""SP-TAD as a host of regions, as auxiliary tasks see it.

How tasks of regions meet SP-TAD is published nowhere. Here the regions are the segments that the last stage starts
from, cut to the clip; their features are what it makes of them, their logits and labels its own. Any other window is
resampled from the pyramid as it is, and goes through the layer in which the last stage condenses a segment's features.

Letters: B inputs, N proposals of each, R = B N regions, M windows, P positions, D width, K classes.
"""

from __future__ import annotations

import copy
import dataclasses

import torch
from torch import Tensor, nn

from trainables.detectors.sp_tad.matching import Instances
from trainables.detectors.sp_tad.objectives import focal_class_loss, labels_of, matched_segments
from trainables.detectors.sp_tad.pyramid import Levels, window_feats
from trainables.detectors.sp_tad.settings import Focal, Soi
from trainables.detectors.sp_tad.stages import Stage
from trainables.layers.offsets import encode_ends
from trainables.layers.region_trunk import RegionTrunk
from trainables.records import Outputs, PooledRegions, RoiView


class Regions(nn.Module):
    """The part of :class:`trainables.contracts.RoiHost` that is not the detector.

    Args:
        stages: of refinement.
        width: D.
        num_classes: K; there is no background among the logits.
        stride: samples of the input that a cell of the finest level covers.
        soi: how windows are resampled.
        focal: alpha and gamma.
    """

    offsets_per_class = False

    def __init__(
        self, *, stages: nn.ModuleList, width: int, num_classes: int, stride: float, soi: Soi, focal: Focal
    ) -> None:
        super().__init__()
        self.stages = stages
        self.samples_per_cell = max(round(stride), 1)
        self.pooled_channels = soi.resolution * width
        self.roi_channels = width
        self.num_logits = num_classes
        self.classification_loss_name = f"stage{len(stages)}_class"
        self._soi, self._focal = soi, focal

    def pool(self, outputs: Outputs, segments: Tensor) -> PooledRegions:
        """(M, 3) input index, start, end in temporal samples -> M regions, differentiable in the pyramid."""
        terms, num_samples = outputs.terms, outputs.valid_mask.shape[1]
        levels = Levels(terms["cells"], terms["counts"], terms["strides"], num_samples)
        windows = torch.cat([segments[:, :1], segments[:, 1:] / num_samples], dim=1)
        feats = window_feats(levels, windows, self._soi).flatten(1)
        return PooledRegions(feats, segments[:, 0].long(), len(outputs.valid_mask))

    def roi_trunk(self, pooled: PooledRegions) -> Tensor:
        """(M, D), from the layer of the last stage."""
        feats: Tensor = self._condense(pooled.feats)
        return feats

    def new_trunk(self) -> nn.Module:
        """A copy of that layer, with the weights it has now."""
        return RegionTrunk(*copy.deepcopy(self._condense))

    @property
    def _condense(self) -> nn.Sequential:
        last = self.stages[-1]
        assert isinstance(last, Stage), "as it was given"
        return last.interaction.condense

    def classification_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The last stage's."""
        return focal_class_loss(logits, labels, self._focal)

    def roi_offsets(self, outputs: Outputs) -> Tensor:
        """(R, 2) the last stage's regression, coded by start and end; the same for every class."""
        view = outputs.rois
        assert view is not None, "the forward pass always gives them"
        predicted = outputs.terms["segments"][-1].flatten(0, 1) * outputs.valid_mask.shape[1]
        return encode_ends(view.rois[:, 1:], predicted)

    def with_logits(self, outputs: Outputs, logits: Tensor) -> Outputs:
        """The same outputs with other (R, K) class logits: :meth:`trainables.records.Outputs.with_roi_logits`."""
        return outputs.with_roi_logits(logits, "class_logits")

    def _view(self, start: Tensor, feats: Tensor, logits: Tensor, valid_mask: Tensor) -> RoiView:
        """Regions without targets.

        Args:
            start: (B, N, 2) segments that the last stage starts from, shares of the clip.
            feats: (B, N, D) and ``logits`` (B, N, K): what it makes of them.
            logits: see above.
            valid_mask: (B, T).
        """
        limit = valid_mask.sum(dim=1)[:, None].to(start.dtype)
        low, high = (start.detach() * valid_mask.shape[1]).unbind(-1)
        low = torch.minimum(low.clamp(min=0.0), limit - self.samples_per_cell).clamp(min=0.0)
        high = torch.minimum(torch.maximum(high, low + self.samples_per_cell), limit)
        owner = torch.arange(len(start), device=start.device, dtype=start.dtype)[:, None].expand_as(low)
        return RoiView(torch.stack([owner, low, high], dim=-1).flatten(0, 1), feats.flatten(0, 1), logits.flatten(0, 1))

    @staticmethod
    def _with_targets(view: RoiView, matched: Tensor, instances: Instances, num_samples: int) -> RoiView:
        labels = labels_of(matched, instances).flatten()
        segments = matched_segments(matched, instances).flatten(0, 1) * num_samples
        return dataclasses.replace(view, labels=labels, matched_gt=segments)
