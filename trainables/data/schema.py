"""The one schema of every data set: videos, annotated segments, features.

Readers and builders make :class:`Video`; the store writes it as three Arrow tables.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from trainables.segments import snippets_to_seconds

SPLITS = ("train", "select", "test")

#: The split under which detectors ask for trimmed clips of the classes, where there are any.
TRIMMED = "trimmed"

#: (L, C) one row a snippet.
Features = npt.NDArray[np.float32]

VIDEO_SCHEMA = pa.schema(
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("subset", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("duration_s", pa.float64(), nullable=False),
        pa.field("fps", pa.float64()),
        pa.field("snippet_seconds", pa.float64(), nullable=False),
        pa.field("num_snippets", pa.int64(), nullable=False),
        pa.field("feature_offset", pa.int64(), nullable=False),
        pa.field("clips", pa.list_(pa.string()), nullable=False),
    ]
)
SEGMENT_SCHEMA = pa.schema(
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("start_s", pa.float64(), nullable=False),
        pa.field("end_s", pa.float64(), nullable=False),
        pa.field("label", pa.int64(), nullable=False),
        pa.field("ambiguous", pa.bool_(), nullable=False),
    ]
)


def feature_schema(feat_dim: int) -> pa.Schema:
    """One column of ``feat_dim`` float32 a row; row ``feature_offset + t`` is snippet t of a video."""
    item = pa.field("item", pa.float32(), nullable=False)
    return pa.schema([pa.field("feats", pa.list_(item, feat_dim), nullable=False)])


@dataclass(frozen=True)
class Segment:
    """One annotated segment.

    Attributes:
        start_s: start, seconds.
        end_s: end, seconds.
        label: class id.
        ambiguous: excuses a miss, is no instance.
    """

    start_s: float
    end_s: float
    label: int
    ambiguous: bool = False


@dataclass(frozen=True)
class Video:
    """One video of a data set.

    Attributes:
        video_id: unique.
        subset: the data set's own word for the part it belongs to.
        split: train, select or test.
        snippet_seconds: seconds that one snippet covers.
        features: (L, C) float32.
        segments: annotated segments; they may reach beyond the duration, as published annotations do.
        clips: names of the trimmed clips it was stitched from, for checks that splits share none.
        fps: frames per second of the video the features come from, None where unknown.
        annotated_duration_s: length of that video, None where the snippets cover it exactly.
    """

    video_id: str
    subset: str
    split: str
    snippet_seconds: float
    features: Features
    segments: tuple[Segment, ...]
    clips: tuple[str, ...] = ()
    fps: float | None = None
    annotated_duration_s: float | None = None

    @property
    def duration_s(self) -> float:
        """Length, seconds."""
        if self.annotated_duration_s is not None:
            return self.annotated_duration_s
        return float(snippets_to_seconds(len(self.features), self.snippet_seconds))

    def row(self, feature_offset: int) -> dict[str, Any]:
        """Its row in the table of videos."""
        return {
            "video_id": self.video_id,
            "subset": self.subset,
            "split": self.split,
            "duration_s": self.duration_s,
            "fps": self.fps,
            "snippet_seconds": self.snippet_seconds,
            "num_snippets": len(self.features),
            "feature_offset": feature_offset,
            "clips": list(self.clips),
        }

    def segment_rows(self) -> list[dict[str, Any]]:
        """Its rows in the table of segments."""
        return [
            {
                "video_id": self.video_id,
                "start_s": s.start_s,
                "end_s": s.end_s,
                "label": s.label,
                "ambiguous": s.ambiguous,
            }
            for s in self.segments
        ]


def check_class_names(class_names: Sequence[str]) -> None:
    """Refuse names that do not tell classes apart.

    Raises:
        ValueError: there is none, one is empty, or one is there twice.
    """
    if not class_names or not all(class_names):
        raise ValueError(f"class names: {list(class_names)}; a data set has classes, and each has a name")
    twice = sorted({name for name in class_names if list(class_names).count(name) > 1})
    if twice:
        raise ValueError(f"class names: {', '.join(twice)} more than once")


def check_video(video: Video, *, feat_dim: int, num_classes: int) -> None:
    """Refuse a video that cannot be stored or would be misread.

    Args:
        video: as a reader or builder made it.
        feat_dim: C of the data set.
        num_classes: K.

    Raises:
        ValueError: names the video, the rule and the value.
    """
    where = f"video '{video.video_id}'"
    if video.split not in SPLITS:
        raise ValueError(f"{where}: split '{video.split}' is none of {', '.join(SPLITS)}")
    rates = {"snippet_seconds": video.snippet_seconds, "fps": video.fps, "duration_s": video.annotated_duration_s}
    for name, value in rates.items():
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise ValueError(f"{where}: {name} {value} must be a positive number")
    feats = video.features
    if feats.dtype != np.float32 or feats.ndim != 2 or len(feats) == 0 or feats.shape[1] != feat_dim:
        raise ValueError(f"{where}: features are {feats.dtype} {feats.shape}, expected float32 (L, {feat_dim}), L > 0")
    if not np.isfinite(feats).all():
        raise ValueError(f"{where}: a feature is not finite")
    for row, segment in enumerate(video.segments):
        if not 0 <= segment.start_s < segment.end_s < math.inf:
            raise ValueError(f"{where}: row {row}: {segment} must have 0 <= start < end")
        if not 0 <= segment.label < num_classes:
            raise ValueError(f"{where}: row {row}: {segment} must have one of {num_classes} labels, counted from 0")
