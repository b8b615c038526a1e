"""The rules that every format's rows are held against, in one place: numbers, classes, durations, segments."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainables.data.annotations import AnnotatedVideo, AnnotationSet, FaultLog
from trainables.data.readers.raw import AMBIGUOUS, NO_LENGTH, REVERSED, RawAnnotations, RawSegment, RawVideo
from trainables.data.readers.video_info import VideoInfo
from trainables.data.schema import Segment

#: A segment that ends this much after its video does so by rounding.
ROUNDING_S = 1e-6

#: Durations that differ by more than this are those of different files.
_DURATION_TOLERANCE_S = 1.0

_AS_TEXT = "numbers stored as text"

#: Subset of videos that neither the annotation nor the video information puts into one.
UNKNOWN_SUBSET = "unknown"


def assemble(format: str, path: Path, raw: RawAnnotations, info: Mapping[str, VideoInfo] | None) -> AnnotationSet:
    """Apply the rules.

    Segments without length and reversed ones are left out where published files of the form hold such (nothing can
    match them), and are an error elsewhere; segments that end after their video are kept as they are, as public
    evaluators do; copies are kept. All are counted.

    Args:
        format: name of the form.
        path: of the file or folder, for messages.
        raw: what its reader took.
        info: durations, frame rates and subsets, for what the annotation does not say; None = not given.

    Raises:
        ValueError: a video twice, an unknown class, a number that is none, a segment before its video, or one that
            breaks a rule that published files are not known to break; file and row are named.
    """
    if not raw.videos:
        raise ValueError(f"{path}: holds no video")
    names = raw.class_names or _occurring(raw)
    if not names:
        raise ValueError(f"{path}: none of the {len(raw.videos)} videos has an annotated segment")
    seen: dict[str, str] = {}
    for video in raw.videos:
        if video.video_id in seen:
            raise ValueError(f"{video.where}: video '{video.video_id}' is there twice, first at {seen[video.video_id]}")
        seen[video.video_id] = video.where
    assembly = _Assembly({name: i for i, name in enumerate(names)}, raw.known, raw.faults, info)
    videos = tuple(assembly.video(video) for video in raw.videos)
    return AnnotationSet(format, names, videos, raw.faults.faults())


def _occurring(raw: RawAnnotations) -> tuple[str, ...]:
    labels = {segment.label for video in raw.videos for segment in video.segments} - {AMBIGUOUS}
    return tuple(sorted(labels, key=_by_number))


def _by_number(name: str) -> tuple[int, str]:
    """Sorts classes that are known by their numbers only as numbers."""
    return (int(name) if re.fullmatch(r"\d+", name) else -1, name)


class _Assembly:
    """What all videos of one set share."""

    def __init__(
        self,
        ids: Mapping[str, int],
        known: frozenset[str],
        faults: FaultLog,
        info: Mapping[str, VideoInfo] | None,
    ) -> None:
        self._ids = ids
        self._known = known
        self._faults = faults
        self._info = info

    def video(self, raw: RawVideo) -> AnnotatedVideo:
        """One video under the rules."""
        duration_s = self._positive(raw.duration, f"{raw.where}, duration")
        fps = self._positive(raw.fps, f"{raw.where}, fps")
        subset = raw.subset
        if self._info is not None:
            info = self._info.get(raw.video_id)
            if info is None:
                self._faults.add("video without video information", raw.where, "kept")
            else:
                if duration_s is not None and abs(info.duration_s - duration_s) > _DURATION_TOLERANCE_S:
                    where = f"{raw.where}: {duration_s} s, {info.where}: {info.duration_s} s"
                    self._faults.add("two durations more than 1 s apart", where, "the annotation's is used")
                duration_s, fps = duration_s or info.duration_s, fps or info.fps
                subset = subset or info.subset
        segments = [self._segment(segment, duration_s) for segment in raw.segments]
        kept = tuple(segment for segment in segments if segment is not None)
        self._count_copies(raw, segments)
        return AnnotatedVideo(raw.video_id, subset or UNKNOWN_SUBSET, duration_s, fps, kept)

    def _segment(self, raw: RawSegment, duration_s: float | None) -> Segment | None:
        if isinstance(raw.start_s, str) or isinstance(raw.end_s, str):
            self._faults.add(_AS_TEXT, f"{raw.where}: {raw.start_s!r}, {raw.end_s!r}", "read as numbers")
        start_s, end_s = _number(raw.start_s, raw.where), _number(raw.end_s, raw.where)
        ambiguous = raw.label == AMBIGUOUS
        if not ambiguous and raw.label not in self._ids:
            near = difflib.get_close_matches(raw.label, self._ids, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise ValueError(f"{raw.where}: class '{raw.label}' is none of the {len(self._ids)} classes{hint}")
        times = f"{raw.where}: [{start_s}, {end_s}]"
        if start_s < 0:
            raise ValueError(f"{times} starts before the video; correct the file")
        action = "kept"
        if end_s <= start_s:
            rule, action = NO_LENGTH if end_s == start_s else REVERSED, "left out"
            if rule not in self._known:
                raise ValueError(f"{times}: {rule}; files of this form are not known to hold such: correct the file")
            self._faults.add(rule, times, action)
        if duration_s is not None and end_s > duration_s + ROUNDING_S:
            self._faults.add("segment ends after its video", f"{times} of {duration_s} s", action)
        return Segment(start_s, end_s, self._ids.get(raw.label, 0), ambiguous) if action == "kept" else None

    def _count_copies(self, raw: RawVideo, segments: list[Segment | None]) -> None:
        seen: set[Segment] = set()
        for row, segment in zip(raw.segments, segments, strict=True):
            if segment in seen:
                where = f"{row.where}: '{row.label}' [{row.start_s}, {row.end_s}]"
                self._faults.add("segment is there more than once", where, "kept")
            if segment is not None:
                seen.add(segment)

    def _positive(self, value: Any, where: str) -> float | None:
        if value is None:
            return None
        if isinstance(value, str):
            self._faults.add(_AS_TEXT, f"{where}: {value!r}", "read as numbers")
        number = _number(value, where)
        if number <= 0:
            raise ValueError(f"{where}: {value!r} must be positive")
        return number


def _number(value: Any, where: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {value!r} is not a number") from error
    if not math.isfinite(number) or isinstance(value, bool):
        raise ValueError(f"{where}: {value!r} is not a finite number")
    return number
