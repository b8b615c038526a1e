"""Which frames: by time, at another rate, in sliding windows; in whole numbers, so that long videos do not drift.

A frame is on screen from its own start to the start of the next one; time 0 is the start of the first frame.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Rates are kept as fractions with denominators up to this: 30000/1001 and 981/50 are exact.
_MAX_DENOMINATOR = 100_000

#: Times this near to a frame's start, in frames, belong to it: far above rounding, far below what is annotated.
_SNAP = 1e-6


class Windows(NamedTuple):
    """Windows over a video.

    Attributes:
        frames: (W, T) frame numbers, rising; beyond the end the last frame is repeated.
        num_valid: (W,) how many of the T are not repeated.
    """

    frames: IntArray
    num_valid: IntArray


def as_rate(fps: float | Fraction) -> Fraction:
    """A frame rate as an exact fraction; 29.97002997 is 30000/1001.

    Raises:
        ValueError: not a positive number.
    """
    if not 0 < fps < float("inf"):
        raise ValueError(f"fps {fps}: must be a positive number")
    return Fraction(fps).limit_denominator(_MAX_DENOMINATOR)


def frames_at_rate(times_s: npt.ArrayLike, fps: float | Fraction, num_frames: int) -> IntArray:
    """Numbers of the frames on screen in a video of constant rate.

    Args:
        times_s: any shape, seconds from the first frame's start.
        fps: of the video.
        num_frames: of the video.

    Returns:
        Same shape; a time that is a frame's start to within rounding gives that frame.

    Raises:
        ValueError: a time before the first frame or at or after the end.
    """
    rate = as_rate(fps)
    times = np.asarray(times_s, np.float64)
    position = np.floor(times * rate.numerator / rate.denominator + _SNAP)
    _check_inside((position >= 0) & (position < num_frames), times)
    return position.astype(np.int64)


def frames_at_starts(times_s: npt.ArrayLike, starts_s: FloatArray, end_s: float, tick_s: float) -> IntArray:
    """Numbers of the frames on screen in a video of variable rate.

    Args:
        times_s: any shape, seconds from the first frame's start.
        starts_s: (N,) strictly rising starts of the frames, the first at 0.
        end_s: end of the last frame.
        tick_s: step of the file's clock; starts are rounded to it, so a time up to half of it early still counts.

    Returns:
        Same shape.

    Raises:
        ValueError: a time before the first frame or at or after the end.
    """
    times = np.asarray(times_s, np.float64)
    _check_inside((times + tick_s / 2 >= 0) & (times < end_s), times)
    return np.searchsorted(starts_s, times + tick_s / 2, side="right").astype(np.int64) - 1


def _check_inside(inside: npt.NDArray[np.bool_], times_s: FloatArray) -> None:
    bad = np.flatnonzero(~inside)
    if len(bad):
        raise ValueError(f"time {bad[0]} of the request, {times_s.flat[bad[0]]} s, is outside the video")


def resampled_times(duration_s: float, fps: float | Fraction) -> FloatArray:
    """Times of a video's frames at another rate: j / fps for all j that start within it.

    Args:
        duration_s: of the video.
        fps: wanted.

    Returns:
        (M,) seconds, each in one rounding; M = ceil(duration x fps), at least 1.

    Raises:
        ValueError: a rate or duration that is not positive.
    """
    if not 0 < duration_s < float("inf"):
        raise ValueError(f"duration {duration_s} s: must be a positive number")
    rate = as_rate(fps)
    count = max(1, int(np.ceil(duration_s * rate.numerator / rate.denominator - _SNAP)))
    times: FloatArray = np.arange(count, dtype=np.float64) * rate.denominator / rate.numerator
    return times


def resample_frames(num_frames: int, source_fps: float | Fraction, fps: float | Fraction) -> IntArray:
    """Frames of a constant-rate video that show it at another rate: frame j is the one on screen at j / fps.

    Args:
        num_frames: of the video.
        source_fps: of the video.
        fps: wanted; frames are left out or repeated.

    Returns:
        (M,) never falling frame numbers, M = ceil(num_frames x fps / source_fps); exact in whole numbers.
    """
    _check_count("num_frames", num_frames)
    step = as_rate(source_fps) / as_rate(fps)
    count = -(-num_frames * step.denominator // step.numerator)
    return np.arange(count, dtype=np.int64) * step.numerator // step.denominator


def sliding_windows(num_frames: int, window_frames: int, stride_frames: int) -> Windows:
    """Windows that begin at every multiple of the stride until all frames are covered.

    The grid is regular, so window w belongs to time w x stride / fps; the last window is completed with copies of the
    last frame. With a stride above the window's length frames between windows are skipped.

    Args:
        num_frames: of the video.
        window_frames: T, length of a window.
        stride_frames: distance of their beginnings.

    Raises:
        ValueError: a number below 1.
    """
    _check_count("num_frames", num_frames)
    _check_count("window_frames", window_frames)
    _check_count("stride_frames", stride_frames)
    more = -(-(num_frames - window_frames) // stride_frames)
    last = max(0, min(more, (num_frames - 1) // stride_frames))
    starts = np.arange(last + 1, dtype=np.int64) * stride_frames
    frames = np.minimum(starts[:, None] + np.arange(window_frames), num_frames - 1)
    return Windows(frames, np.minimum(num_frames - starts, window_frames))


def _check_count(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name} {value}: must be a whole number from 1")
