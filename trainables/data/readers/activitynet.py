"""ActivityNet's JSON form, which most tools share: ``database[video] = {subset, annotations: [{segment, label}]}``.

ActivityNet 1.2 and 1.3, HACS, G-TAD's ``thumos_gt.json`` (times as text), ActionFormer's and OpenTAD's
``thumos14.json`` (with fps and label ids), GTEA and BEOID. One file names the top level ``GT``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainables.data.annotations import AnnotatedVideo, AnnotationSet, FaultLog
from trainables.data.readers.segments import make_segment, read_number, read_positive
from trainables.data.readers.source import Source

#: Label of segments that excuse a miss and are no instance.
AMBIGUOUS = "Ambiguous"

_TOP = ("database", "GT")


def recognises(source: Source) -> bool:
    """Whether it is such a file."""
    return isinstance(source.json, dict) and any(isinstance(source.json.get(key), dict) for key in _TOP)


def read(source: Source) -> AnnotationSet:
    """All videos; classes in order of their names.

    Raises:
        ValueError: a video or an annotation of another shape; it is named.
    """
    database: Mapping[str, Any] = next(source.json[key] for key in _TOP if key in source.json)
    if not database:
        raise ValueError(f"{source.path}: holds no video")
    entries = {video_id: _entry(source, video_id, entry) for video_id, entry in database.items()}
    names = sorted({label for rows in entries.values() for label, _, _ in rows} - {AMBIGUOUS})
    if not names:
        raise ValueError(f"{source.path}: none of the {len(entries)} videos has an annotated segment")
    ids, faults = {name: i for i, name in enumerate(names)}, FaultLog()
    videos = [_video(source, video_id, database[video_id], rows, ids, faults) for video_id, rows in entries.items()]
    return AnnotationSet("activitynet", tuple(names), tuple(videos), faults.faults())


def _entry(source: Source, video_id: str, entry: Any) -> list[tuple[str, Any, Any]]:
    """(label, start, end) of every annotation, as the file has them."""
    where = f"{source.path}: video '{video_id}'"
    if not isinstance(entry, dict) or not isinstance(entry.get("annotations"), list):
        raise ValueError(f"{where}: expected {{subset, annotations: [...]}}")
    if not isinstance(entry.get("subset"), str):
        raise ValueError(f"{where}: 'subset' is {entry.get('subset')!r}, not a word")
    rows = []
    for number, annotation in enumerate(entry["annotations"]):
        try:
            start, end = annotation["segment"]
            label = annotation["label"]
        except (KeyError, TypeError, ValueError) as error:
            problem = f"{type(error).__name__} {error}"
            raise ValueError(
                f"{where}, annotation {number} is not {{segment: [start, end], label}}: {problem}"
            ) from error
        if not isinstance(label, str) or not label:
            raise ValueError(f"{where}, annotation {number}: label {label!r} is not a name")
        rows.append((label, start, end))
    return rows


def _video(
    source: Source,
    video_id: str,
    entry: Mapping[str, Any],
    rows: list[tuple[str, Any, Any]],
    ids: Mapping[str, int],
    faults: FaultLog,
) -> AnnotatedVideo:
    where = f"{source.path}: video '{video_id}'"
    duration_s = read_positive(entry.get("duration"), f"{where}, duration", faults)
    segments = []
    for number, (label, start, end) in enumerate(rows):
        here = f"{where}, annotation {number}"
        segments.append(
            make_segment(
                read_number(start, here, faults),
                read_number(end, here, faults),
                ids.get(label, 0),
                duration_s=duration_s,
                where=here,
                faults=faults,
                ambiguous=label == AMBIGUOUS,
            )
        )
    kept = tuple(segment for segment in segments if segment is not None)
    fps = read_positive(entry.get("fps"), f"{where}, fps", faults)
    return AnnotatedVideo(video_id, entry["subset"], duration_s, fps, kept)
