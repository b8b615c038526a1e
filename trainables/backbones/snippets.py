"""Which frames of a video belong to which snippet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

IntArray = npt.NDArray[np.int64]


def sampled_frames(num_frames: int, source_fps: float, fps: float | None) -> IntArray:
    """Frames of a video at another rate: of each period the frame in its middle.

    Args:
        num_frames: of the video.
        source_fps: its rate.
        fps: the rate wanted, None = every frame; frames repeat where it is higher.

    Returns:
        (n,) indices, n = the duration times ``fps``, rounded, at least 1.

    Raises:
        ValueError: no frame, or a rate that is not positive.
    """
    if num_frames < 1:
        raise ValueError(f"num_frames: {num_frames}; a video has one or more")
    for name, rate in (("source fps", source_fps), ("fps", fps)):
        if rate is not None and not 0 < rate < np.inf:
            raise ValueError(f"{name}: {rate} must be a positive number")
    if fps is None:
        return np.arange(num_frames)
    count = max(1, round(num_frames * fps / source_fps))
    middles = np.floor((np.arange(count) + 0.5) * (source_fps / fps)).astype(np.int64)
    return np.minimum(middles, num_frames - 1)


@dataclass(frozen=True)
class SnippetGrid:
    """Snippet t is centred on the cell of frames [t * stride, (t + 1) * stride), so that features lie where the store
    says they do whatever the length. Frames before the first and after the last repeat these.

    Attributes:
        len_frames: length of a snippet.
        stride_frames: distance of two snippets.
    """

    len_frames: int
    stride_frames: int

    def __post_init__(self) -> None:
        for name, value in (("snippet length", self.len_frames), ("snippet stride", self.stride_frames)):
            if value < 1:
                raise ValueError(f"{name}: {value} must be 1 or more frames")

    def count(self, num_frames: int) -> int:
        """L: every frame lies in the cell of a snippet."""
        return -(-num_frames // self.stride_frames)

    def windows(self, num_frames: int, start: int, stop: int) -> IntArray:
        """(stop - start, length) frames of the snippets from ``start`` to ``stop``."""
        offset = (self.stride_frames - self.len_frames) // 2
        first = np.arange(start, stop)[:, None] * self.stride_frames + offset
        return np.clip(first + np.arange(self.len_frames), 0, num_frames - 1)


def stack_middle(clips: Tensor, count: int) -> Tensor:
    """The middle images of each clip as the channels of one: x1, y1, x2, y2, ... for flow.

    Source: yjxiong/tsn-pytorch:dataset.py (the order of x and y) and transforms.py, ``Stack``.

    Args:
        clips: (B, C, T, H, W), T >= ``count``.
        count: images to stack.

    Returns:
        (B, count * C, 1, H, W).
    """
    start = (clips.shape[2] - count) // 2
    middle = clips[:, :, start : start + count]
    return middle.transpose(1, 2).flatten(1, 2)[:, :, None]
