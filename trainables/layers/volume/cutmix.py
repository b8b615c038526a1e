"""Volume CutMix: two clips side by side, with a border that moves over them or pictures that move behind it."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from trainables.layers.volume.clips import Clips
from trainables.layers.volume.placement import Placement, Variant, blend, crossfade, laid

Pan = Literal["opposite", "same"]

#: Columns that a border needs: on less there is nothing to its left and right.
MIN_COLUMNS = 4


def volume_cutmix_window(
    first: Clips,
    second: Clips,
    placement: Placement,
    *,
    width: int,
    variant: Variant = "paper",
    band_frac: float = 0.125,
    mirror: Tensor | None = None,
    shift_content: bool = True,
) -> Clips:
    """Clip 1 left of a border, clip 2 right of it; the border moves as one gives way to the other.

    Source: SSDet, Volume CutMix, transient window. The paper leaves the form of the border's soft band open; its
    truncated ramp here is ours. The share of a label is the mean of the realised mask.

    Args:
        first: clip 1 of each pair, frames.
        second: clip 2.
        placement: where they lie on the axis of time.
        width: T of the result.
        variant: of the ramp and of the band ("release": 2 floor(W / 16) columns, whatever ``band_frac``).
        band_frac: width of the band as a share of the columns; below one column the border is hard.
        mirror: (B,) bool, clip 1 is on the right; None = nowhere.
        shift_content: clip 2 begins with its own first frame ("release": it keeps its own time).

    Raises:
        ValueError: less than 4 columns, or see :meth:`Placement.check`.
    """
    columns = num_columns(first.video)
    one, two = laid(first, second, placement, width, shift_content=shift_content)
    a = crossfade(placement, width, variant)
    if variant == "paper":
        mask = soft_border(a, columns, band_frac)
    else:
        in_one, in_two = placement.shown(width)
        mask = torch.where(
            (in_one & in_two)[..., None], _release_border(a, columns), a[..., None].expand(-1, -1, columns)
        )
    if mirror is not None:
        mask = torch.where(mirror[:, None, None], mask.flip(2), mask)
    return blend(one, two, mask, placement)


def volume_cutmix_view(
    first: Clips,
    second: Clips,
    *,
    variant: Variant = "paper",
    band_frac: float = 0.125,
    pan: Pan = "opposite",
) -> Clips:
    """Clip 1 in the left half, clip 2 in the right one, each seen through a view that pans over it.

    Source: SSDet, Volume CutMix, transient view; the form that kkahatapitiya/SSDet runs.

    Args:
        first: left clip of each pair, frames; both begin at time 0.
        second: right clip; the result is as long as the shorter of both.
        variant: of the band ("release": of 9 W / 16 visible columns each, whatever ``band_frac``).
        band_frac: width of the soft band as a share of the columns.
        pan: the right view pans from right to left ("opposite"), or from left to right as the left one does ("same").

    Raises:
        ValueError: less than 4 columns.
    """
    columns, width = num_columns(first.video), first.video.shape[2]
    device = first.video.device
    common = torch.minimum(first.num_frames, second.num_frames)
    visible, reach = _view_size(columns, band_frac, variant)
    time = torch.arange(width, device=device)
    shift = torch.minimum(time, common[:, None] - 1) * reach // common[:, None]
    x = torch.arange(columns, device=device)
    left = x + shift[..., None]
    right = x - shift[..., None] if pan == "opposite" else x - (columns - visible) + shift[..., None]
    placement = Placement(common, common, torch.zeros_like(common))
    one, two = laid(first, second, placement, width, shift_content=True)
    mask = view_border(columns, band_frac, variant, device).expand(len(common), width, columns)
    half = torch.full((len(common), width), 0.5, device=device)
    return blend(_columns(one, left), _columns(two, right), mask, placement, area=half)


def num_columns(video: Tensor) -> int:
    """W.

    Raises:
        ValueError: too few to cut, as features have.
    """
    if video.dim() != 5 or video.shape[-1] < MIN_COLUMNS:
        raise ValueError(
            f"volume_cutmix: needs frames (B, C, T, H, W) with W of at least {MIN_COLUMNS}, not {tuple(video.shape)}"
        )
    return int(video.shape[-1])


def soft_border(a: Tensor, columns: int, band_frac: float) -> Tensor:
    """(..., W) share of clip 1 in each column, the border at ``a`` W; 0 or 1 everywhere where ``a`` is.

    Args:
        a: (...) float64 in [0, 1].
        columns: W.
        band_frac: width of the band.
    """
    centre = torch.arange(columns, device=a.device, dtype=torch.float64) + 0.5
    ramp = (0.5 + (a[..., None] * columns - centre) / max(1.0, band_frac * columns)).clamp(0.0, 1.0)
    whole = (a == 0) | (a == 1)
    return torch.where(whole[..., None], a[..., None], ramp)


def _release_border(a: Tensor, columns: int) -> Tensor:
    """The same with the band of kkahatapitiya/SSDet, also where ``a`` is 0."""
    delta = columns // 16
    x = torch.arange(columns, device=a.device, dtype=torch.float64)
    border = a[..., None] * columns
    band = (x >= border - delta) & (x < border + delta)
    steps = band.sum(dim=-1, keepdim=True) + 1
    inside = 1 - (x + 1 - (border - delta).clamp(min=0.0)) / steps
    return torch.where(band, inside, (x < border).double())


def view_border(columns: int, band_frac: float, variant: Variant, device: torch.device | None = None) -> Tensor:
    """(W,) float64 share of the left clip in each column."""
    if variant == "paper":
        return soft_border(torch.tensor(0.5, dtype=torch.float64, device=device), columns, band_frac)
    visible, _ = _view_size(columns, band_frac, variant)
    x = torch.arange(columns, dtype=torch.float64, device=device)
    inside = 1 - (x + 1 - (columns - visible)) / (2 * visible - columns + 1)
    return torch.where(x < columns - visible, 1.0, torch.where(x < visible, inside, 0.0))


def _view_size(columns: int, band_frac: float, variant: Variant) -> tuple[int, int]:
    """Columns of a view, and how far it pans."""
    if variant == "release":
        return max(9 * columns // 16, (columns + 1) // 2), 7 * columns // 16  # narrow pictures would get a gap
    visible = int(columns * (1 + band_frac) / 2)
    return visible, columns - visible


def _columns(clips: Clips, index: Tensor) -> Clips:
    """Clips with column ``index[b, t, x]`` at x; columns that would be outside are not seen and read the edge."""
    inside = index.clamp(0, clips.video.shape[-1] - 1)[:, None, :, None]
    return replace(clips, video=torch.take_along_dim(clips.video, inside, dim=4))
