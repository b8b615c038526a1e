"""Reading videos: the one class that other code uses.

Decoding happens in a process of its own that is ended when it takes too long, replaced when it crashes, and renewed
before it has leaked much. Files that one decoder fails at go to the next, and the result says so.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trainables.data.video.decoders import DEFAULT_DECODERS, Frames, decoder_versions
from trainables.data.video.errors import REENCODE, VideoError
from trainables.data.video.geometry import FrameLayout, FrameTransform, frame_layout
from trainables.data.video.info import DecoderUse, VideoInfo
from trainables.data.video.process import DecodingProcess, WorkerLostError
from trainables.data.video.quarantine import Quarantine
from trainables.data.video.sampling import IntArray, sliding_windows

#: Two answers fit into the shared memory, so that one is copied out while the next is decoded.
_SLOT_BYTES = 128 << 20

#: Frames that one request asks for, in bytes of the answer: small enough to stay in the processor's cache.
_CHUNK_BYTES = 4 << 20

_MAX_INFOS = 1024


@dataclass(frozen=True)
class Clip:
    """Frames of one video.

    Attributes:
        frames: (T, H, W, 3) uint8, RGB.
        numbers: (T,) which frames of the video these are.
        decoders: who decoded them; more than one if the first gave up on the way.
    """

    frames: Frames
    numbers: IntArray
    decoders: tuple[DecoderUse, ...]


@dataclass(frozen=True)
class Window(Clip):
    """A clip of a series.

    Attributes:
        start_s: time of its first frame on the regular grid of windows, seconds.
        num_valid: frames before the end of the video; the others repeat the last one.
    """

    start_s: float
    num_valid: int


class _Video(NamedTuple):
    """A file as it is now; ``stamp`` is its size and time of change."""

    path: str
    stamp: tuple[int, int]


class VideoReader:
    """Frames of any number of videos.

    Open it where it is used: it is neither pickled nor shared by threads. A forked child gets a process of its own.

    Args:
        timeout_s: longest wait for one request (up to 4 MiB of frames, or the index of a file).
        threads: of the decoder.
        max_opened: files opened by one process before it is renewed.
        max_resident_mib: memory of the process from which on it is renewed.
        quarantine: list of files that failed, which are not tried again; None = none is kept.
        decoders: ``module:class`` of each decoder, in order of preference.
    """

    def __init__(
        self,
        *,
        timeout_s: float = 60.0,
        threads: int = 1,
        max_opened: int = 1000,
        max_resident_mib: float = 1024.0,
        quarantine: Path | None = None,
        decoders: Sequence[str] = DEFAULT_DECODERS,
    ) -> None:
        self._timeout_s = timeout_s
        self._threads = threads
        self._max_opened = max_opened
        self._max_resident = max_resident_mib * (1 << 20)
        self._decoders = tuple(decoders)
        self._quarantine = Quarantine(quarantine, decoder_versions()) if quarantine is not None else None
        self._process: DecodingProcess | None = None
        self._owner: object = None
        self._pid = os.getpid()
        self._infos: OrderedDict[_Video, VideoInfo] = OrderedDict()
        self._failed: dict[_Video, tuple[int, str]] = {}  # number of decoders that took the process down with them

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """End the process; the next request would start another."""
        process, self._process = getattr(self, "_process", None), None
        if process is not None and self._pid == os.getpid():
            process.end()

    @property
    def process_id(self) -> int | None:
        """Of the decoding process, None while there is none."""
        return None if self._process is None else self._process.pid

    def probe(self, path: str | Path) -> VideoInfo:
        """Index a video; kept for the next request.

        Args:
            path: the file.

        Raises:
            VideoError: it is no video that can be read whole, took too long, or is in quarantine.
        """
        return self._probe(self._look_up(path))

    def read(
        self,
        path: str | Path,
        frames: npt.ArrayLike,
        transform: FrameTransform = FrameTransform(),  # noqa: B008
    ) -> Clip:
        """Some frames, in any order, also repeated.

        Args:
            path: the file.
            frames: (T,) frame numbers.
            transform: scaling and cropping.

        Raises:
            VideoError: see :meth:`probe`; or one of the frames is damaged.
            ValueError: no frame, a number outside the video, or a crop that does not fit.
        """
        video = self._look_up(path)
        info = self._probe(video)
        numbers = _check_frames(frames, info)
        layout = frame_layout(info.height, info.width, transform)
        wanted, place = np.unique(numbers, return_inverse=True)
        result = np.empty((len(wanted), layout.out_height, layout.out_width, 3), np.uint8)
        done, uses = 0, []
        for part, use in self._decode(video, wanted, layout):
            result[done : done + len(part)] = part
            done += len(part)
            uses.append(use)
        rising = len(wanted) == len(numbers) and bool((place == np.arange(len(place))).all())
        return Clip(result if rising else result[place], numbers, tuple(dict.fromkeys(uses)))

    def read_span(
        self,
        path: str | Path,
        start_s: float,
        end_s: float,
        *,
        fps: float | Fraction | None = None,
        transform: FrameTransform = FrameTransform(),  # noqa: B008
    ) -> Clip:
        """A part of a video by time; see :meth:`VideoInfo.span` for which frames that are."""
        return self.read(path, self.probe(path).span(start_s, end_s, fps=fps), transform)

    def windows(
        self,
        path: str | Path,
        *,
        window_frames: int,
        stride_frames: int,
        fps: float | Fraction | None = None,
        transform: FrameTransform = FrameTransform(),  # noqa: B008
    ) -> Iterator[Window]:
        """Sliding windows over a whole video; every frame is decoded once, however much they overlap.

        Args:
            path: the file.
            window_frames: T.
            stride_frames: frames from the beginning of one window to the next.
            fps: rate at which frames are counted; None = the video's own.
            transform: scaling and cropping.

        Yields:
            Windows as :func:`~trainables.data.video.sampling.sliding_windows` lays them, in order. The next frames are
            decoded while the caller works on these.

        Raises:
            VideoError: see :meth:`read`.
        """
        video = self._look_up(path)
        info = self._probe(video)
        layout = frame_layout(info.height, info.width, transform)
        shown = info.resampled(fps)
        rate = info.fps if fps is None else fps
        windows = sliding_windows(len(shown), window_frames, stride_frames)
        numbers = shown[windows.frames]
        wanted, place = np.unique(numbers, return_inverse=True)
        rows = place.reshape(numbers.shape)
        parts = self._decode(video, wanted, layout)
        held, first = np.empty((0, layout.out_height, layout.out_width, 3), np.uint8), 0
        uses: tuple[DecoderUse, ...] = ()
        for window, row in enumerate(rows):
            while first + len(held) <= row[-1]:
                part, use = next(parts)
                held, first = np.concatenate([held[row[0] - first :], part]), max(first, int(row[0]))
                uses = tuple(dict.fromkeys((*uses, use)))
            start_s = float(window * stride_frames / Fraction(rate))
            yield Window(held[row - first], numbers[window], uses, start_s, int(windows.num_valid[window]))

    def _look_up(self, path: str | Path) -> _Video:
        file = Path(path).absolute()
        try:
            stat = file.stat()
        except OSError as error:
            raise VideoError(file, f"cannot be opened ({error.strerror})", "check the path") from error
        if not file.is_file():
            raise VideoError(file, "is not a file", "name the video itself")
        if stat.st_size == 0:
            raise VideoError(file, "is empty", "fetch it again")
        if not os.access(file, os.R_OK):
            raise VideoError(file, "may not be read", "change its permissions")
        return _Video(str(file), (stat.st_size, stat.st_mtime_ns))

    def _probe(self, video: _Video) -> VideoInfo:
        if video in self._infos:
            self._infos.move_to_end(video)
            return self._infos[video]
        self._check_quarantine(video)
        self._claim(video)
        try:
            process = self._running()
            process.send(self._request(video, op="index", offset=0))
            reply = process.receive(self._timeout_s)
        except WorkerLostError as error:
            self._process = None
            raise self._failure(video, str(error)) from error
        if "error" in reply:
            raise self._failure(video, reply["error"])
        info = _info(video.path, reply, process)
        self._infos[video] = info
        if len(self._infos) > _MAX_INFOS:
            self._infos.popitem(last=False)
        return info

    def _decode(self, video: _Video, frames: IntArray, layout: FrameLayout) -> Iterator[tuple[Frames, DecoderUse]]:
        """Strictly rising frames in parts; a part is overwritten when the next one is asked for."""
        self._check_quarantine(video)
        if layout.frame_bytes > _SLOT_BYTES:
            raise ValueError(
                f"{video.path}: one frame of {layout} is larger than {_SLOT_BYTES >> 20} MiB; scale it down"
            )
        size = max(1, _CHUNK_BYTES // layout.frame_bytes)
        parts = [frames[at : at + size] for at in range(0, len(frames), size)]
        token, sent, done = object(), 0, 0
        while done < len(parts):
            if self._claim(token):
                sent = done
            try:
                process = self._running()
                for number in range(sent, min(done + 2, len(parts))):
                    process.send(self._read_request(video, parts[number], layout, number % 2))
                    sent = number + 1
                reply = process.receive(self._timeout_s)
            except WorkerLostError as error:
                self._process, sent = None, done
                self._pass_on(video, str(error))
                continue
            if "error" in reply:
                raise self._failure(video, reply["error"])
            shape = (len(parts[done]), layout.out_height, layout.out_width, 3)
            view = process.view((done % 2) * _SLOT_BYTES, len(parts[done]) * layout.frame_bytes)
            yield view.reshape(shape), DecoderUse(reply["decoder"], reply["version"], reply["why"])
            done += 1

    def _claim(self, token: object) -> bool:
        """Make the process ours; answers that others still wait for are thrown away, they will ask again."""
        if self._owner is token and self._pid == os.getpid():
            return False
        self._owner = token
        try:
            while self._process is not None and self._pid == os.getpid() and self._process.waiting:
                self._process.receive(self._timeout_s)
        except WorkerLostError:
            self._process = None
        return True

    def _running(self) -> DecodingProcess:
        """The process; a new one where there is none, it is a forked parent's, or it has done or grown enough."""
        if self._pid != os.getpid():
            self._process, self._pid = None, os.getpid()
        process = self._process
        if process is not None and not process.waiting and self._is_worn(process):
            process.end()
            process = None
        if process is None:
            process = DecodingProcess(self._decoders, 2 * _SLOT_BYTES)
        self._process = process
        return process

    def _is_worn(self, process: DecodingProcess) -> bool:
        return process.opened >= self._max_opened or process.resident_bytes > self._max_resident

    def _request(self, video: _Video, **more: Any) -> dict[str, Any]:
        return {"path": video.path, "stamp": video.stamp, "timeout_s": self._timeout_s, **more}

    def _read_request(self, video: _Video, frames: IntArray, layout: FrameLayout, slot: int) -> dict[str, Any]:
        skip, why = self._failed.get(video, (0, None))
        return self._request(
            video,
            op="read",
            frames=frames.tolist(),
            layout=layout,
            offset=slot * _SLOT_BYTES,
            skip=skip,
            why=why,
            threads=self._threads,
        )

    def _pass_on(self, video: _Video, reason: str) -> None:
        """The process was lost over this file: next time another decoder gets it."""
        lost = self._failed.get(video, (0, ""))[0] + 1
        if lost == len(self._decoders):
            raise self._failure(video, reason)
        self._failed[video] = (lost, f"{self._decoders[lost - 1]}: {reason}")

    def _failure(self, video: _Video, reason: str) -> VideoError:
        if self._quarantine is not None:
            self._quarantine.add(Path(video.path), reason)
        return VideoError(video.path, reason, REENCODE)

    def _check_quarantine(self, video: _Video) -> None:
        entry = self._quarantine.find(Path(video.path)) if self._quarantine is not None else None
        if self._quarantine is not None and entry is not None:
            raise VideoError(
                video.path, f"in quarantine: {entry.reason}", f"repair it, or take it off {self._quarantine.path}"
            )


