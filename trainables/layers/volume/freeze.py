"""Volume Freeze: a frame stands still for a while, and the frames in which it does are background."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from trainables.layers.volume.clips import Clips


def volume_freeze(clips: Clips, start: Tensor, length: Tensor, *, background: int | None = None) -> Clips:
    """Clips in which the frame at ``start`` is held for ``length`` frames; the last ones fall off the end.

    Source: SSDet, Volume Freeze. The frozen frames include the original one; the length of the clip stays.

    Args:
        clips: any.
        start: (B,) int64 r, or (B, S) for segments that are frozen one after another, each in what the last one left; a
            frame once frozen stays background.
        length: same shape, m.
        background: column of the labels that frozen frames have; None = they have no label at all.

    Raises:
        ValueError: a segment outside its clip, or shorter than 1 frame.
    """
    src, frozen = frozen_frames(start, length, clips.num_frames, clips.video.shape[2])
    moved = clips.frames(src)
    labels = moved.labels.masked_fill(frozen[None, :, :, None], 0.0)
    if background is not None:
        labels[..., background].masked_fill_(frozen[None], 1.0)
    return replace(moved, labels=labels)


def frozen_frames(start: Tensor, length: Tensor, num_frames: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Which frame is shown at each place, and where the picture stands still.

    Args:
        start: (B,) or (B, S).
        length: same.
        num_frames: (B,) n of each clip.
        width: T.

    Returns:
        (B, T) int64 and (B, T) bool.

    Raises:
        ValueError: a segment outside its clip, or shorter than 1 frame.
    """
    start, length = start.reshape(len(num_frames), -1), length.reshape(len(num_frames), -1)
    count = num_frames[:, None]
    bad = ((start < 0) | (start >= count) | (length < 1) | (start + length > count)).nonzero()
    if len(bad):
        row, segment = bad[0].tolist()
        raise ValueError(
            f"volume_freeze: clip {row}, segment {segment}: start r = {int(start[row, segment])} must be from 0 to "
            f"n - 1, and length m = {int(length[row, segment])} from 1 to n - r, for n = {int(num_frames[row])} frames"
        )
    time = torch.arange(width, device=start.device).expand(len(num_frames), width)
    src, frozen = time, torch.zeros_like(time, dtype=torch.bool)
    for r, m in zip(start.unbind(1), length.unbind(1), strict=True):
        first, end = r[:, None], (r + m)[:, None]
        step = torch.where(time < end, torch.minimum(time, first), time - m[:, None] + 1)
        step = torch.where(time < count, step, time)
        src = src.gather(1, step)
        frozen = frozen.gather(1, step) | ((time >= first) & (time < end))
    return src, frozen
