"""Tables of durations and frame rates that go with annotations which say neither."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from trainables.data.readers.source import Row, Source, parse_number

_BSN = {"video", "seconds", "rfps", "subset"}
_TSP = {"filename", "video-duration", "fps"}
_AFSD = {"video", "fps", "count"}

#: Word of a table's file name -> subset as ActivityNet calls it, for tables of one subset each.
_SUBSETS = {"train": "training", "valid": "validation", "val": "validation", "test": "testing"}


@dataclass(frozen=True)
class VideoInfo:
    """What a table says about one video.

    Attributes:
        duration_s: seconds.
        fps: frames per second, None where the table does not say.
        subset: None where the table does not say.
        where: file and row.
    """

    duration_s: float
    fps: float | None
    subset: str | None
    where: str


def plain_id(name: str) -> str:
    """Id of the video of a file name: without folder, ending, and the ``v_`` that ActivityNet's files begin with."""
    return Path(name).stem.removeprefix("v_") if name.endswith((".mp4", ".mkv", ".avi")) else name.removeprefix("v_")


def read_video_info(paths: Iterable[Path]) -> dict[str, VideoInfo]:
    """Video id -> information, from one or several tables.

    Known are BSN's (``video_info_new.csv``; its ``rfps`` is taken, for ``fps`` is a nominal rate), TSP's
    (``*_train_metadata.csv``), AFSD's (``val_video_info.csv``; duration = count / fps), and the text files of THUMOS'14
    with a file name and its seconds on alternate lines. TSP's and AFSD's say the subset in the file's name.

    Raises:
        ValueError: another form, a video twice, or a number that is not positive; file and row are named.
    """
    result: dict[str, VideoInfo] = {}
    for path in paths:
        for video_id, info in _entries(Source(path)):
            for name, value in (("duration", info.duration_s), ("fps", info.fps)):
                if value is not None and not 0 < value < math.inf:
                    raise ValueError(f"{info.where}: {name} of '{video_id}' is {value}, it must be positive")
            if video_id in result:
                raise ValueError(f"{info.where}: video '{video_id}' is in {result[video_id].where} already")
            result[video_id] = info
    return result


def _entries(source: Source) -> Iterable[tuple[str, VideoInfo]]:
    columns = set(source.header)
    subset = next((_SUBSETS[word] for word in source.path.stem.split("_") if word in _SUBSETS), None)
    if columns >= _BSN:
        return [_bsn(row) for row in source.rows]
    if columns >= _TSP:
        return [_tsp(row, subset) for row in source.rows]
    if columns >= _AFSD:
        return [_afsd(row, subset) for row in source.rows]
    if not columns and source.json is None and source.lines:
        return _alternate_lines(source)
    raise ValueError(
        f"{source.path}: no table of video information; known are tables with the columns {', '.join(sorted(_BSN))}, "
        f"or {', '.join(sorted(_TSP))}, or {', '.join(sorted(_AFSD))}, and file names and seconds on alternate lines"
    )


def _bsn(row: Row) -> tuple[str, VideoInfo]:
    info = VideoInfo(row.number("seconds"), row.number("rfps"), row.cells["subset"], row.where)
    return plain_id(row.cells["video"]), info


def _tsp(row: Row, subset: str | None) -> tuple[str, VideoInfo]:
    info = VideoInfo(row.number("video-duration"), row.number("fps"), subset, row.where)
    return plain_id(row.cells["filename"]), info


def _afsd(row: Row, subset: str | None) -> tuple[str, VideoInfo]:
    fps = row.number("fps")
    if fps == 0:
        raise ValueError(f"{row.where}: fps is 0, it must be positive")
    return plain_id(row.cells["video"]), VideoInfo(row.number("count") / fps, fps, subset, row.where)


def _alternate_lines(source: Source) -> Iterable[tuple[str, VideoInfo]]:
    lines = source.lines
    if len(lines) % 2:
        raise ValueError(f"{lines[-1][0]}: a file name without its seconds")
    for (_, name), (where, seconds) in zip(lines[::2], lines[1::2], strict=True):
        yield plain_id(name), VideoInfo(parse_number(seconds, where), None, None, where)
