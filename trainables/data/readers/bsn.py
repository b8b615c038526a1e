"""The form of BSN and BMN (``anet_anno_action.json``): ``{video: {duration_second, annotations}}``, no subsets.

Subsets come from the video information that goes with it (``video_info_new.csv``). Ids are ActivityNet's, without the
``v_`` of the file names that this form puts before them.
"""

from __future__ import annotations

from typing import Any

from trainables.data.readers.activitynet import read_segments
from trainables.data.readers.raw import NO_LENGTH, Options, RawAnnotations, RawVideo
from trainables.data.readers.source import Source
from trainables.data.readers.video_info import plain_id


def recognises(source: Source) -> bool:
    """Whether it is such a file."""
    entries = source.json.values() if isinstance(source.json, dict) else ()
    return any(isinstance(entry, dict) and "duration_second" in entry for entry in entries)


def read(source: Source, options: Options) -> RawAnnotations:
    """All videos.

    Raises:
        ValueError: a video or an annotation of another shape; it is named.
    """
    videos = [_video(f"{source.path}: video '{name}'", name, entry) for name, entry in source.json.items()]
    return RawAnnotations(videos, options.classes.names if options.classes else None, frozenset({NO_LENGTH}))


def _video(where: str, name: str, entry: Any) -> RawVideo:
    if not isinstance(entry, dict) or "duration_second" not in entry:
        raise ValueError(f"{where}: has no 'duration_second'")
    segments = read_segments(where, entry)
    return RawVideo(plain_id(name), where, segments, duration=entry["duration_second"], fps=entry.get("rfps"))
