"""The network of R-C3D: a shared map, proposals on it, and a second stage that classifies and refines them.

Letters: B inputs, T samples, N anchors, R regions, D region channels, K classes.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.detections import Detections
from trainables.detectors.r_c3d.anchors import make_anchors
from trainables.detectors.r_c3d.detect import detect_segments
from trainables.detectors.r_c3d.heads import RoiHeads, RoiTrunk
from trainables.detectors.r_c3d.matching import PaddedTargets, pad_rows
from trainables.detectors.r_c3d.proposals import ProposalSubnet, propose
from trainables.detectors.r_c3d.regions import sample_regions
from trainables.detectors.r_c3d.settings import Anchors, Roi, Rpn, Settings, Trunk
from trainables.detectors.r_c3d.targets import AnchorTargets, anchor_targets, sample_anchors
from trainables.detectors.r_c3d.terms import OFFSET_STDS, proposal_losses, region_offset_loss
from trainables.layers.offsets import ends_from_centre_length
from trainables.layers.soi_pool import soi_pool
from trainables.records import Batch, Outputs, PooledRegions, RawOutput, RoiView

_RPN_LOSSES = ("rpn_class", "rpn_offset")
_LOSSES = (*_RPN_LOSSES, "roi_class", "roi_offset", "positive_regions")


class RC3D(nn.Module):
    """R-C3D, a host of regions (:class:`trainables.contracts.RoiHost`).

    Args:
        shared_map: batch -> (B, C, cells, h, w); says ``channels``, ``samples_per_cell`` and ``spatial``.
        num_classes: K.
        bins: P_t, P_h, P_w of a pooled region.
        anchors: their lengths.
        rpn: proposal subnet.
        roi: regions learnt from.
        trunk: of the second stage.
        inclusive: see :mod:`trainables.detectors.r_c3d.anchors`.
    """

    classification_loss_name = "roi_class"
    offsets_per_class = True

    def __init__(
        self,
        *,
        shared_map: Any,
        num_classes: int,
        bins: tuple[int, int, int],
        anchors: Anchors,
        rpn: Rpn,
        roi: Roi,
        trunk: Trunk,
        inclusive: bool,
    ) -> None:
        super().__init__()
        self.backbone = shared_map
        self.samples_per_cell: int = shared_map.samples_per_cell
        self.pooled_channels: int = shared_map.channels * bins[0] * bins[1] * bins[2]
        self.roi_channels = trunk.width
        self.num_logits = num_classes + 1
        self._bins, self._scales = bins, anchors.lengths
        self._rpn, self._roi, self._inclusive = rpn, roi, inclusive
        self._min_samples = rpn.min_size * self.samples_per_cell
        self.rpn = ProposalSubnet(
            channels=shared_map.channels,
            width=rpn.width,
            num_scales=len(self._scales),
            double=rpn.variant == "double",
            spatial=shared_map.spatial,
        )
        self.trunk = RoiTrunk(
            in_features=self.pooled_channels, width=trunk.width, layers=trunk.layers, dropout=trunk.dropout
        )
        self.heads = RoiHeads(channels=trunk.width, num_classes=num_classes)

    def forward(self, batch: Batch) -> Outputs:
        """Proposals and their second stage: sampled regions in training with segments at hand, else all of them."""
        shared: Tensor = self.backbone(batch)
        lengths = batch.valid_mask.sum(dim=1)
        scores, offsets = self.rpn(shared)
        anchors = make_anchors(
            self._scales,
            shared.shape[2],
            samples_per_cell=self.samples_per_cell,
            inclusive=self._inclusive,
            device=shared.device,
        )
        proposals = self._propose(scores, offsets, anchors, lengths)
        terms = {"map": shared, "rpn_scores": scores, "rpn_offsets": offsets, "anchors": anchors, "lengths": lengths}
        labels = matched = None
        if self.training and batch.segments is not None:
            targets = PaddedTargets.of(batch.segments, lengths.device)
            regions = self._sample(proposals, targets, lengths)
            terms |= self._anchors_learnt(anchors, targets, lengths)
            proposals, labels, matched = regions.rois, regions.labels, regions.matched.float()
        rois = proposals.float()
        feats = self.roi_trunk(self._pool(shared, rois))
        logits, roi_offsets = self.heads(feats)
        view = RoiView(rois, feats, logits, labels, matched)
        raw = {} if self.training else _raw(rois, logits, roi_offsets, len(lengths))
        return Outputs(valid_mask=batch.valid_mask, rois=view, raw=raw, terms=terms | {"roi_offsets": roi_offsets})

    def _propose(self, scores: Tensor, offsets: Tensor, anchors: Tensor, lengths: Tensor) -> Tensor:
        rpn = self._rpn
        pre, post, tiou = (
            (rpn.pre_nms_train, rpn.post_nms_train, rpn.nms_train)
            if self.training
            else (rpn.pre_nms_test, rpn.post_nms_test, rpn.nms_test)
        )
        return propose(
            scores,
            offsets,
            anchors,
            lengths,
            min_samples=self._min_samples,
            pre_nms=pre,
            post_nms=post,
            tiou_threshold=tiou,
            inclusive=self._inclusive,
        )

    def _anchors_learnt(self, anchors: Tensor, targets: PaddedTargets, lengths: Tensor) -> dict[str, Tensor]:
        rpn = self._rpn
        every = anchor_targets(
            anchors, targets, lengths, pos_tiou=rpn.pos_tiou, neg_tiou=rpn.neg_tiou, inclusive=self._inclusive
        )
        sampled = sample_anchors(every, rpn.batch)
        return {
            "rpn_positive": sampled.positive,
            "rpn_negative": sampled.negative,
            "rpn_target_offsets": sampled.offsets,
        }

    def _sample(self, proposals: Tensor, targets: PaddedTargets, lengths: Tensor) -> Any:
        roi = self._roi
        return sample_regions(
            proposals,
            targets,
            lengths,
            batch=roi.batch,
            fg_tiou=roi.fg_tiou,
            bg_lo=roi.bg_lo,
            fg_fraction=roi.fg_fraction,
            min_samples=float(self.samples_per_cell),
            inclusive=self._inclusive,
        )

    def losses(self, outputs: Outputs, batch: Batch, active: Collection[str]) -> Mapping[str, Tensor]:
        """The terms of Eq. (8), and the share of positive regions, to be logged.

        ``rpn_class``, ``rpn_offset``: of sampled anchors; ``roi_class``, ``roi_offset``: of sampled regions.

        Raises:
            ValueError: a name that is not there, or no annotated segments.
        """
        unknown = sorted(set(active) - set(_LOSSES))
        if unknown:
            raise ValueError(f"no loss {', '.join(unknown)}; r_c3d has {', '.join(_LOSSES)}")
        rois, labels, matched = _sampled(outputs)
        found: dict[str, Tensor] = {}
        if any(name in active for name in _RPN_LOSSES):
            terms = outputs.terms
            sampled = AnchorTargets(terms["rpn_positive"], terms["rpn_negative"], terms["rpn_target_offsets"])
            both = proposal_losses(terms["rpn_scores"], terms["rpn_offsets"], sampled)
            found |= zip(_RPN_LOSSES, both, strict=True)
        if "roi_class" in active:
            found["roi_class"] = self.classification_loss(rois.logits, labels)
        if "roi_offset" in active:
            found["roi_offset"] = region_offset_loss(
                outputs.terms["roi_offsets"], rois.rois[:, 1:], labels, matched, inclusive=self._inclusive
            )
        if "positive_regions" in active:
            found["positive_regions"] = (labels > 0).float().mean()
        return {name: found[name] for name in active}

    def loss_counts(self, outputs: Outputs, batch: Batch) -> Mapping[str, float]:
        """Sampled anchors, and sampled regions."""
        _, labels, _ = _sampled(outputs)
        anchors = float((outputs.terms["rpn_positive"] | outputs.terms["rpn_negative"]).sum())
        return {name: anchors if name in _RPN_LOSSES else float(len(labels)) for name in _LOSSES}

    def detect(self, raw: Sequence[RawOutput], config: Settings | Any) -> Detections:
        """Detections of whole videos."""
        return detect_segments(raw, config)

    def pool(self, outputs: Outputs, segments: Tensor) -> PooledRegions:
        """(M, 3) input, start, end in samples -> M regions, differentiable in the shared map."""
        return self._pool(outputs.terms["map"], segments)

    def _pool(self, shared: Tensor, segments: Tensor) -> PooledRegions:
        feats = soi_pool(shared, segments, samples_per_cell=self.samples_per_cell, bins=self._bins).flatten(1)
        return PooledRegions(feats, segments[:, 0].long(), len(shared))

    def roi_trunk(self, pooled: PooledRegions) -> Tensor:
        """(M, D)."""
        feats: Tensor = self.trunk(pooled)
        return feats

    def new_trunk(self) -> nn.Module:
        """Another trunk with the weights of now."""
        return copy.deepcopy(self.trunk)

    def classification_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy over K + 1 classes, mean over regions."""
        return F.cross_entropy(logits.float(), labels)

    def roi_offsets(self, outputs: Outputs) -> Tensor:
        """(R, 2) start and end offsets of the label's class, as Three Birds Eq. (2) codes them; with gradient."""
        _, labels, _ = _sampled(outputs)
        offsets = outputs.terms["roi_offsets"]
        own = offsets[torch.arange(len(labels), device=labels.device), labels]
        return ends_from_centre_length(own * offsets.new_tensor(OFFSET_STDS))

    def with_logits(self, outputs: Outputs, logits: Tensor) -> Outputs:
        """The same outputs with other (R, K + 1) logits."""
        view = outputs.rois
        assert view is not None, "the forward pass always gives them"
        raw = dict(outputs.raw)
        if raw:
            raw["logits"] = pad_rows(logits.detach(), view.rois[:, 0].long(), len(outputs.valid_mask))[0]
        return dataclasses.replace(outputs, rois=dataclasses.replace(view, logits=logits), raw=raw)


def _raw(rois: Tensor, logits: Tensor, offsets: Tensor, num_inputs: int) -> dict[str, Tensor]:
    """What ``detect`` reads, by input."""
    owner = rois[:, 0].long()
    padded, real = pad_rows(rois[:, 1:], owner, num_inputs)
    rest = {"logits": logits, "offsets": offsets}
    raw = {name: pad_rows(tensor.detach(), owner, num_inputs)[0] for name, tensor in rest.items()}
    return raw | {"rois": padded, "count": real.sum(dim=1)}


def _sampled(outputs: Outputs) -> tuple[RoiView, Tensor, Tensor]:
    view = outputs.rois
    if view is None or view.labels is None or view.matched_gt is None:
        raise ValueError("the losses of r_c3d need training mode and annotated segments in the forward pass")
    return view, view.labels, view.matched_gt
