"""Smooth L1 with the parameter of Fast R-CNN."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def smooth_l1(difference: Tensor, *, sigma: float) -> Tensor:
    """(sigma d)^2 / 2 where |d| < 1 / sigma^2, |d| - 1 / (2 sigma^2) elsewhere; no reduction.

    Source: rbgirshick/py-faster-rcnn's SmoothL1Loss layer, which R-C3D takes over with sigma 3 for proposals and 1 for
    regions.
    """
    return F.smooth_l1_loss(
        difference, difference.new_zeros(()).expand_as(difference), reduction="none", beta=sigma**-2
    )
