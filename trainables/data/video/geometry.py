"""How a frame becomes the wanted size: resize, then crop. Pure arithmetic; the decoder does the scaling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


@dataclass(frozen=True)
class FrameTransform:
    """What to do with every frame of a request.

    Attributes:
        short_side: scale the shorter side to this many pixels, keeping the aspect ratio.
        size: (height, width) to scale to, whatever the aspect ratio; instead of ``short_side``.
        crop: (height, width) cut out after scaling.
        crop_at: where the crop lies, each in [0, 1): fraction of the room above and left of it. None = the centre.
    """

    short_side: int | None = None
    size: tuple[int, int] | None = None
    crop: tuple[int, int] | None = None
    crop_at: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.short_side is not None and self.size is not None:
            raise ValueError(f"short_side {self.short_side} and size {self.size}: give one of them")
        sides = [side for side in (self.short_side, *(self.size or ()), *(self.crop or ())) if side is not None]
        if any(side < 1 for side in sides):
            raise ValueError(f"{self}: sides are whole numbers of pixels from 1")
        if self.crop_at is not None and (self.crop is None or not all(0 <= at < 1 for at in self.crop_at)):
            raise ValueError(f"crop_at {self.crop_at}: needs crop, and two numbers in [0, 1)")


class FrameLayout(NamedTuple):
    """A transform worked out for one video, pixels.

    Attributes:
        height: after scaling.
        width: after scaling.
        top: first row of the crop.
        left: first column of the crop.
        out_height: rows of the result.
        out_width: columns of the result.
    """

    height: int
    width: int
    top: int
    left: int
    out_height: int
    out_width: int

    @property
    def frame_bytes(self) -> int:
        """Size of one (H, W, 3) uint8 frame of the result."""
        return self.out_height * self.out_width * 3


def frame_layout(height: int, width: int, transform: FrameTransform) -> FrameLayout:
    """Sizes and offsets for frames of one size.

    Args:
        height: of the video's frames as they are shown.
        width: likewise.
        transform: what is asked for.

    Raises:
        ValueError: the crop is larger than the scaled frame.
    """
    scaled = transform.size or (height, width)
    if transform.short_side is not None:
        scaled = scale_short_side(height, width, transform.short_side)
    crop = transform.crop or scaled
    room = (scaled[0] - crop[0], scaled[1] - crop[1])
    if min(room) < 0:
        raise ValueError(
            f"crop {crop} (height, width) does not fit into frames of {scaled}; scale them up or crop less"
        )
    if transform.crop_at is None:
        top, left = room[0] // 2, room[1] // 2
    else:
        top, left = (int(at * (space + 1)) for at, space in zip(transform.crop_at, room, strict=True))
    return FrameLayout(*scaled, top, left, *crop)


def scale_short_side(height: int, width: int, short_side: int) -> tuple[int, int]:
    """(height, width) with the shorter side as wanted and the other one rounded to the nearest pixel."""
    if height <= width:
        return short_side, max(1, (2 * width * short_side + height) // (2 * height))
    return max(1, (2 * height * short_side + width) // (2 * width)), short_side


def random_crop_at(generator: np.random.Generator) -> tuple[float, float]:
    """A crop position for :class:`FrameTransform`: every offset that fits is equally likely."""
    top, left = generator.random(2)
    return float(top), float(left)


def cover(height: int, width: int, out_height: int, out_width: int) -> FrameTransform:
    """Scale with the aspect ratio kept until a size is covered, then cut out its centre.

    Args:
        height: of the video's frames as they are shown.
        width: likewise.
        out_height: wanted.
        out_width: wanted.
    """
    if height * out_width > width * out_height:  # taller than wanted
        size = (-(-height * out_width // width), out_width)
    else:
        size = (out_height, -(-width * out_height // height))
    return FrameTransform(size=size, crop=(out_height, out_width))
