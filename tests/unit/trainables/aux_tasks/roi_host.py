"""A small but honest host of regions: shared map, pooled regions, trunk, class scores and regression of its own."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.layers.offsets import encode_centre_length, ends_from_centre_length
from trainables.layers.region_trunk import RegionTrunk
from trainables.layers.soi_pool import soi_pool
from trainables.layers.tiou import tiou_matrix
from trainables.losses.smooth_l1 import smooth_l1
from trainables.records import Batch, Outputs, PooledRegions, RoiView, SegmentTargets

_BINS = 2


class SmallRoiHost(nn.Module):
    """Regions are windows of three lengths at every second sample; labels come from tIoU >= 0.5.

    Args:
        feat_dim: C.
        num_classes: K.
        background: class scores have a column for background, which comes first.
    """

    samples_per_cell = 1
    roi_channels = 12
    classification_loss_name = "cls"
    offsets_per_class = True

    def __init__(self, *, feat_dim: int, num_classes: int, background: bool = True) -> None:
        super().__init__()
        width = 6
        self.num_classes = num_classes
        self.num_logits = num_classes + int(background)
        self.pooled_channels = width * _BINS
        self.backbone = nn.Conv1d(feat_dim, width, 3, padding=1)
        self.trunk = RegionTrunk(nn.Linear(self.pooled_channels, self.roi_channels), nn.LeakyReLU())
        self.cls = nn.Linear(self.roi_channels, self.num_logits)
        self.reg = nn.Linear(self.roi_channels, 2 * num_classes)

    def forward(self, batch: Batch) -> Outputs:
        assert batch.feats is not None
        shared = self.backbone(batch.feats)
        rois = _windows(len(batch.video_ids), shared.shape[2])
        labels = matched = None
        if batch.segments is not None:
            pairs = [_targets(rois[rois[:, 0] == i, 1:], own) for i, own in enumerate(batch.segments)]
            labels, matched = torch.cat([p[0] for p in pairs]), torch.cat([p[1] for p in pairs])
        outputs = Outputs(valid_mask=batch.valid_mask, feats=shared)
        feats = self.roi_trunk(self.pool(outputs, rois))
        view = RoiView(rois, feats, self.cls(feats), labels, matched)
        return replace(outputs, rois=view, raw={"logits": self._by_input(view.logits, len(batch.video_ids))})

    @staticmethod
    def _by_input(logits: Tensor, num_inputs: int) -> Tensor:
        return logits.detach().reshape(num_inputs, -1, logits.shape[1])

    def pool(self, outputs: Outputs, segments: Tensor) -> PooledRegions:
        assert outputs.feats is not None
        pooled = soi_pool(outputs.feats[..., None, None], segments, samples_per_cell=1, bins=(_BINS, 1, 1))
        return PooledRegions(pooled.flatten(1), segments[:, 0].long(), len(outputs.feats))

    def roi_trunk(self, pooled: PooledRegions) -> Tensor:
        features: Tensor = self.trunk(pooled)
        return features

    def new_trunk(self) -> nn.Module:
        return copy.deepcopy(self.trunk)

    def classification_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        if self.num_logits == self.num_classes:
            wanted = F.one_hot(labels, self.num_classes + 1)[:, 1:].to(logits.dtype)
            return F.binary_cross_entropy_with_logits(logits, wanted)
        return F.cross_entropy(logits, labels)

    def _offsets(self, outputs: Outputs) -> Tensor:
        """(R, 2) centre and length offsets for the label's class."""
        view = _view(outputs)
        assert view.labels is not None
        by_class = self.reg(view.feats).reshape(-1, self.num_classes, 2)
        return by_class[torch.arange(len(by_class)), (view.labels - 1).clamp(min=0)]

    def roi_offsets(self, outputs: Outputs) -> Tensor:
        return ends_from_centre_length(self._offsets(outputs))

    def losses(self, outputs: Outputs, batch: Batch, active: Collection[str]) -> Mapping[str, Tensor]:
        view = _view(outputs)
        assert view.labels is not None
        assert view.matched_gt is not None
        positive = view.labels > 0
        target = encode_centre_length(view.rois[positive, 1:], view.matched_gt[positive])
        reg = smooth_l1(self._offsets(outputs)[positive] - target, sigma=1.0).sum() / len(positive)
        known = {"cls": self.classification_loss(view.logits, view.labels), "reg": reg}
        return {name: known[name] for name in active}

    def loss_counts(self, outputs: Outputs, batch: Batch) -> Mapping[str, float]:
        return dict.fromkeys(("cls", "reg"), float(len(_view(outputs).rois)))

    def with_logits(self, outputs: Outputs, logits: Tensor) -> Outputs:
        raw = {**outputs.raw, "logits": self._by_input(logits, len(outputs.valid_mask))}
        return replace(outputs, rois=replace(_view(outputs), logits=logits), raw=raw)

    def detect(self, raw: Any, config: Any) -> Any:
        raise AssertionError("the tests look at raw outputs")


def _view(outputs: Outputs) -> RoiView:
    assert outputs.rois is not None
    return outputs.rois


def _windows(num_inputs: int, length: int) -> Tensor:
    """(R, 3) the same windows in every input."""
    rows = [
        [i, start, start + size]
        for i in range(num_inputs)
        for size in (4, 6, 8)
        for start in range(0, length - size + 1, 2)
    ]
    return torch.tensor(rows, dtype=torch.float32)


def _targets(segments: Tensor, annotated: SegmentTargets) -> tuple[Tensor, Tensor]:
    if len(annotated.labels) == 0:
        return torch.zeros(len(segments), dtype=torch.long), torch.zeros(len(segments), 2)
    best, which = tiou_matrix(segments, annotated.segments_grid).max(dim=1)
    return torch.where(best >= 0.5, annotated.labels[which] + 1, 0), annotated.segments_grid[which]


def small_batch(*, length: int = 24, feat_dim: int = 5, empty_second: bool = False) -> Batch:
    """Two inputs, the second of them padded; K = 3."""
    generator = torch.Generator().manual_seed(3)
    first = SegmentTargets(torch.tensor([[3.0, 9.5], [12.0, 18.0]]), torch.tensor([0, 2]))
    second = SegmentTargets(torch.tensor([[5.0, 11.0]]), torch.tensor([1]))
    if empty_second:
        second = SegmentTargets(torch.zeros(0, 2), torch.zeros(0, dtype=torch.long))
    return Batch(
        video_ids=("a", "b"),
        valid_mask=torch.arange(length).expand(2, length) < torch.tensor([[length], [length - 6]]),
        seconds_per_sample=torch.full((2,), 0.5, dtype=torch.float64),
        start_s=torch.tensor([0.0, 2.0], dtype=torch.float64),
        feats=torch.randn(2, feat_dim, length, generator=generator),
        segments=(first, second),
    )


def small_host(*, background: bool = True) -> SmallRoiHost:
    """With weights large enough that every loss has a gradient worth the name."""
    torch.manual_seed(0)
    return SmallRoiHost(feat_dim=5, num_classes=3, background=background)
