"""Charades's official tables: a column ``actions`` of ``c123 start end;...``, a column ``length`` in seconds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from trainables.data.readers.actions import KNOWN, list_beside
from trainables.data.readers.classes import ClassList
from trainables.data.readers.raw import Options, RawAnnotations, RawSegment, RawVideo
from trainables.data.readers.source import Row, Source, parse_number

_COLUMNS = {"id", "actions", "length"}

#: Last word of a file's name -> the subset as ``charades.json`` calls it.
_SUBSETS = {"train": "training", "test": "testing"}

_CLASS = re.compile(r"c(\d{3})")


def recognises(source: Source) -> bool:
    """Whether it is such a table, or a folder with some."""
    return any(True for _ in _tables(source))


def read(source: Source, options: Options) -> RawAnnotations:
    """All videos of a table, or of all tables of a folder; the subset is the last word of the file's name.

    Raises:
        ValueError: a cell of another shape, or a class that the list does not have; file and line are named.
    """
    folder = source.path if source.path.is_dir() else source.path.parent
    classes = options.classes or list_beside(folder)
    videos = [_video(row, _subset(table.path), classes) for table in _tables(source) for row in table.rows]
    return RawAnnotations(videos, classes.names if classes else None, KNOWN)


def _tables(source: Source) -> Iterator[Source]:
    if not source.path.is_dir():
        yield from [source] if set(source.header) >= _COLUMNS else []
        return
    for path in sorted([*source.path.glob("*.csv"), *source.path.glob("*.csv.gz")]):
        table = Source(path)
        if set(table.header) >= _COLUMNS:
            yield table


def _subset(path: Path) -> str | None:
    return _SUBSETS.get(path.name.partition(".")[0].rpartition("_")[2])


def _video(row: Row, subset: str | None, classes: ClassList | None) -> RawVideo:
    video_id = row.cells["id"]
    where = f"{row.where}, video '{video_id}'"
    segments = []
    for number, action in enumerate(filter(None, row.cells["actions"].split(";"))):
        here = f"{where}, action {number}"
        words = action.split()
        match = _CLASS.fullmatch(words[0]) if len(words) == 3 else None
        if match is None:
            raise ValueError(f"{here} is not 'c123 start end': {action!r}")
        label = classes.name_of(int(match[1]), here) if classes else str(int(match[1]))
        segments.append(RawSegment(parse_number(words[1], here), parse_number(words[2], here), label, here))
    return RawVideo(video_id, where, segments, subset, row.number("length"))
