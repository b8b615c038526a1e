"""Which regions the second stage learns from.

Letters: B inputs, P candidates of the input that has most, R sampled regions of all inputs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.detectors.r_c3d.matching import PaddedTargets, pad_rows, random_subset, tiou_with_targets


@dataclass(frozen=True)
class Regions:
    """Sampled regions.

    Attributes:
        rois: (R, 3) float64 input, start, end in samples; inputs ascending.
        labels: (R,) int64, 0 = background.
        matched: (R, 2) float64 segment of highest tIoU, meaningful where ``labels`` > 0.
    """

    rois: Tensor
    labels: Tensor
    matched: Tensor


@torch.no_grad()
def sample_regions(
    proposals: Tensor,
    targets: PaddedTargets,
    lengths: Tensor,
    *,
    batch: int,
    fg_tiou: float,
    bg_lo: float,
    fg_fraction: float,
    min_samples: float,
    inclusive: bool,
) -> Regions:
    """Up to ``batch`` random regions of each input among its proposals and its annotated segments.

    Foreground: tIoU of ``fg_tiou`` with some segment, at most the share ``fg_fraction``. Background: tIoU in
    [``bg_lo``, ``fg_tiou``). An input that offers neither, which then has no segment, gets ``batch`` random windows as
    background, so that every input is learnt from.

    Source: VisionLearningGroup/R-C3D:lib/rpn/proposal_target_layer.py; the random windows are ours.

    Args:
        proposals: (Q, 3) float64 input, start, end; inputs ascending.
        targets: annotated segments.
        lengths: (B,) real samples of the inputs.
        batch: see above.
        fg_tiou: see above.
        bg_lo: see above.
        fg_fraction: see above.
        min_samples: least length of a random window.
        inclusive: see :mod:`trainables.detectors.r_c3d.anchors`.
    """
    found, real = pad_rows(proposals[:, 1:], proposals[:, 0].long(), len(lengths))
    candidates = torch.cat([found, targets.segments], dim=1)
    real = torch.cat([real, targets.real], dim=1)
    best, match = tiou_with_targets(candidates, targets, inclusive=inclusive).max(dim=2)
    foreground = real & (best >= fg_tiou) & (best > 0)
    background = real & (best < fg_tiou) & (best >= bg_lo)
    chosen = random_subset(foreground, torch.full_like(lengths, round(fg_fraction * batch)))
    chosen |= random_subset(background, batch - chosen.sum(dim=1))
    empty = ~chosen.any(dim=1)
    # drawn whether or not an input needs them: processes share the draw, and all have to make it
    windows = random_windows(lengths, batch, min_samples)
    if bool(empty.any()):
        candidates = torch.cat([candidates, windows], dim=1)
        match = torch.cat([match, match.new_zeros(windows.shape[:2])], dim=1)
        foreground = torch.cat([foreground, foreground.new_zeros(windows.shape[:2])], dim=1)
        chosen = torch.cat([chosen, empty[:, None].expand(windows.shape[:2])], dim=1)
    owner, place = torch.nonzero(chosen, as_tuple=True)
    partner = match[owner, place]
    labels = targets.labels[owner, partner] * foreground[owner, place]
    rois = torch.cat([owner[:, None].double(), candidates[owner, place]], dim=1)
    return Regions(rois, labels, targets.segments[owner, partner])


def random_windows(lengths: Tensor, count: int, min_samples: float) -> Tensor:
    """(B, count, 2) float64 windows inside the inputs: a uniform start, then a uniform length.

    Drawn with ``torch.rand``, a row for every input.

    Args:
        lengths: (B,) samples of the inputs.
        count: windows of each.
        min_samples: least length, where the input has as much.
    """
    limit = lengths.double()[:, None]
    least = limit.clamp(max=min_samples)
    at, size = torch.rand(len(lengths), 2, count).to(limit).unbind(1)
    start = at * (limit - least)
    return torch.stack([start, start + least + size * (limit - start - least)], dim=-1)
