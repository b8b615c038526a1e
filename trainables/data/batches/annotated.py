"""One annotated video, and what is done to annotations of many. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainables.detections import FloatArray


@dataclass(frozen=True)
class Annotations:
    """Segments of one video.

    Attributes:
        segments_s: (n, 2) start, end in seconds.
        labels: (n,) class ids.
        ambiguous: (n,) True = excuses a miss, is no instance.
    """

    segments_s: FloatArray
    labels: npt.NDArray[np.int64]
    ambiguous: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class SplitVideo:
    """One video.

    Attributes:
        video_id: unique.
        split: train, select or test.
        duration_s: length, seconds.
        annotations: its segments.
    """

    video_id: str
    split: str
    duration_s: float
    annotations: Annotations


def permuted(
    annotations: Mapping[int, Annotations], rows: Sequence[int], durations_s: Sequence[float], seed: int
) -> dict[int, Annotations]:
    """Annotations of whole videos exchanged among ``rows``: no video keeps its own where there are two or more.

    Args:
        annotations: by index of the video.
        rows: the videos that take part.
        durations_s: by index; times are scaled with the videos' lengths, so that every segment stays inside.
        seed: of the order.
    """
    order = np.random.Generator(np.random.PCG64([2, seed, 0, 0])).permutation(len(rows))
    result = {}
    for place, source in zip(order, np.roll(order, 1), strict=True):
        to, own = rows[place], annotations[rows[source]]
        scale = durations_s[to] / durations_s[rows[source]]
        result[to] = Annotations(own.segments_s * scale, own.labels, own.ambiguous)
    return result
