"""Videos as extraction wants them, read in a decoding process that survives whatever a file holds."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from trainables.backbones.preprocess import Frames
from trainables.backbones.snippets import IntArray
from trainables.data.video.reader import VideoReader


class OpenVideo:
    """One video; see :class:`trainables.backbones.extractor.VideoFrames`.

    Args:
        path: of the file.
        reader: decodes it.

    Raises:
        VideoError: it is no video that can be read whole.
    """

    def __init__(self, path: Path, reader: VideoReader) -> None:
        self._path, self._reader = path, reader
        info = reader.probe(path)
        self.num_frames = info.num_frames
        self.fps = float(info.fps)
        self._decoders: dict[str, None] = {}

    def frames(self, indices: IntArray) -> Frames:
        """(T, H, W, 3) RGB.

        Raises:
            VideoError: a frame is damaged, or took too long.
        """
        clip = self._reader.read(self._path, indices)
        self._decoders |= dict.fromkeys(f"{use.name} {use.version}" for use in clip.decoders)
        return clip.frames

    @property
    def decoders(self) -> tuple[str, ...]:
        """Name and version of every decoder that took part."""
        return tuple(self._decoders)


def open_video(path: Path, *, quarantine: Path | None = None) -> OpenVideo:
    """Open a video with this process's reader.

    Args:
        path: of the file.
        quarantine: list of files that failed, which are not tried again until they change; None = none is kept.

    Raises:
        VideoError: it is no video that can be read whole, or is on the list.
    """
    return OpenVideo(path, _reader(quarantine))


@cache
def _reader(quarantine: Path | None) -> VideoReader:
    """One for all videos: its decoding process is renewed as needed."""
    return VideoReader(quarantine=quarantine)
