"""What the proposal subnet learns from: which anchors are positive, and how their segments are coded.

Letters: B inputs, N anchors.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.detectors.r_c3d.anchors import inside
from trainables.detectors.r_c3d.matching import PaddedTargets, random_subset, tiou_with_targets
from trainables.layers.offsets import encode_centre_length

#: Two anchors that are equally good share the place of the best even where rounding sets them apart.
_TIE = 1e-9


@dataclass(frozen=True)
class AnchorTargets:
    """Targets of every anchor.

    Attributes:
        positive: (B, N) bool.
        negative: (B, N) bool; an anchor may be neither.
        offsets: (B, N, 2) float64 dc, dl of the segment of highest tIoU; meaningful where ``positive``.
    """

    positive: Tensor
    negative: Tensor
    offsets: Tensor


@torch.no_grad()
def anchor_targets(
    anchors: Tensor, targets: PaddedTargets, lengths: Tensor, *, pos_tiou: float, neg_tiou: float, inclusive: bool
) -> AnchorTargets:
    """Positive: tIoU of ``pos_tiou`` with some segment, or the best of all anchors for some segment; ties all count.

    Negative: below ``neg_tiou`` with all segments. Anchors that leave their input are neither, and stand in nobody's
    way. A segment that no anchor touches makes none positive.

    Source: VisionLearningGroup/R-C3D:lib/rpn/anchor_target_layer.py, where such a segment makes all of them positive.

    Args:
        anchors: (N, 2) float64 in samples.
        targets: annotated segments.
        lengths: (B,) real samples of the inputs.
        pos_tiou: see above.
        neg_tiou: see above.
        inclusive: see :mod:`trainables.detectors.r_c3d.anchors`.
    """
    usable = inside(anchors, lengths, inclusive=inclusive)
    tiou = tiou_with_targets(anchors, targets, inclusive=inclusive) * usable[..., None]
    best, match = tiou.max(dim=2)
    best_of_segment = tiou.amax(dim=1, keepdim=True)
    is_best = ((tiou >= best_of_segment - _TIE) & (best_of_segment > 0)).any(dim=2)
    positive = usable & (is_best | ((best >= pos_tiou) & (best > 0)))
    negative = usable & (best < neg_tiou) & ~positive
    rows = torch.arange(len(lengths), device=anchors.device)[:, None]
    found = torch.where(positive[..., None], targets.segments[rows, match], anchors)
    return AnchorTargets(positive, negative, encode_centre_length(anchors, found, inclusive=inclusive))


@torch.no_grad()
def sample_anchors(targets: AnchorTargets, batch: int) -> AnchorTargets:
    """Random anchors of each input: up to ``batch`` // 2 positive ones, the rest negative.

    Returns:
        the same, but positive or negative are those alone that are learnt from.
    """
    positive = random_subset(targets.positive, torch.full_like(targets.positive[:, 0], batch // 2, dtype=torch.long))
    return AnchorTargets(positive, random_subset(targets.negative, batch - positive.sum(dim=1)), targets.offsets)
