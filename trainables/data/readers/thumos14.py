"""THUMOS'14's official folder: one text file a class, lines of ``video start end``, and one of ambiguous segments."""

from __future__ import annotations

from pathlib import Path

from trainables.data.annotations import AnnotatedVideo, AnnotationSet, FaultLog
from trainables.data.readers.segments import make_segment, read_number
from trainables.data.readers.source import Source
from trainables.data.schema import Segment

AMBIGUOUS = "Ambiguous"

#: End of the files' names -> subset.
_SUBSETS = {"val": "validation", "test": "test"}


def recognises(source: Source) -> bool:
    """Whether it is such a folder, or holds such folders."""
    return bool(_files(source.path))


def read(source: Source) -> AnnotationSet:
    """All subsets there; classes in order of their names. The files do not say how long the videos are.

    Raises:
        ValueError: a line of another shape (its file and number are named), or a subset without a class.
    """
    files, faults = _files(source.path), FaultLog()
    names = sorted({name for _, name, _ in files} - {AMBIGUOUS})
    if not names:
        raise ValueError(f"{source.path}: has ambiguous segments only; the files of the classes are missing")
    ids = {name: i for i, name in enumerate(names)}
    segments: dict[tuple[str, str], list[Segment]] = {}
    for subset, name, path in files:
        for video_id, segment in _lines(path, ids.get(name, 0), name == AMBIGUOUS, faults):
            segments.setdefault((subset, video_id), []).append(segment)
    for subset in dict.fromkeys(subset for subset, _, _ in files):
        missing = set(names) - {name for own, name, _ in files if own == subset}
        if missing:
            raise ValueError(f"{source.path}: subset '{subset}' has no file of class '{min(missing)}'")
    videos = (AnnotatedVideo(v, subset, None, None, tuple(own)) for (subset, v), own in sorted(segments.items()))
    return AnnotationSet("thumos14", tuple(names), tuple(videos), faults.faults())


def _files(folder: Path) -> list[tuple[str, str, Path]]:
    """(subset, class, file), in order of subset and class."""
    if not folder.is_dir():
        return []
    found = []
    for path in sorted([*folder.glob("*_*.txt"), *folder.glob("*/*_*.txt")]):
        name, _, ending = path.stem.rpartition("_")
        if ending in _SUBSETS and name:
            found.append((_SUBSETS[ending], name, path))
    return found


def _lines(path: Path, label: int, ambiguous: bool, faults: FaultLog) -> list[tuple[str, Segment]]:
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{path}: line {number}"
        try:
            video_id, start, end = line.split()
            times = float(start), float(end)
        except ValueError as error:
            raise ValueError(f"{where} is not 'video start end': {line!r}") from error
        start_s, end_s = (read_number(time, where, faults) for time in times)
        segment = make_segment(
            start_s,
            end_s,
            label,
            duration_s=None,
            where=where,
            faults=faults,
            ambiguous=ambiguous,
        )
        if segment is not None:
            rows.append((video_id, segment))
    return rows
