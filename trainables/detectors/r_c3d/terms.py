"""The four terms of R-C3D's loss (Three Birds Eq. (8)).

Letters: B inputs, N anchors, R regions, K classes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from trainables.detectors.r_c3d.targets import AnchorTargets
from trainables.layers.offsets import encode_centre_length
from trainables.losses.smooth_l1 import smooth_l1

#: Deviations of dc and dl that the second stage's targets are divided by (VisionLearningGroup/R-C3D:
#: lib/tdcnn/config.py).
OFFSET_STDS = (0.1, 0.2)

_RPN_SIGMA, _ROI_SIGMA = 3.0, 1.0


def proposal_losses(scores: Tensor, offsets: Tensor, sampled: AnchorTargets) -> tuple[Tensor, Tensor]:
    """Cross-entropy and smooth L1 (sigma 3, summed over positives) of sampled anchors, both divided by their number.

    Args:
        scores: (B, N, 2) logits of background and activity.
        offsets: (B, N, 2).
        sampled: the anchors that are learnt from.

    Returns:
        two scalars; 0 where no anchor lies inside its input.
    """
    positive = sampled.positive
    chosen = positive | sampled.negative
    number = chosen.sum().clamp(min=1)
    entropy = F.cross_entropy(scores[chosen].float(), positive[chosen].long(), reduction="sum")
    difference = offsets[positive].float() - sampled.offsets[positive].float()
    return entropy / number, smooth_l1(difference, sigma=_RPN_SIGMA).sum() / number


def region_offset_loss(offsets: Tensor, rois: Tensor, labels: Tensor, matched: Tensor, *, inclusive: bool) -> Tensor:
    """Smooth L1 (sigma 1) of the label's offsets, summed over positive regions, divided by the number of all.

    Args:
        offsets: (R, K + 1, 2) divided by their deviations.
        rois: (R, 2) start, end.
        labels: (R,) 0 = background.
        matched: (R, 2) segment of each.
        inclusive: see :mod:`trainables.detectors.r_c3d.anchors`.
    """
    positive = torch.nonzero(labels > 0)[:, 0]
    stds = torch.tensor(OFFSET_STDS, dtype=torch.float64, device=offsets.device)
    target = encode_centre_length(rois[positive].double(), matched[positive].double(), inclusive=inclusive) / stds
    difference = offsets[positive, labels[positive]].float() - target.float()
    return smooth_l1(difference, sigma=_ROI_SIGMA).sum() / max(1, len(labels))
