"""Decoding with decord."""

from __future__ import annotations

import os
import re
from typing import Any

import numpy as np

from trainables.data.video.decoders import Frames, FrameSource
from trainables.data.video.errors import DecodeError
from trainables.data.video.geometry import FrameLayout
from trainables.data.video.index import VideoIndex
from trainables.data.video.packets import plain_error
from trainables.data.video.sampling import IntArray

_CODECS = {"h264", "hevc", "vp8", "vp9", "mpeg4"}
_CONTAINERS = {"mov", "matroska", "avi"}
_PIXELS = {"yuv420p", "yuvj420p"}

#: Frames that decord may make up for ones it cannot decode, as a share of all: none. (0 would switch the check off.)
_FAULT_TOL = 1e-9

#: Frames that decord holds at a time, before they are cropped.
_BATCH_BYTES = 64 << 20

#: decord gives times in float32.
_TIME_TOL = 1e-6


class Decord:
    """See :mod:`trainables.data.video.decoders` for what it is trusted with."""

    name = "decord"

    def __init__(self) -> None:
        import decord

        decord.logging.set_level(decord.logging.ERROR)
        self.version = str(decord.__version__)

    def refuses(self, index: VideoIndex) -> str | None:
        """Why decord's frame numbers could differ from the order in which frames are shown; None if they cannot."""
        packets = index.packets
        if packets.codec not in _CODECS or packets.container.split(",")[0] not in _CONTAINERS:
            return f"{packets.codec} in {packets.container} is not read exactly"
        if packets.pixel_format not in _PIXELS or packets.interlaced or packets.rotation:
            return "pictures are not plain 8-bit 4:2:0, or interlaced, or turned"
        if index.ticks is None or packets.num_discarded:
            return "times are missing or frames hidden by an edit list"
        if not index.num_frames == packets.num_packets == (packets.num_declared or packets.num_packets):
            return "header, packets and frames do not have the same number"
        if len(index.seek_frames) != len(packets.keyframes):
            return "a keyframe depends on frames before it"
        return None

    def open(self, path: str, index: VideoIndex, size: tuple[int, int], threads: int) -> FrameSource:
        """Open and compare decord's frame count, times and keyframes with the index."""
        import decord

        quiet = os.fstat(2).st_size
        try:
            reader = decord.VideoReader(path, width=size[1], height=size[0], num_threads=threads, fault_tol=_FAULT_TOL)
            times = reader.get_frame_timestamp(np.arange(len(reader)))[:, 0]
            keys = reader.get_key_indices()
        except (RuntimeError, decord.DECORDError, AssertionError) as error:
            raise DecodeError(_reason(error)) from error
        assert index.ticks is not None, "files without times are refused"
        starts_s = (index.ticks - index.ticks[0]) * index.packets.tick_s
        if len(times) != len(starts_s) or list(keys) != index.seek_frames.tolist():
            raise DecodeError("sees other frames or keyframes than FFmpeg")
        if not np.allclose(times, starts_s, rtol=_TIME_TOL, atol=index.packets.tick_s):
            raise DecodeError("sees other times than FFmpeg")
        return _DecordSource(reader, quiet)


class _DecordSource:
    def __init__(self, reader: Any, quiet: int) -> None:
        self._reader: Any = reader
        self._quiet = quiet

    def read(self, frames: IntArray, layout: FrameLayout, out: Frames) -> None:
        """As many frames in one call as fit into memory before they are cropped."""
        at = layout
        size = max(1, _BATCH_BYTES // (at.height * at.width * 3))
        for row in range(0, len(frames), size):
            view = self._batch(frames[row : row + size])
            out[row : row + size] = view[:, at.top : at.top + at.out_height, at.left : at.left + at.out_width]

    def _batch(self, frames: IntArray) -> Frames:
        import decord

        try:
            batch = self._reader.get_batch(frames)
        except (RuntimeError, decord.DECORDError, IndexError) as error:
            raise DecodeError(_reason(error)) from error
        if os.fstat(2).st_size != self._quiet:  # FFmpeg hides damage behind made-up pictures and only says so
            raise DecodeError("reported damage")
        view: Frames = np.from_dlpack(_DlPack(batch)).view(np.uint8)
        return view

    def close(self) -> None:
        """Free decord's buffers."""
        self._reader = None


def _reason(error: Exception) -> str:
    """First line without time of day and source line, so that the same fault always reads the same."""
    return re.sub(r"\[[\d:]+\] \S+: ", "", plain_error(error))


class _DlPack:
    """decord's array under the protocol that numpy reads without a copy."""

    def __init__(self, array: Any) -> None:
        self._array = array

    def __dlpack__(self, **_: object) -> Any:
        return self._array.to_dlpack()

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0  # kDLCPU
