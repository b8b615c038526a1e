"""Readers of published annotations: each recognises its format by content and knows its faults."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from trainables.data.annotations import AnnotationSet
from trainables.data.readers import activitynet, thumos14
from trainables.data.readers.source import Source

#: Format -> module with ``recognises(source)`` and ``read(source)``.
FORMATS: dict[str, ModuleType] = {
    "activitynet": activitynet,
    "thumos14": thumos14,
}


def read_annotations(path: Path, *, format: str = "auto") -> AnnotationSet:
    """Read annotations of any known format.

    Args:
        path: file or folder.
        format: one of :data:`FORMATS`, or "auto" to recognise it by content.

    Raises:
        ValueError: no such path or format, a file of no known format, or a row that breaks a rule that published files
            are not known to break; path and row are named.
    """
    if format not in ("auto", *FORMATS):
        raise ValueError(f"format '{format}' is none of auto, {', '.join(FORMATS)}")
    source = Source(path)
    if format == "auto":
        fitting = [name for name, reader in FORMATS.items() if reader.recognises(source)]
        if not fitting:
            raise ValueError(f"{path}: of no known format; known are {', '.join(FORMATS)}")
        format = fitting[0]
    elif not FORMATS[format].recognises(source):
        raise ValueError(f"{path}: not of the format '{format}'; leave the format out to have it recognised")
    return FORMATS[format].read(source)
