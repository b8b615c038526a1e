"""How one segment is coded relative to another: centre and length, or start and end.

All functions are differentiable, and take (..., 2) tensors. ``inclusive`` is the convention of the released Caffe
R-C3D, where a segment holds both its end frames (length e - s + 1); its decoder returns ends one frame too late.
"""

from __future__ import annotations

import torch
from torch import Tensor


def _centre_length(segments: Tensor, inclusive: bool) -> tuple[Tensor, Tensor]:
    start, end = segments.unbind(-1)
    length = end - start + float(inclusive)
    return start + 0.5 * length, length


def encode_centre_length(reference: Tensor, segments: Tensor, *, inclusive: bool = False) -> Tensor:
    """dc = (c* - c) / l, dl = ln(l* / l).

    Source: R-C3D 3.2; inclusive: VisionLearningGroup/R-C3D:lib/tdcnn/twin_transform.py.

    Args:
        reference: (..., 2) start, end of anchors or proposals, longer than 0.
        segments: (..., 2) start, end to be coded, longer than 0.
        inclusive: see the module.
    """
    centre, length = _centre_length(reference, inclusive)
    target_centre, target_length = _centre_length(segments, inclusive)
    return torch.stack([(target_centre - centre) / length, torch.log(target_length / length)], dim=-1)


def decode_centre_length(reference: Tensor, offsets: Tensor, *, inclusive: bool = False) -> Tensor:
    """Start and end from dc, dl; the inverse of :func:`encode_centre_length`, except ``inclusive`` (see the module)."""
    centre, length = _centre_length(reference, inclusive)
    shift, log_scale = offsets.unbind(-1)
    middle, half = centre + shift * length, 0.5 * length * torch.exp(log_scale)
    return torch.stack([middle - half, middle + half], dim=-1)


def encode_ends(reference: Tensor, segments: Tensor, *, inclusive: bool = False) -> Tensor:
    """((s* - s) / l, (e* - e) / l).

    Source: Three Birds Eq. (1); Eq. (2) with the prediction in the place of the target, as ethanhe42/KL-Loss has it.
    """
    length = (reference[..., 1] - reference[..., 0] + float(inclusive)).unsqueeze(-1)
    return (segments - reference) / length


def decode_ends(reference: Tensor, offsets: Tensor) -> Tensor:
    """s + t_s l, e + t_e l."""
    return reference + offsets * (reference[..., 1] - reference[..., 0]).unsqueeze(-1)


def ends_from_centre_length(offsets: Tensor) -> Tensor:
    """t_s = dc + (1 - exp(dl)) / 2, t_e = dc - (1 - exp(dl)) / 2: the same segment, coded by its ends."""
    shift, log_scale = offsets.unbind(-1)
    half = 0.5 * (1 - torch.exp(log_scale))
    return torch.stack([shift + half, shift - half], dim=-1)


def centre_length_from_ends(offsets: Tensor) -> Tensor:
    """dc = (t_s + t_e) / 2, dl = ln(1 + t_e - t_s), which needs t_e - t_s > -1."""
    start, end = offsets.unbind(-1)
    return torch.stack([0.5 * (start + end), torch.log1p(end - start)], dim=-1)
