"""The form of super-events, TGM and PDAN (``charades.json``, ``multithumos.json``).

``{video: {subset, duration, actions: [[class, start, end], ...]}}``. Charades counts classes from 0, MultiTHUMOS from
1: a list of the classes says which; without one they are called by their numbers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainables.data.readers.classes import ClassList, read_class_list
from trainables.data.readers.raw import NO_LENGTH, REVERSED, Options, RawAnnotations, RawSegment, RawVideo
from trainables.data.readers.source import Source

#: The class lists that are published beside such files.
_LISTS = ("Charades_v1_classes.txt", "thumos_mapping.txt", "thumos_mapping.txt~")

#: What published files of this form, and Charades's tables, hold.
KNOWN = frozenset({NO_LENGTH, REVERSED})


def recognises(source: Source) -> bool:
    """Whether it is such a file."""
    entries = source.json.values() if isinstance(source.json, dict) else ()
    return any(isinstance(entry, dict) and "actions" in entry for entry in entries)


def read(source: Source, options: Options) -> RawAnnotations:
    """All videos; classes are named by the list that is given or lies beside the file.

    Raises:
        ValueError: a video or an action of another shape, or a class that the list does not have; it is named.
    """
    classes = options.classes or list_beside(source.path.parent)
    videos = [_video(f"{source.path}: video '{name}'", name, e, classes) for name, e in source.json.items()]
    return RawAnnotations(videos, classes.names if classes else None, KNOWN)


def list_beside(folder: Path) -> ClassList | None:
    """The class list of a folder, None where there is none.

    Raises:
        ValueError: there are several.
    """
    found = [folder / name for name in _LISTS if (folder / name).is_file()]
    if len(found) > 1:
        raise ValueError(f"{folder}: {', '.join(p.name for p in found)} are there; say which one names the classes")
    return read_class_list(found[0]) if found else None


def _video(where: str, video_id: str, entry: Any, classes: ClassList | None) -> RawVideo:
    if not isinstance(entry, dict):
        raise ValueError(f"{where}: expected {{subset, duration, actions}}")
    for key, kind in (("subset", str), ("duration", (int, float)), ("actions", list)):
        if not isinstance(entry.get(key), kind):
            raise ValueError(f"{where}: '{key}' is {entry.get(key)!r:.80}; expected {{subset, duration, actions}}")
    segments = []
    for number, action in enumerate(entry["actions"]):
        here = f"{where}, action {number}"
        if not isinstance(action, list) or len(action) != 3 or type(action[0]) is not int:
            raise ValueError(f"{here} is not [class, start, end]: {action!r:.80}")
        label = classes.name_of(action[0], here) if classes else str(action[0])
        segments.append(RawSegment(action[1], action[2], label, here))
    return RawVideo(video_id, where, segments, entry["subset"], entry["duration"])
