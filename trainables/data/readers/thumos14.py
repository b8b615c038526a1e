"""THUMOS'14's official folder: one text file a class, lines of ``video start end``, and one of ambiguous segments."""

from __future__ import annotations

from pathlib import Path

from trainables.data.readers.raw import AMBIGUOUS, Options, RawAnnotations, RawSegment, RawVideo
from trainables.data.readers.source import Source, parse_number

#: End of the files' names -> subset.
_SUBSETS = {"val": "validation", "test": "test"}


def recognises(source: Source) -> bool:
    """Whether it is such a folder, or holds such folders."""
    return bool(_files(source.path))


def read(source: Source, options: Options) -> RawAnnotations:
    """All subsets there, videos by name; classes in the order of their names. The files do not say how long videos are.

    Raises:
        ValueError: a line of another shape (its file and number are named), or a subset without a class.
    """
    files = _files(source.path)
    names = sorted({name for _, name, _ in files} - {AMBIGUOUS})
    if not names:
        raise ValueError(f"{source.path}: has ambiguous segments only; the files of the classes are missing")
    for subset in dict.fromkeys(subset for subset, _, _ in files):
        missing = set(names) - {name for own, name, _ in files if own == subset}
        if missing:
            raise ValueError(f"{source.path}: subset '{subset}' has no file of class '{min(missing)}'")
    segments: dict[tuple[str, str], list[RawSegment]] = {}
    for subset, name, path in files:
        for video_id, segment in _lines(path, name):
            segments.setdefault((video_id, subset), []).append(segment)
    videos = [RawVideo(v, own[0].where, own, subset) for (v, subset), own in sorted(segments.items(), key=_name)]
    return RawAnnotations(videos, options.classes.names if options.classes else tuple(names))


def _name(item: tuple[tuple[str, str], object]) -> tuple[str, str]:
    return item[0]


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


def _lines(path: Path, name: str) -> list[tuple[str, RawSegment]]:
    rows = []
    for where, line in Source(path).lines:
        words = line.split()
        if len(words) != 3:
            raise ValueError(f"{where} is not 'video start end': {line!r}")
        start, end = (parse_number(word, where) for word in words[1:])
        rows.append((words[0], RawSegment(start, end, name, where)))
    if not rows:
        raise ValueError(f"{path}: holds no line 'video start end'")
    return rows
