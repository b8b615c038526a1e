"""Folders of trimmed clips as UCF-101 and Kinetics have them: ``class/clip.avi``, or ``subset/class/clip.mp4``.

A clip is a video with one segment from its beginning to its end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from trainables.data.annotations import FaultLog
from trainables.data.readers.raw import Options, RawAnnotations, RawSegment, RawVideo
from trainables.data.readers.source import Source

_ENDINGS = frozenset({".avi", ".mp4", ".mkv", ".webm", ".mov"})
_KINETICS = {"label", "youtube_id", "time_start", "time_end", "split"}


@dataclass(frozen=True)
class _Clip:
    """One file.

    Attributes:
        path: of the file.
        label: name of its class's folder.
        subset: name of the folder above that, or what the split lists say.
    """

    path: Path
    label: str
    subset: str | None

    @property
    def video_id(self) -> str:
        """Class and file name, for two classes may have a file of one name."""
        return f"{self.label}/{self.path.stem}"


def recognises(source: Source) -> bool:
    """Whether it is such a folder."""
    return source.path.is_dir() and any(_is_clip(path) for path in _depths(source.path))


def read(source: Source, options: Options) -> RawAnnotations:
    """All clips, by class and name; with split lists, those of the lists.

    Raises:
        ValueError: a file that is no video, clips at both depths, or a list that contradicts the folders; it is named.
    """
    faults = FaultLog()
    clips = _clips(source.path)
    if options.clip_lists:
        clips = _listed(clips, _subsets(options.clip_lists), faults)
    names = options.classes.names if options.classes else None
    return RawAnnotations([_video(clip) for clip in clips], names, faults=faults)


def _depths(folder: Path) -> Iterable[Path]:
    yield from folder.glob("*/*")
    yield from folder.glob("*/*/*")


def _is_clip(path: Path) -> bool:
    return path.suffix.lower() in _ENDINGS and path.is_file()


def _clips(folder: Path) -> list[_Clip]:
    """Clips of a folder, sorted by path."""
    found = sorted(path for path in _depths(folder) if _is_clip(path))
    deep = {len(path.relative_to(folder).parts) == 3 for path in found}
    if len(deep) > 1:
        raise ValueError(f"{folder}: has clips as class/clip and as subset/class/clip; keep one of them")
    return [_Clip(path, path.parent.name, path.parents[1].name if True in deep else None) for path in found]


def _subsets(lists: Iterable[Path]) -> dict[str, tuple[str, str]]:
    """Clip id of every entry -> (subset, where), from lists of UCF-101 or Kinetics."""
    result: dict[str, tuple[str, str]] = {}
    for path in lists:
        for clip, subset, where in _entries(Source(path)):
            if clip in result:
                raise ValueError(f"{where}: clip '{clip}' is in {result[clip][1]} already")
            result[clip] = subset, where
    return result


def _entries(source: Source) -> Iterable[tuple[str, str, str]]:
    if set(source.header) >= _KINETICS:
        for row in source.rows:
            cells, times = row.cells, (int(row.number("time_start")), int(row.number("time_end")))
            name = f"{cells['youtube_id']}_{times[0]:06d}_{times[1]:06d}"
            yield f"{cells['label']}/{name}", cells["split"], row.where
        return
    subset = source.path.stem.rstrip("0123456789").removesuffix("list")
    for where, line in source.lines:
        clip = Path(line.split()[0])
        if len(clip.parts) != 2 or clip.suffix.lower() not in _ENDINGS:
            raise ValueError(f"{where} is not 'class/clip.avi' with a number or without: {line!r}")
        yield str(clip.with_suffix("")), subset, where


def _listed(clips: Iterable[_Clip], subsets: Mapping[str, tuple[str, str]], faults: FaultLog) -> list[_Clip]:
    listed, here = [], set()
    for clip in clips:
        here.add(clip.video_id)
        subset, where = subsets.get(clip.video_id, (None, ""))
        if subset is None:
            faults.add("clip in no split list", str(clip.path), "left out")
        elif clip.subset not in (None, subset):
            raise ValueError(f"{where}: clip '{clip.video_id}' is of '{subset}', its folder says '{clip.subset}'")
        else:
            listed.append(_Clip(clip.path, clip.label, subset))
    for video_id, (_, where) in subsets.items():
        if video_id not in here:
            faults.add("clip of a split list is not in the folder", f"{where}: '{video_id}'", "left out")
    return listed


def _video(clip: _Clip) -> RawVideo:
    from decord import VideoReader  # waits until a folder of clips is met

    try:
        reader = VideoReader(str(clip.path))
        num_frames, fps = len(reader), float(reader.get_avg_fps())
    except Exception as error:  # decord raises a class of its own, which it does not export
        raise ValueError(f"{clip.path}: not a readable video: {str(error).splitlines()[0]}") from error
    if num_frames == 0 or not fps > 0:
        raise ValueError(f"{clip.path}: has {num_frames} frames at {fps} per second")
    duration_s = num_frames / fps
    segment = RawSegment(0.0, duration_s, clip.label, str(clip.path))
    return RawVideo(clip.video_id, str(clip.path), [segment], clip.subset, duration_s, fps)
