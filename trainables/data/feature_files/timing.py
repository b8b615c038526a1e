"""When a feature is: from frames to seconds, in rational numbers until the last step.

Feature t of an extractor is computed from the frames [first + t stride, first + t stride + len). Its time is the
centre of that window, (first + t stride + len / 2) / fps seconds. On the snippet axis of a store, feature t covers the
cell [t, t + 1) of stride / fps seconds whose centre is that same time, so that the axis begins at

    (first + len / 2 - stride / 2) / fps seconds = (2 first + len - stride) / (2 stride) snippets,

which is 0 where windows touch (len = stride) and more where they overlap. The convention of ActionFormer
(happyharrycn/actionformer_release:libs/datasets/thumos14.py) is the same: feature t sits at its window's centre.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class SnippetTiming:
    """Windows of an extractor.

    Attributes:
        len_frames: frames behind one feature.
        stride_frames: frames from one feature to the next.
        fps: frames per second at which the features were extracted; None = the annotation's, video by video.
        first_frame: frame where the window of feature 0 begins; below 0 where the extractor padded the video.

    Raises:
        ValueError: a length, stride or rate that is not positive.
    """

    len_frames: int
    stride_frames: int
    fps: Fraction | None = None
    first_frame: int = 0

    def __post_init__(self) -> None:
        for name in ("len_frames", "stride_frames", "fps"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name}: {value} must be positive")

    @property
    def offset_snippets(self) -> float:
        """Time of snippet coordinate 0, in snippets."""
        return float(Fraction(2 * self.first_frame + self.len_frames - self.stride_frames, 2 * self.stride_frames))

    def snippet_seconds(self, fps: Fraction) -> float:
        """Seconds from one feature to the next, rounded once."""
        return float(self.stride_frames / fps)

    def end_s(self, num_snippets: int, fps: Fraction) -> float:
        """Time at which the last window ends."""
        last = self.first_frame + (num_snippets - 1) * self.stride_frames + self.len_frames
        return float(last / fps)


def exact_rate(fps: Fraction | float | str) -> Fraction:
    """A frame rate as a rational number: '30000/1001' as given, a float as the binary number it is.

    Raises:
        ValueError: not a positive number.
    """
    try:
        rate = Fraction(fps)
    except (ValueError, OverflowError, ZeroDivisionError) as error:
        raise ValueError(f"fps: '{fps}' is not a number or a fraction like 30000/1001") from error
    if rate <= 0:
        raise ValueError(f"fps: {fps} must be positive")
    return rate
