"""Trimmed clips as video files: one folder a class, as UCF-101, HMDB51 and Kinetics are laid out."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from trainables.data.video.decoders import Frames
from trainables.data.video.files import VIDEO_SUFFIXES
from trainables.data.video.geometry import cover
from trainables.data.video.info import DecoderUse
from trainables.data.video.reader import VideoReader


@dataclass(frozen=True)
class VideoClip:
    """One trimmed clip.

    Attributes:
        name: its path below the folder of clips.
        label: name of its class.
        file: where it is.
        fps: rate at which its frames are counted here.
        num_frames: that are used, at this rate.
    """

    name: str
    label: str
    file: Path
    fps: Fraction
    num_frames: int

    def __len__(self) -> int:
        """Frames."""
        return self.num_frames


def find_clips(folder: Path, reader: VideoReader, *, fps: Fraction, max_frames: int) -> list[VideoClip]:
    """Clips ``<folder>/<class>/<file>``, sorted by name.

    Args:
        folder: of the classes; files that are not named like videos are left alone.
        reader: to measure them with.
        fps: rate at which frames are counted.
        max_frames: longer clips are cut to this length.

    Raises:
        VideoError: one cannot be read.
        ValueError: there is no clip.
    """
    files = sorted(path for path in folder.glob("*/*") if path.suffix.lower() in VIDEO_SUFFIXES)
    if not files:
        raise ValueError(f"{folder}: holds no video as <class>/<file>, with one of {', '.join(VIDEO_SUFFIXES)}")
    return [
        VideoClip(
            name=path.relative_to(folder).as_posix(),
            label=path.parent.name,
            file=path,
            fps=fps,
            num_frames=min(max_frames, len(reader.probe(path).resampled(fps))),
        )
        for path in files
    ]


class ClipReader:
    """Reads clips at one size, and remembers who decoded each.

    Args:
        reader: decodes.
        height: of the frames, which are scaled to cover the size and cut to its centre.
        width: likewise.
    """

    def __init__(self, reader: VideoReader, height: int, width: int) -> None:
        self._reader = reader
        self._size = (height, width)
        self.decoders: dict[str, tuple[DecoderUse, ...]] = {}

    def read(self, clip: VideoClip) -> Frames:
        """(T, H, W, 3) its frames."""
        info = self._reader.probe(clip.file)
        transform = cover(info.height, info.width, *self._size)
        result = self._reader.read(clip.file, info.resampled(clip.fps)[: clip.num_frames], transform)
        self.decoders[clip.name] = result.decoders
        return result.frames
