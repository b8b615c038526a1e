"""Detections of overlapping windows in the time of their video, ready to be suppressed across windows.

A window is one stored output of a video (:class:`trainables.records.RawOutput`). Shift with :meth:`Windows.seconds`,
leave out what a window's border cut if that is wanted (:meth:`Windows.cut_short`), then suppress with the group
``windows.video[window]``, class-wise or not: the same action found by two windows is one detection.

Letters: W windows, V videos, N detections.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.records import RawOutput


@dataclass(frozen=True)
class Windows:
    """Where the windows of a set of videos lie.

    Attributes:
        video_ids: V ids, in the order of their first window.
        video: (W,) int64 index into ``video_ids``.
        start_s: (W,) float64 time of coordinate 0, seconds.
        seconds_per_sample: (W,) float64.
        num_samples: (W,) float64 valid samples.
        duration_s: (W,) float64 length of the whole video, seconds.
    """

    video_ids: tuple[str, ...]
    video: Tensor
    start_s: Tensor
    seconds_per_sample: Tensor
    num_samples: Tensor
    duration_s: Tensor

    @classmethod
    def of(cls, raw: Sequence[RawOutput]) -> Windows:
        """The windows of stored outputs, in their order.

        Raises:
            ValueError: windows of one video disagree about its duration, or a step is not a positive number.
        """
        durations: dict[str, float] = {}
        for k, r in enumerate(raw):
            if durations.setdefault(r.video_id, r.duration_s) != r.duration_s:
                raise ValueError(
                    f"window {k}: video {r.video_id} lasts {r.duration_s} s, an earlier window says "
                    f"{durations[r.video_id]} s"
                )
            if not 0.0 < r.seconds_per_sample < float("inf"):
                raise ValueError(f"window {k}: seconds per sample {r.seconds_per_sample} must be a positive number")
        index = {video_id: k for k, video_id in enumerate(durations)}

        def column(values: list[float]) -> Tensor:
            return torch.tensor(values, dtype=torch.float64)

        return cls(
            video_ids=tuple(durations),
            video=torch.tensor([index[r.video_id] for r in raw], dtype=torch.long),
            start_s=column([r.start_s for r in raw]),
            seconds_per_sample=column([r.seconds_per_sample for r in raw]),
            num_samples=column([float(r.num_samples) for r in raw]),
            duration_s=column([r.duration_s for r in raw]),
        )

    def seconds(self, segments_grid: Tensor, window: Tensor) -> Tensor:
        """(N, 2) float64 start, end in the time of the video, cut to it; empty where all of it lies outside.

        Args:
            segments_grid: (N, 2) start, end in samples of the window.
            window: (N,) int64 window of each.
        """
        start, step = self.start_s[window, None], self.seconds_per_sample[window, None]
        times = (start + segments_grid.double() * step).clamp(min=0.0)
        return torch.minimum(times, self.duration_s[window, None])

    def cut_short(self, segments_grid: Tensor, window: Tensor, *, margin: float = 0.0) -> Tensor:
        """True where a detection reaches a border of its window behind which the video goes on.

        A border less than one sample from the beginning or the end of the video is the video's own: what reaches it is
        whole.

        Args:
            segments_grid: (N, 2) start, end in samples of the window.
            window: (N,) int64 window of each.
            margin: a detection that comes this near to the border reaches it, samples.
        """
        last = self.num_samples[window]
        end_s = self.start_s + self.num_samples * self.seconds_per_sample
        goes_on_before = self.start_s >= self.seconds_per_sample
        goes_on_after = self.duration_s - end_s >= self.seconds_per_sample
        at_start = segments_grid[:, 0] <= margin
        at_end = segments_grid[:, 1] >= last - margin
        return (at_start & goes_on_before[window]) | (at_end & goes_on_after[window])
