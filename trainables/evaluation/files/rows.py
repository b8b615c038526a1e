"""Rows of a file of detections, before its labels are held against classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainables.detections import Detections, FloatArray, IntArray
from trainables.evaluation.checks import BoolArray, check_detections, refuse, within


@dataclass(frozen=True)
class Rows:
    """A file's columns.

    Attributes:
        video_ids: V ids, also of videos without rows where the file lists them.
        video: (N,) index into ``video_ids``.
        segments_s: (N, 2) start, end in seconds.
        labels: N class names, as the file has them.
        scores: (N,) confidence.
        place: names row n in the file's own terms.
    """

    video_ids: tuple[str, ...]
    video: IntArray
    segments_s: FloatArray
    labels: Sequence[str]
    scores: FloatArray
    place: Callable[[int], str]

    def require(self, path: Path, holds: BoolArray, complaint: str) -> None:
        """Refuse the file where a rule does not hold.

        Args:
            path: of the file.
            holds: (N,) for each row.
            complaint: what is wrong where it does not.

        Raises:
            ValueError: names the first row.
        """
        if not holds.all():
            row = int(np.flatnonzero(~holds)[0])
            raise ValueError(f"{path}: {self.describe(row)}: {complaint}; {int((~holds).sum())} such rows")

    def describe(self, row: int) -> str:
        """Where the row is and what it holds."""
        return f"{self.place(row)}, {self.segments_s[row].tolist()} {self.labels[row]!r} {float(self.scores[row])}"


def label_names(found: Detections, class_names: Sequence[str]) -> list[str]:
    """Label of every detection, once all of it is fit to be written.

    Raises:
        ValueError: detections that no reader would take.
    """
    check_detections(found)
    refuse(~within(found.labels, len(class_names)), "detections", f"has a label outside the {len(class_names)} classes")
    return [class_names[label] for label in found.labels.tolist()]
