"""Lists of videos to leave out: blocked on the web, or known to be wrongly annotated."""

from __future__ import annotations

from pathlib import Path

from trainables.data.readers.source import Source


def read_video_ids(path: Path) -> tuple[str, ...]:
    """Ids of a JSON list (ActivityNet's server), or the first word of every line (SSN's lists add the class).

    Raises:
        ValueError: neither, an id twice, or none at all.
    """
    source = Source(path)
    ids = source.json if source.json is not None else [line.split()[0] for _, line in source.lines]
    if not isinstance(ids, list) or not all(isinstance(item, str) and item for item in ids):
        raise ValueError(f"{path}: expected a JSON list of video ids, or text with one id a line")
    if not ids:
        raise ValueError(f"{path}: holds no video id")
    seen: set[str] = set()
    for number, video_id in enumerate(ids):
        if video_id in seen:
            raise ValueError(f"{path}: entry {number}: video '{video_id}' is there twice")
        seen.add(video_id)
    return tuple(ids)
