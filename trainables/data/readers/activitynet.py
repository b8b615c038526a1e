"""ActivityNet's JSON form, which most tools share: ``database[video] = {subset, annotations: [{segment, label}]}``.

ActivityNet 1.2 and 1.3, HACS, G-TAD's ``thumos_gt.json`` (times as text), ActionFormer's and OpenTAD's
``thumos14.json`` (with fps and label ids), GTEA and BEOID. One file names the top level ``GT``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainables.data.annotations import FaultLog
from trainables.data.readers.raw import NO_LENGTH, Options, RawAnnotations, RawSegment, RawVideo
from trainables.data.readers.source import Source

_TOP = ("database", "GT")
_FEATURE_FILE = ".npy"


def recognises(source: Source) -> bool:
    """Whether it is such a file."""
    return isinstance(source.json, dict) and any(isinstance(source.json.get(key), dict) for key in _TOP)


def read(source: Source, options: Options) -> RawAnnotations:
    """All videos; classes are the leaves of the file's taxonomy where it has one.

    Raises:
        ValueError: a video or an annotation of another shape, or a label with two ids; it is named.
    """
    database: Mapping[str, Any] = next(source.json[key] for key in _TOP if key in source.json)
    faults = FaultLog()
    videos = []
    for key, entry in database.items():
        videos.append(_video(f"{source.path}: video '{key}'", _video_id(key, source, faults), entry))
    _check_label_ids(source, database)
    names = options.classes.names if options.classes else _leaves(source)
    return RawAnnotations(videos, names, frozenset({NO_LENGTH}), faults)


def _video_id(key: str, source: Source, faults: FaultLog) -> str:
    """The id of a video that some files call by its file of features."""
    if not key.endswith(_FEATURE_FILE):
        return key
    faults.add("video named by its file of features", f"{source.path}: video '{key}'", "ending left out")
    return key.removesuffix(_FEATURE_FILE)


def read_segments(where: str, entry: Mapping[str, Any]) -> list[RawSegment]:
    """What stands under ``annotations``.

    Args:
        where: file and video.
        entry: of the video.

    Raises:
        ValueError: it is no list of ``{segment: [start, end], label}``; the first bad one is named.
    """
    annotations = entry.get("annotations")
    if not isinstance(annotations, list):
        raise ValueError(f"{where}: 'annotations' is {_shown(annotations)}, not a list")
    segments = []
    for number, annotation in enumerate(annotations):
        here = f"{where}, annotation {number}"
        segment = annotation.get("segment") if isinstance(annotation, dict) else None
        if not isinstance(segment, list) or len(segment) != 2:
            raise ValueError(f"{here} is not {{segment: [start, end], label}}: {_shown(annotation)}")
        label = annotation.get("label")
        if not isinstance(label, str) or not label:
            raise ValueError(f"{here}: label {label!r} is not a name")
        segments.append(RawSegment(segment[0], segment[1], label, here))
    return segments


def _video(where: str, video_id: str, entry: Any) -> RawVideo:
    if not isinstance(entry, dict):
        raise ValueError(f"{where}: expected {{subset, annotations: [...]}}, got {_shown(entry)}")
    if not isinstance(entry.get("subset"), str) or not entry["subset"]:
        raise ValueError(f"{where}: 'subset' is {entry.get('subset')!r}, not a word")
    segments = read_segments(where, entry)
    return RawVideo(video_id, where, segments, entry["subset"], entry.get("duration"), entry.get("fps"))


def _leaves(source: Source) -> tuple[str, ...] | None:
    """Names of the classes in the file's taxonomy, sorted; None where it has none."""
    taxonomy = source.json.get("taxonomy")
    if not taxonomy:
        return None
    try:
        parents = {node["parentId"] for node in taxonomy}
        return tuple(sorted(node["nodeName"] for node in taxonomy if node["nodeId"] not in parents))
    except (KeyError, TypeError) as error:
        problem = f"{type(error).__name__} {error}"
        raise ValueError(
            f"{source.path}: 'taxonomy' is no list of {{nodeId, nodeName, parentId}}: {problem}"
        ) from error


def _check_label_ids(source: Source, database: Mapping[str, Any]) -> None:
    """Refuse a file whose label ids do not follow its labels."""
    partner: dict[Any, Any] = {}
    for video_id, entry in database.items():
        for number, annotation in enumerate(entry["annotations"]):
            label, label_id = annotation["label"], annotation.get("label_id")
            if label_id is None:
                continue
            if partner.setdefault(label, label_id) != label_id or partner.setdefault(label_id, label) != label:
                where = f"{source.path}: video '{video_id}', annotation {number}"
                raise ValueError(f"{where}: label '{label}' has label_id {label_id!r}, against what stands before")


def _shown(value: Any) -> str:
    """A value for a message, shortened."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
