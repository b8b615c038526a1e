"""What is known about one video, and which frames a time, a span or another rate means in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trainables.data.video.sampling import (
    FloatArray,
    IntArray,
    frames_at_rate,
    frames_at_starts,
    resample_frames,
    resampled_times,
)


class DecoderUse(NamedTuple):
    """Who decoded, for the record of whatever is made of the frames.

    Attributes:
        name: of the decoder.
        version: of its package.
        why: why a preferred decoder was passed over; None if none was.
    """

    name: str
    version: str
    why: str | None


@dataclass(frozen=True)
class VideoInfo:
    """A video, by its index.

    Attributes:
        file: absolute path.
        num_frames: N; frame i is the i-th that is shown, counted from 0.
        fps: frames per second; the mean where it varies. Where the container's own rate does not fit the times of the
            frames, the times win.
        duration_s: from the start of the first frame to the end of the last one.
        height: rows of a frame as it is shown, turned upright.
        width: columns.
        codec: FFmpeg's name.
        container: FFmpeg's names of the format.
        variable_rate: some frame is not shown at number / fps, to within one step of the file's clock.
        times_known: False where the file's own times cannot be used and number / fps is assumed.
        tick_s: step of the file's clock, seconds.
        starts_s: (N,) start of every frame, seconds from the first; only where the rate varies.
    """

    file: str
    num_frames: int
    fps: Fraction
    duration_s: float
    height: int
    width: int
    codec: str
    container: str
    variable_rate: bool
    times_known: bool
    tick_s: float
    starts_s: FloatArray | None = field(default=None, compare=False)

    def frames_at(self, times_s: npt.ArrayLike) -> IntArray:
        """Numbers of the frames on screen.

        Args:
            times_s: any shape, seconds from the start of the first frame.

        Raises:
            ValueError: a time outside the video; the first one is named.
        """
        try:
            if self.starts_s is not None:
                return frames_at_starts(times_s, self.starts_s, self.duration_s, self.tick_s)
            return frames_at_rate(times_s, self.fps, self.num_frames)
        except ValueError as error:
            raise ValueError(f"{self.file}: {error} of {self.duration_s:.3f} s") from error

    def times_of(self, frames: npt.ArrayLike) -> FloatArray:
        """Starts of frames, seconds from the start of the first one; any shape."""
        numbers = np.asarray(frames, np.int64)
        times: FloatArray
        if self.starts_s is not None:
            times = self.starts_s[numbers]
        else:
            times = numbers.astype(np.float64) * self.fps.denominator / self.fps.numerator
        return times

    def span(self, start_s: float, end_s: float, *, fps: float | Fraction | None = None) -> IntArray:
        """Frames of a part of the video.

        Args:
            start_s: seconds from the first frame; the frame on screen then is the first of the result.
            end_s: frames that start from here on are not part of it.
            fps: rate of the result, frames are left out or repeated; None = every frame of the file once.

        Returns:
            (T,) never falling frame numbers, T >= 1.

        Raises:
            ValueError: the part is empty or not inside the video.
        """
        if not 0 <= start_s < end_s:
            raise ValueError(f"{self.file}: span [{start_s}, {end_s}] s must have 0 <= start < end")
        if fps is None:
            first, last = self.frames_at([start_s, max(start_s, end_s - self.tick_s)]).tolist()
            return np.arange(first, last + 1)
        return self.frames_at(start_s + resampled_times(end_s - start_s, fps))

    def resampled(self, fps: float | Fraction | None) -> IntArray:
        """Frames that show the whole video at another rate; None = its own."""
        if fps is None:
            return np.arange(self.num_frames)
        if self.starts_s is None:
            return resample_frames(self.num_frames, self.fps, fps)
        return self.frames_at(resampled_times(self.duration_s, fps))
