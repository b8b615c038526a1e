"""Two clips laid on one axis of time, and how the first gives way to the second where they overlap."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from trainables.layers.volume.clips import Clips

Variant = Literal["paper", "release"]


@dataclass(frozen=True)
class Placement:
    """Where two clips lie.

    Attributes:
        n1: (B,) int64 frames of clip 1, from time 0.
        n2: (B,) frames of clip 2.
        r: (B,) time at which clip 2 begins, in frames; at most ``n1``, later would leave a hole.
    """

    n1: Tensor
    n2: Tensor
    r: Tensor

    @property
    def end(self) -> Tensor:
        """(B,) frames altogether."""
        return torch.maximum(self.n1, self.r + self.n2)

    def shown(self, width: int) -> tuple[Tensor, Tensor]:
        """(B, T) where clip 1 lies, and where clip 2 does."""
        time = torch.arange(width, device=self.r.device)
        r = self.r[:, None]
        return time < self.n1[:, None], (time >= r) & (time < r + self.n2[:, None])

    def check(self, first: Clips, second: Clips, width: int, *, shift_content: bool) -> None:
        """Refuse a placement with a hole, or that asks for frames which are not there.

        Raises:
            ValueError: names the clip, the rule and the values.
        """
        rules = {
            "n1 and n2 must be 1 or more": (self.n1 < 1) | (self.n2 < 1),
            "r must be from 0 to n1": (self.r < 0) | (self.r > self.n1),
            f"max(n1, r + n2) must be at most T = {width}": self.end > width,
            "clip 1 must have n1 frames": self.n1 > first.num_frames,
            "clip 2 must have the frames that are shown": (
                self.n2 + (0 if shift_content else self.r) > second.num_frames
            ),
        }
        for rule, broken in rules.items():
            if bool(broken.any()):
                row = int(broken.nonzero()[0])
                values = ", ".join(f"{name} = {int(getattr(self, name)[row])}" for name in ("n1", "n2", "r"))
                raise ValueError(f"volume mix of clip {row}: {rule}; {values}")


def crossfade(placement: Placement, width: int, variant: Variant, *, gamma: float = 1.0) -> Tensor:
    """Weight of clip 1 over time; that of clip 2 is the rest.

    Source: SSDet, Volume MixUp. Where clip 2 reaches the end of clip 1 or beyond, clip 1 fades into it; where it ends
    before, clip 1 comes back.

    Args:
        placement: of both.
        width: T.
        variant: "release" fades over the overlap of L frames in L + 1 steps, so that neither clip is ever gone there
            (1 to 2), as the weights in the paper's Fig. 3 do; "paper" is its equation.
        gamma: bends the ramp, a^gamma / (a^gamma + (1 - a)^gamma); 1 leaves it.

    Returns:
        (B, T) float64 in [0, 1].
    """
    n1, n2, r = (value[:, None].double() for value in (placement.n1, placement.n2, placement.r))
    tau = torch.arange(1, width + 1, device=r.device, dtype=torch.float64)
    ends = n2 + r >= n1
    if variant == "paper":
        fade = ((n1 - tau) / (n1 - r).clamp(min=1.0)).clamp(0.0, 1.0)
        fade = torch.where(r == n1, (tau <= n1).double(), fade)
        back = ((n2 + 2 * r - 2 * tau).abs() / n2).clamp(0.0, 1.0)
    else:
        k = tau - r
        fade = (1 - k / (n1 - r + 1)).clamp(0.0, 1.0)
        fade = torch.where(k < 1, 1.0, torch.where(tau > n1, 0.0, fade))
        back = torch.where((k >= 1) & (k <= n2), (2 * k - n2).abs() / (n2 + 1), 1.0)
    a = torch.where(ends, fade, back)
    return a if gamma == 1.0 else a**gamma / (a**gamma + (1 - a) ** gamma)


def laid(first: Clips, second: Clips, placement: Placement, width: int, *, shift_content: bool) -> tuple[Clips, Clips]:
    """Both clips on the common axis of time.

    Args:
        first: clip 1 of each pair.
        second: clip 2.
        placement: where they lie.
        width: T.
        shift_content: clip 2 begins with its own first frame; otherwise it keeps its own time, and the placement only
            says where it is seen.

    Raises:
        ValueError: see :meth:`Placement.check`.
    """
    placement.check(first, second, width, shift_content=shift_content)
    time = torch.arange(width, device=placement.r.device)
    r, n1, n2 = placement.r[:, None], placement.n1[:, None], placement.n2[:, None]
    ahead = r if shift_content else torch.zeros_like(r)
    one = torch.minimum(time, n1 - 1)
    two = torch.minimum(torch.maximum(time, r), r + n2 - 1) - ahead
    return first.frames(one), second.frames(two)


def blend(first: Clips, second: Clips, share: Tensor, placement: Placement, *, area: Tensor | None = None) -> Clips:
    """Mix two clips frame by frame, or column by column.

    Args:
        first: clip 1, as :func:`laid` makes it.
        second: clip 2.
        share: (B, T) or (B, T, W) of clip 1.
        placement: where they lie; 0 behind both.
        area: (B, T) share of clip 1 in the labels, None = the mean of ``share`` over columns.
    """
    width = share.shape[1]
    in_one, in_two = placement.shown(width)
    columns = share.dim() == 3
    one, two = (m[..., None] if columns else m for m in (in_one, in_two))
    w1, w2 = torch.where(one, share, 0.0).float(), torch.where(two, 1 - share, 0.0).float()
    if area is None:
        area = share.mean(dim=2) if columns else share
    if columns:
        in_one, in_two = (w1 > 0).any(dim=2), (w2 > 0).any(dim=2)
    dtype = first.weights.dtype
    a1, a2 = torch.where(in_one, area, 0.0).to(dtype), torch.where(in_two, 1 - area, 0.0).to(dtype)
    mixed = _over_video(w1, first.video) * first.video + _over_video(w2, second.video) * second.video
    return replace(
        first,
        video=mixed.to(first.video.dtype),
        num_frames=placement.end,
        labels=torch.cat([first.labels, second.labels]),
        weights=torch.cat([first.weights * a1, second.weights * a2]),
        visible=torch.cat([first.visible & in_one, second.visible & in_two]),
    )


def _over_video(weights: Tensor, video: Tensor) -> Tensor:
    """(B, T) or (B, T, W) -> a shape that broadcasts over the video's."""
    if weights.dim() == 3:
        return weights[:, None, :, None, :]
    return weights[:, None] if video.dim() == 3 else weights[:, None, :, None, None]
