"""RoI align in one dimension as a matrix: as :func:`trainables.layers.align.align_1d`, for segments of any length.

Only samples that fall on the map are looked at. There are at most about twice as many as the map is long, however far a
segment reaches beyond it, so memory stays bounded where a detector's segments do not.

Letters: R regions, P positions of the result, T cells of all maps on one axis, J samples of a region on its map.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.layers.align import AlignMode


def align_weights(
    ends: Tensor,
    first: Tensor,
    count: Tensor,
    *,
    total: int,
    length: int,
    mode: AlignMode = "half_pixel",
    sampling_ratio: int = 0,
) -> Tensor:
    """Weights with which the cells of a map make up the P positions of every segment.

    Args:
        ends: (R, 2) start, end in cells of the region's own map, finite, not reversed; they get no gradient.
        first: (R,) int64 place of the map's first cell on the axis.
        count: (R,) int64 its number of cells.
        total: T.
        length: P.
        mode: where a cell lies, see :data:`trainables.layers.align.AlignMode`.
        sampling_ratio: samples of a bin; 0 = as many as it is long, rounded up.

    Returns:
        (R, P, T) float32. With the cells as rows of a (T, C) matrix, the product is (R, P, C).
    """
    start, end = ends.detach().double().unbind(-1)
    limit = count.double()
    if mode == "half_pixel":
        start, extent = start - 0.5, end - start
    else:
        extent = (end - start).clamp(min=1.0)
    number = torch.full_like(extent, float(sampling_ratio))
    if not sampling_ratio:
        number = torch.ceil(extent / length).clamp(min=1.0)
    spacing = extent / length / number
    sample, on_map = _samples_on_map(start, spacing, number * length, limit)
    at = (start[:, None] + (sample + 0.5) * spacing[:, None]).clamp(min=0.0)
    at = torch.minimum(at, limit[:, None] - 1)
    low = at.floor()
    share = at - low
    weight = on_map / number[:, None]
    bins = torch.floor(sample / number[:, None]).clamp(max=length - 1)
    row = (bins * total).long() + first[:, None]
    weights = at.new_zeros(len(ends), length * total)
    weights.scatter_add_(1, row + low.long(), weight * (1 - share))
    weights.scatter_add_(1, row + torch.minimum(low + 1, limit[:, None] - 1).long(), weight * share)
    return weights.reshape(len(ends), length, total).float()


def _samples_on_map(start: Tensor, spacing: Tensor, num_samples: Tensor, limit: Tensor) -> tuple[Tensor, Tensor]:
    """(R, J) numbers of samples from the first one on the map, and which of them lie on it.

    A sample is on the map from one cell before its beginning to one cell behind its last, as in torchvision.
    """
    step = spacing.clamp(min=torch.finfo(spacing.dtype).tiny)
    before = torch.ceil((-1 - start) / step - 0.5).clamp(min=0.0)
    before = torch.minimum(before, num_samples)
    across = torch.minimum(num_samples, torch.ceil((limit + 1) / step) + 2)
    most = int(across.max()) if len(across) else 0
    sample = before[:, None] + torch.arange(most, device=start.device, dtype=start.dtype)
    at = start[:, None] + (sample + 0.5) * spacing[:, None]
    return sample, (at >= -1) & (at <= limit[:, None]) & (sample < num_samples[:, None])
