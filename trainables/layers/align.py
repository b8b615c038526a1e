"""RoI align in one dimension: features of segments, resampled to one length.

Letters: B inputs, C channels, T samples, R regions, P positions of the result, S samples of a position.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

#: "half_pixel": sample i lies at i + 1/2, segments keep their length (torchvision's ``aligned=True``, detectron2's
#: ROIAlignV2). "gtad": sample i lies at i, segments are at least 1 long (frostinassiky/gtad:gtad_lib/Align1D).
AlignMode = Literal["half_pixel", "gtad"]


def align_1d(
    feats: Tensor, rois: Tensor, length: int, *, mode: AlignMode = "half_pixel", sampling_ratio: int = 0
) -> Tensor:
    """Mean of S linearly interpolated samples in each of P equal bins of every segment.

    A sample before -1 or beyond T is 0, one between the ends and there takes the end's value; zeros count in the mean.

    Args:
        feats: (B, C, T).
        rois: (R, 3) input index, start, end in samples; they get no gradient.
        length: P.
        mode: where a sample lies, see :data:`AlignMode`.
        sampling_ratio: S; 0 = as many as a bin is long, rounded up.

    Returns:
        (R, C, P), gradient reaches ``feats``.

    Raises:
        ValueError: ``length`` or ``sampling_ratio`` out of bounds, an input that is not there, or (half_pixel) a
            segment that ends before it starts; the first one is named.
    """
    if length < 1 or sampling_ratio < 0:
        raise ValueError(f"length {length} must be 1 or more, sampling_ratio {sampling_ratio} 0 or more")
    owner, start, end = rois[:, 0].long(), rois[:, 1].to(feats.dtype), rois[:, 2].to(feats.dtype)
    _check(owner, start, end, len(feats), mode)
    if mode == "half_pixel":
        start, extent = start - 0.5, end - start
    else:
        extent = (end - start).clamp(min=1.0)
    number = torch.full_like(start, float(sampling_ratio))
    if not sampling_ratio:
        number = torch.ceil(extent / length).clamp(min=1.0)
    most = int(number.max()) if len(number) else 1
    place = torch.arange(most, device=feats.device, dtype=feats.dtype)
    bins = torch.arange(length, device=feats.device, dtype=feats.dtype)
    width = (extent / length)[:, None, None]
    at = start[:, None, None] + bins[:, None] * width + (place + 0.5) * width / number[:, None, None]  # (R, P, S)
    counts = place < number[:, None, None]
    values = _interpolated(feats, owner, at) * counts[:, None]
    return values.sum(dim=3) / number[:, None, None]


def _interpolated(feats: Tensor, owner: Tensor, at: Tensor) -> Tensor:
    """(R, C, P, S) features at positions on the axis on which sample i lies at i."""
    num_samples = feats.shape[2]
    inside = (at >= -1) & (at <= num_samples)
    clamped = at.clamp(min=0.0, max=num_samples - 1.0)
    low = clamped.floor().long()
    share = clamped - low
    own = feats.transpose(1, 2)  # (B, T, C)
    first = own[owner[:, None, None], low]  # (R, P, S, C)
    second = own[owner[:, None, None], (low + 1).clamp(max=num_samples - 1)]
    values = torch.lerp(first, second, share[..., None]) * inside[..., None]
    return values.permute(0, 3, 1, 2)


def _check(owner: Tensor, start: Tensor, end: Tensor, num_inputs: int, mode: AlignMode) -> None:
    bad = (owner < 0) | (owner >= num_inputs)
    if bool(bad.any()):
        row = int(torch.nonzero(bad)[0])
        raise ValueError(f"rois: row {row} is of input {int(owner[row])}, there are {num_inputs}")
    reversed_ = ~(end >= start)
    if mode == "half_pixel" and bool(reversed_.any()):
        row = int(torch.nonzero(reversed_)[0])
        raise ValueError(
            f"rois: row {row} is [{float(start[row])}, {float(end[row])}]; it must not end before it starts"
        )