def _check_frames(frames: npt.ArrayLike, info: VideoInfo) -> IntArray:
    numbers = np.asarray(frames)
    if numbers.ndim != 1 or not len(numbers) or not np.issubdtype(numbers.dtype, np.integer):
        raise ValueError(f"{info.file}: frames are {numbers.dtype} {numbers.shape}, expected (T,) whole numbers, T > 0")
    bad = np.flatnonzero((numbers < 0) | (numbers >= info.num_frames))
    if len(bad):
        raise ValueError(
            f"{info.file}: frame {numbers[bad[0]]} (row {bad[0]} of the request) is outside {info.num_frames} frames"
        )
    return numbers.astype(np.int64)


def _info(path: str, reply: dict[str, Any], process: DecodingProcess) -> VideoInfo:
    count = reply["num_frames"]
    starts = process.view(0, 8 * count).view(np.float64).copy() if reply["variable_rate"] else None
    return VideoInfo(
        file=path,
        num_frames=count,
        fps=Fraction(*reply["fps"]),
        duration_s=reply["duration_s"],
        height=reply["height"],
        width=reply["width"],
        codec=reply["codec"],
        container=reply["container"],
        variable_rate=reply["variable_rate"],
        times_known=reply["times_known"],
        tick_s=reply["tick_s"],
        starts_s=starts,
    )
