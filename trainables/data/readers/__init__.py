"""Readers of published annotations: each recognises its format by content and knows its faults."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from trainables.data.annotations import AnnotationSet
from trainables.data.readers import (
    actions,
    activitynet,
    bsn,
    charades,
    frame_labels,
    tables,
    thumos14,
    trimmed,
)
from trainables.data.readers.assembly import assemble
from trainables.data.readers.classes import read_class_list
from trainables.data.readers.raw import Options, RawAnnotations
from trainables.data.readers.source import Source
from trainables.data.readers.video_info import read_video_info


@dataclass(frozen=True)
class Format:
    """One form of annotations.

    Attributes:
        what: in words, for messages.
        recognises: whether a source is of this form.
        read: takes everything from it.
        takes: the options beside ``video_info`` that mean something here.
    """

    what: str
    recognises: Callable[[Source], bool]
    read: Callable[[Source, Options], RawAnnotations]
    takes: frozenset[str] = frozenset({"classes"})


#: Format -> its reader.
FORMATS: dict[str, Format] = {
    "activitynet": Format("JSON with 'database'", activitynet.recognises, activitynet.read),
    "bsn": Format("JSON of videos with 'duration_second'", bsn.recognises, bsn.read),
    "actions": Format("JSON of videos with 'actions'", actions.recognises, actions.read),
    "thumos14": Format("folder of <class>_val.txt or <class>_test.txt", thumos14.recognises, thumos14.read),
    "charades": Format("table with columns id, actions, length", charades.recognises, charades.read),
    "table": Format("table of AFSD, DAPs or TSP with one segment a row", tables.recognises, tables.read),
    "50salads": Format(
        "Split_k.mat with Y, S, P, or a folder of them",
        frame_labels.recognises,
        frame_labels.read,
        frozenset({"seconds_per_step"}),
    ),
    "trimmed": Format(
        "folder of class/clip.avi or subset/class/clip.mp4",
        trimmed.recognises,
        trimmed.read,
        frozenset({"classes", "clip_lists"}),
    ),
}


def read_annotations(
    path: Path,
    *,
    format: str = "auto",
    classes: Path | None = None,
    video_info: Iterable[Path] = (),
    clip_lists: Iterable[Path] = (),
    seconds_per_step: float | None = None,
) -> AnnotationSet:
    """Read annotations of any known format.

    Args:
        path: file (also gzipped) or folder.
        format: one of :data:`FORMATS`, or "auto" to recognise it by content.
        classes: list of the classes: names the numbered ones, and a class that is not in it is an error. Charades's
            and MultiTHUMOS's are found beside their annotations.
        video_info: tables of durations, frame rates and subsets, for what the annotation does not say.
        clip_lists: split lists of trimmed clips (UCF-101's text or Kinetics's tables).
        seconds_per_step: of 50 Salads's frame labels, whose files do not say it.

    Raises:
        ValueError: no such path or format, a file of no known format, an option that the format does not take, or a
            row that breaks a rule that published files are not known to break; path and row are named.
    """
    tables_of_videos = tuple(video_info)
    options = Options(read_class_list(classes) if classes else None, tuple(clip_lists), seconds_per_step)
    source = Source(path)
    chosen = _choose(source, format)
    for name in ("classes", "clip_lists", "seconds_per_step"):
        if getattr(options, name) not in (None, ()) and name not in FORMATS[chosen].takes:
            raise ValueError(f"{name}: means nothing for {path}, which is of the format '{chosen}'; leave it out")
    if seconds_per_step is not None and not 0 < seconds_per_step < float("inf"):
        raise ValueError(f"seconds_per_step: {seconds_per_step} must be a positive number")
    info = read_video_info(tables_of_videos) if tables_of_videos else None
    return assemble(chosen, path, FORMATS[chosen].read(source, options), info)


def _choose(source: Source, format: str) -> str:
    if format not in ("auto", *FORMATS):
        raise ValueError(f"format '{format}' is none of auto, {', '.join(FORMATS)}")
    if format != "auto":
        if not FORMATS[format].recognises(source):
            raise ValueError(
                f"{source.path}: not of the format '{format}' ({FORMATS[format].what}); leave the format out to have "
                "it recognised"
            )
        return format
    fitting = [name for name, reader in FORMATS.items() if reader.recognises(source)]
    if len(fitting) != 1:
        known = "; ".join(f"{name} ({reader.what})" for name, reader in FORMATS.items())
        found = f"fits {' and '.join(fitting)}, choose one" if fitting else "is of no known format"
        raise ValueError(f"{source.path}: {found}; formats: {known}")
    return fitting[0]
