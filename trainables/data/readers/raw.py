"""What a reader takes from a file before any rule is applied, and the rules that published files break."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainables.data.annotations import FaultLog
from trainables.data.readers.classes import ClassList

#: Label of segments that excuse a miss and are no instance.
AMBIGUOUS = "Ambiguous"

#: Rules that published files of some forms break; where a form is not known to, breaking one is an error.
NO_LENGTH = "segment without length"
REVERSED = "segment ends before it starts"


@dataclass(frozen=True)
class RawSegment:
    """One annotation.

    Attributes:
        start_s: a number or (a fault) a number as text.
        end_s: as ``start_s``.
        label: name of the class, or :data:`AMBIGUOUS`.
        where: file and row.
    """

    start_s: Any
    end_s: Any
    label: str
    where: str


@dataclass(frozen=True)
class RawVideo:
    """One video.

    Attributes:
        video_id: as the data set calls it.
        where: file and row.
        segments: in the order of the file.
        subset: None where the file does not say.
        duration: seconds, None where the file does not say.
        fps: frames per second, None where the file does not say.
    """

    video_id: str
    where: str
    segments: Sequence[RawSegment]
    subset: str | None = None
    duration: Any = None
    fps: Any = None


@dataclass(frozen=True)
class RawAnnotations:
    """Everything a reader takes from a file or folder.

    Attributes:
        videos: in the order of the file.
        class_names: K names; None = the labels that occur, in the order of their names.
        known: which of :data:`NO_LENGTH` and :data:`REVERSED` published files of this form hold.
        faults: met so far.
    """

    videos: Sequence[RawVideo]
    class_names: tuple[str, ...] | None = None
    known: frozenset[str] = frozenset()
    faults: FaultLog = field(default_factory=FaultLog)


@dataclass(frozen=True)
class Options:
    """What a file does not say itself and a reader may be told.

    Attributes:
        classes: names of numbered classes; or the classes a file may have, in their order.
        clip_lists: split lists of a folder of trimmed clips.
        seconds_per_step: of frame labels.
    """

    classes: ClassList | None = None
    clip_lists: tuple[Path, ...] = ()
    seconds_per_step: float | None = None
