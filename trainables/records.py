"""The tensors that data, detectors and tasks exchange.

Dimension letters: B inputs of a batch, T temporal samples, C feature channels, K classes (background excluded),
R regions of interest.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

Supervision = Literal["none", "video_labels", "segments"]

#: Views of :class:`Outputs` an auxiliary task may require.
VIEWS = (
    "feats",
    "cas_logits",
    "frame_logits",
    "video_logits",
    "segments",
    "rois",
)


@dataclass(frozen=True)
class SegmentTargets:
    """Annotated segments of one input, for detectors with full supervision only.

    Attributes:
        segments_grid: (n, 2) float start, end in temporal samples of the input, start < end.
        labels: (n,) int64 class ids.
    """

    segments_grid: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Batch:
    """Inputs of one step. One video may own several inputs (sliding windows).

    Attributes:
        video_ids: B ids, repeated where a video has several windows.
        valid_mask: (B, T) bool, True = real.
        seconds_per_sample: (B,) float64 seconds that one temporal sample covers.
        start_s: (B,) float64 time of coordinate 0 of the input, seconds.
        video_labels: (B, K) float multi-hot, or None when nothing may be read.
        feats: (B, C, T) pre-extracted features, or None for frame input.
        frames: (B, 3, F, H, W) frames, or None for feature input.
        segments: one :class:`SegmentTargets` per input; None unless supervision is "segments".
        frame_labels: (B, T, K) float multi-hot; None unless supervision is "segments".
    """

    video_ids: tuple[str, ...]
    valid_mask: Tensor
    seconds_per_sample: Tensor
    start_s: Tensor
    video_labels: Tensor | None = None
    feats: Tensor | None = None
    frames: Tensor | None = None
    segments: tuple[SegmentTargets, ...] | None = None
    frame_labels: Tensor | None = None

    def to(self, device: torch.device | str) -> Batch:
        """Copy with every tensor on ``device``."""

        def move(value: Tensor | None) -> Tensor | None:
            return None if value is None else value.to(device, non_blocking=True)

        segments = self.segments
        if segments is not None:
            segments = tuple(SegmentTargets(s.segments_grid.to(device), s.labels.to(device)) for s in segments)
        return Batch(
            video_ids=self.video_ids,
            valid_mask=self.valid_mask.to(device, non_blocking=True),
            seconds_per_sample=self.seconds_per_sample,
            start_s=self.start_s,
            video_labels=move(self.video_labels),
            feats=move(self.feats),
            frames=move(self.frames),
            segments=segments,
            frame_labels=move(self.frame_labels),
        )


@dataclass(frozen=True)
class SegmentView:
    """Segments with gradient in their ends (before any detaching), as ``oic`` or ``contrast_eval`` need them.

    Attributes:
        input_index: (n,) int64 index into the batch.
        ends_grid: (n, 2) start, end in temporal samples of ``feats``, carrying gradient.
        labels: (n,) int64 class ids.
        scores: (n,) confidence without gradient, to choose the top ones.
    """

    input_index: Tensor
    ends_grid: Tensor
    labels: Tensor
    scores: Tensor


@dataclass(frozen=True)
class RoiView:
    """Regions of interest of a two-stage or query detector, as ``mac``, ``lce`` and ``refine`` need them.

    In training these are the sampled regions, at inference all that the detector scores. What a task may do with
    them beyond reading is :class:`trainables.contracts.RoiHost`.

    Attributes:
        rois: (R, 3) input index, start, end in temporal samples of the input; no gradient.
        feats: (R, D) region features after the trunk.
        logits: (R, K or K + 1) class logits.
        labels: (R,) int64, 0 = background, classes from 1, -1 = takes no part; None where there are no targets.
        matched_gt: (R, 2) annotated segment of highest tIoU, valid where labels > 0; None where there are no targets.
    """

    rois: Tensor
    feats: Tensor
    logits: Tensor
    labels: Tensor | None = None
    matched_gt: Tensor | None = None


@dataclass(frozen=True)
class PooledRegions:
    """Pooled features of regions, with the inputs they are of.

    Attributes:
        feats: (M, D0).
        owner: (M,) int64 index into the batch.
        num_inputs: B.
    """

    feats: Tensor
    owner: Tensor
    num_inputs: int

    def detach(self) -> PooledRegions:
        """The same without gradient."""
        return dataclasses.replace(self, feats=self.feats.detach())


@dataclass(frozen=True)
class Outputs:
    """What a detector's ``forward`` returns: views for tasks, and what its own losses and ``detect`` need.

    Attributes:
        valid_mask: (B, T) of the views below.
        feats: (B, C, T) temporal features on one level.
        cas_logits: (B, K, T) class activation sequence, unbounded.
        frame_logits: (B, T, K) per-frame class logits.
        video_logits: (B, K) per-video class logits.
        segments: segments with gradient, or None.
        rois: regions of interest, or None.
        raw: name -> (B, ...) tensors from which ``detect`` works: cached per split, stored as Parquet, so that
            inference parameters can be searched without a forward pass. No gradient is needed here.
        terms: name -> tensor, private to the detector's own ``losses``.
    """

    valid_mask: Tensor
    feats: Tensor | None = None
    cas_logits: Tensor | None = None
    frame_logits: Tensor | None = None
    video_logits: Tensor | None = None
    segments: SegmentView | None = None
    rois: RoiView | None = None
    raw: Mapping[str, Tensor] = field(default_factory=dict)
    terms: Mapping[str, Tensor] = field(default_factory=dict)

    def with_roi_logits(self, logits: Tensor, stored: str) -> Outputs:
        """The same with other logits of the regions, where every input has as many.

        Args:
            logits: (R, K), or with background first (R, K + 1), as the regions have them.
            stored: name in ``raw`` of the logits by input.

        Raises:
            ValueError: logits of another shape.
        """
        view = self.rois
        if view is None or logits.shape != view.logits.shape:
            expected = None if view is None else tuple(view.logits.shape)
            raise ValueError(f"logits: shape {tuple(logits.shape)}, the regions have {expected}")
        raw = {**self.raw, stored: logits.detach().reshape_as(self.raw[stored])}
        return dataclasses.replace(self, rois=dataclasses.replace(view, logits=logits), raw=raw)


@dataclass(frozen=True)
class RawOutput:
    """The stored outputs of one input (a video or a window of it), on the CPU.

    Attributes:
        video_id: the video.
        start_s: time of coordinate 0, seconds.
        seconds_per_sample: seconds that one temporal sample covers.
        num_samples: number of valid temporal samples.
        duration_s: length of the whole video, seconds; detections are cut there.
        tensors: name -> tensor as in ``Outputs.raw`` without the batch dimension.
    """

    video_id: str
    start_s: float
    seconds_per_sample: float
    num_samples: int
    duration_s: float
    tensors: Mapping[str, Tensor]
