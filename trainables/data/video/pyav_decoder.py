"""Decoding with PyAV: in order, from the start or from a frame where that gives the same pictures."""

from __future__ import annotations

from collections.abc import Iterator

import av
import numpy as np

from trainables.data.video.decoders import Frames, FrameSource
from trainables.data.video.errors import DecodeError
from trainables.data.video.geometry import FrameLayout
from trainables.data.video.index import VideoIndex
from trainables.data.video.packets import open_container, plain_error
from trainables.data.video.sampling import IntArray


class PyAv:
    """The reference: reads whatever FFmpeg reads."""

    name = "pyav"

    def __init__(self) -> None:
        self.version = str(av.__version__)

    def refuses(self, index: VideoIndex) -> str | None:
        """Nothing."""
        return None

    def open(self, path: str, index: VideoIndex, size: tuple[int, int], threads: int) -> FrameSource:
        """Open at the first frame."""
        return _PyAvSource(path, index, threads)


class _PyAvSource:
    def __init__(self, path: str, index: VideoIndex, threads: int) -> None:
        self._path = path
        self._index = index
        self._threads = threads
        self._seeks = set(index.seek_frames.tolist())
        self._start(0)

    def read(self, frames: IntArray, layout: FrameLayout, out: Frames) -> None:
        """Decode on to the frames, from the nearest frame where that may start if they lie before or far ahead."""
        for row, wanted in enumerate(frames.tolist()):
            self._go_near(wanted)
            while self._next <= wanted:
                picture = self._advance()
            if self._damaged_at is not None:
                raise DecodeError(f"frame {wanted} is damaged or builds on damaged frame {self._damaged_at}")
            out[row] = self._to_rgb(picture, layout)

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def _start(self, frame: int) -> None:
        """Make ``frame`` the next one."""
        self._container = open_container(self._path)
        stream = self._container.streams.video[0]
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = self._threads
        self._pictures: Iterator[av.VideoFrame] = self._container.decode(stream)
        self._next = 0
        self._damaged_at: int | None = None
        self._held: av.VideoFrame | None = None
        if frame and not self._seek(stream, frame):
            self._container.close()
            self._start(0)

    def _seek(self, stream: av.VideoStream, frame: int) -> bool:
        """Hold the picture of that frame, found by its time; False if the container has none where it should be."""
        assert self._index.ticks is not None, "without times no frame but the first is in seek_frames"
        tick = int(self._index.ticks[frame])
        try:
            self._container.seek(tick, stream=stream)
            picture = next((p for p in self._pictures if p.pts is None or p.pts >= tick), None)
        except (OSError, ValueError, av.FFmpegError):  # damage before or at the frame: decoding in order will name it
            return False
        if picture is None or picture.pts != tick:
            return False
        self._held, self._next = picture, frame
        return True

    def _go_near(self, wanted: int) -> None:
        seeks = self._index.seek_frames
        nearest = int(seeks[np.searchsorted(seeks, wanted, side="right") - 1])
        if wanted < self._next or nearest > self._next:
            self._container.close()
            self._start(nearest)

    def _advance(self) -> av.VideoFrame:
        """The next picture."""
        try:
            picture = self._held or next(self._pictures, None)
        except (OSError, ValueError, av.FFmpegError) as error:
            raise DecodeError(f"frame {self._next} cannot be decoded: {plain_error(error)}") from error
        if picture is None:
            raise DecodeError(f"ends after {self._next} of {self._index.num_frames} frames")
        self._held = None
        ticks = self._index.ticks
        if ticks is not None and picture.pts != ticks[self._next]:
            raise DecodeError(f"frame {self._next} cannot be decoded: the decoder left it out")
        if self._next in self._seeks:
            self._damaged_at = None
        if picture.is_corrupt and self._damaged_at is None:
            self._damaged_at = self._next
        self._next += 1
        return picture

    def _to_rgb(self, picture: av.VideoFrame, at: FrameLayout) -> Frames:
        turned = self._index.packets.rotation
        height, width = (at.width, at.height) if turned % 180 else (at.height, at.width)
        plane = picture.reformat(width=width, height=height, format="rgb24").to_ndarray()
        upright = np.rot90(plane, turned // 90)
        return upright[at.top : at.top + at.out_height, at.left : at.left + at.out_width].astype(np.uint8, copy=False)
