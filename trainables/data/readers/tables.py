"""Tables with one annotated segment a row: AFSD's, DAPs's and TSP's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from trainables.data.annotations import FaultLog
from trainables.data.readers.classes import ClassList
from trainables.data.readers.raw import AMBIGUOUS, NO_LENGTH, Options, RawAnnotations, RawSegment, RawVideo
from trainables.data.readers.source import Row, Source

#: What TSP writes into the rows of regions between actions.
_NO_ACTION = "No action"


@dataclass(frozen=True)
class _Layout:
    """Columns of one kind of table.

    Attributes:
        video: of the video's id.
        times: of start and end, seconds.
        label: of the class.
        duration: of the video's duration, seconds.
        fps: of its frame rate.
        numbered: ``label`` holds the class's place in the order of names, -1 = ambiguous.
        region: of the words that tell actions from what is between them.
    """

    video: str
    times: tuple[str, str]
    label: str
    duration: str | None = None
    fps: str | None = None
    numbered: bool = False
    region: str | None = None

    @property
    def columns(self) -> set[str]:
        """All of them."""
        return {self.video, *self.times, self.label} | {c for c in (self.duration, self.fps, self.region) if c}


_LAYOUTS = (
    _Layout("video", ("start", "end"), "type"),
    _Layout("video-name", ("t-init", "t-end"), "label-idx", "video-duration", "frame-rate", numbered=True),
    _Layout(
        "video-name", ("t-start", "t-end"), "action-label", "video-duration", "fps", region="temporal-region-label"
    ),
)


def recognises(source: Source) -> bool:
    """Whether it is such a table."""
    return _layout(source) is not None


def read(source: Source, options: Options) -> RawAnnotations:
    """All videos, in the order of their first rows. These tables do not say which subset a video is in.

    Raises:
        ValueError: a cell that is no number, or a video with two durations or rates; file and line are named.
    """
    layout = _layout(source)
    assert layout is not None, "read() follows recognises()"
    name = _namer(layout, options.classes)
    faults = FaultLog()
    first: dict[str, Row] = {}
    segments: dict[str, list[RawSegment]] = {}
    for row in source.rows:
        video_id = row.cells[layout.video]
        _check_constant(layout, first.setdefault(video_id, row), row)
        own = segments.setdefault(video_id, [])
        start, end = (row.number(column) for column in layout.times)
        if layout.region is not None and row.cells[layout.region] == _NO_ACTION:
            faults.add("region between actions", f"{row.where}: '{video_id}' [{start}, {end}]", "left out")
        else:
            own.append(RawSegment(start, end, name(row), row.where))
    videos = [_video(layout, first[video_id], own) for video_id, own in segments.items()]
    return RawAnnotations(videos, options.classes.names if options.classes else None, frozenset({NO_LENGTH}), faults)


def _layout(source: Source) -> _Layout | None:
    return next((layout for layout in _LAYOUTS if layout.columns <= set(source.header)), None)


def _namer(layout: _Layout, classes: ClassList | None) -> Callable[[Row], str]:
    def numbered(row: Row) -> str:
        value = row.number(layout.label)
        number = int(value) if value.is_integer() else -2
        if number < -1:
            raise ValueError(f"{row.where}, column '{layout.label}': {value} is no class number, nor -1 = ambiguous")
        if number == -1:
            return AMBIGUOUS
        if classes is None:
            return str(number)
        if number >= len(classes.names):
            raise ValueError(f"{row.where}: class {number} is not one of the {len(classes.names)} of {classes.source}")
        return classes.names[number]

    return numbered if layout.numbered else lambda row: row.cells[layout.label]


def _check_constant(layout: _Layout, first: Row, row: Row) -> None:
    for column in (layout.duration, layout.fps):
        if column is not None and row.cells[column] != first.cells[column]:
            values = f"{column} {row.cells[column]}, before it was {first.cells[column]}"
            raise ValueError(f"{row.where}: video '{row.cells[layout.video]}' has {values}")


def _video(layout: _Layout, row: Row, segments: list[RawSegment]) -> RawVideo:
    duration, fps = (row.number(column) if column else None for column in (layout.duration, layout.fps))
    return RawVideo(row.cells[layout.video], row.where, segments, duration=duration, fps=fps)
