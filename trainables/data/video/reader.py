"""Reading videos: the one class that other code uses.

Decoding happens in a process of its own that is ended when it takes too long, replaced when it crashes, and renewed
before it has leaked much. Files that one decoder fails at go to the next, and the result says so.
"""

from __future__ import annotations

import os
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from trainables.data.video.decoders import DEFAULT_DECODERS, Frames, decoder_versions
from trainables.data.video.errors import REENCODE, DecodeError, VideoError
from trainables.data.video.geometry import FrameLayout, FrameTransform, frame_layout
from trainables.data.video.info import DecoderUse, VideoInfo
from trainables.data.video.merging import Part, WantedClip, merged, rounds, split
from trainables.data.video.process import NUM_SLOTS, SLOT_BYTES, DecodingProcess, Ticket, WorkerLostError
from trainables.data.video.quarantine import Quarantine
from trainables.data.video.sampling import IntArray, sliding_windows

#: Frames of a series that one request asks for, in bytes of the answer: the next are there when these have been used.
_SERIES_BYTES = 4 << 20

_MAX_INFOS = 1024

T = TypeVar("T")


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


class Request(NamedTuple):
    """Frames of one video.

    Attributes:
        path: the file.
        frames: (T,) frame numbers, in any order, also repeated.
        transform: scaling and cropping.
    """

    path: str | Path
    frames: npt.ArrayLike
    transform: FrameTransform = FrameTransform()


class _Video(NamedTuple):
    """A file as it is now; ``stamp`` is its size and time of change."""

    path: str
    stamp: tuple[int, int]


class _Job(NamedTuple, Generic[T]):
    """What one request to the process asks for.

    Attributes:
        video: the file.
        frames: (T,) numbers that rise strictly.
        layout: scaling and cropping.
        take: copies what is wanted out of the (T, H, W, 3) answer.
    """

    video: _Video
    frames: IntArray
    layout: FrameLayout
    take: Callable[[Frames], T]


class VideoReader:
    """Frames of any number of videos.

    Open it where it is used: it is neither pickled nor shared by threads. A forked child gets a process of its own.

    Args:
        timeout_s: longest wait for one request (up to 64 MiB of frames, or the index of a file).
        threads: of the decoder.
        max_opened: files opened by one process before it is renewed.
        max_resident_mib: memory of the process from which on it is renewed.
        quarantine: list of files that failed, which are not tried again, best ``QUARANTINE_NAME`` beside the videos;
            None = none is kept.
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
            process.kill()

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
        return self._open(path)[1]

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
        return next(self.read_many([Request(path, frames, transform)]))

    def read_many(self, requests: Iterable[Request]) -> Iterator[Clip]:
        """Clips of any videos; the next ones are decoded while the caller works on one.

        Clips of a video that are asked for within a round (1, 2, 4, ... ``MOST_AHEAD`` requests of 64 MiB at most) are
        decoded together in the order of their frames, so that no frame of it is decoded twice for them.

        Args:
            requests: taken up to three rounds ahead.

        Yields:
            A clip for each request, in order.

        Raises:
            VideoError: see :meth:`read`; the series ends there. Damage in a frame may be met as much ahead.
            ValueError: see :meth:`read`; the series ends there.
        """
        refused: list[ValueError] = []

        def wanted() -> Iterator[WantedClip[_Video]]:
            for request in requests:
                try:
                    video, info = self._open(request.path)
                    yield WantedClip(video, _check_frames(request.frames, info), _layout(info, request.transform))
                except ValueError as error:  # raised when its turn comes
                    refused.append(error)
                    return

        clips: deque[WantedClip[_Video]] = deque()
        parts: deque[Part[_Video]] = deque()

        def jobs() -> Iterator[_Job[list[Frames]]]:
            for group in rounds(wanted(), SLOT_BYTES):
                clips.extend(group)
                for part in merged(group, SLOT_BYTES):
                    parts.append(part)
                    yield _Job(part.video, part.frames, part.layout, part.copies)

        for copies, use in self._decode(jobs()):
            for piece, frames in zip(parts.popleft().pieces, copies, strict=True):
                piece.clip.add(frames, piece.positions, use)
            while clips and (done := clips[0].frames) is not None:
                clip = clips.popleft()
                yield Clip(done, clip.numbers, tuple(clip.decoders))
        if refused:
            raise refused[0]

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
        video, info = self._open(path)
        layout = _layout(info, transform)
        shown = info.resampled(fps)
        rate = info.fps if fps is None else fps
        windows = sliding_windows(len(shown), window_frames, stride_frames)
        numbers = shown[windows.frames]
        wanted, place = np.unique(numbers, return_inverse=True)
        rows = place.reshape(numbers.shape)
        apart = stride_frames >= window_frames
        parts = split(wanted, layout, _SERIES_BYTES, multiple_of=window_frames if apart else 1)
        answers = self._decode(_Job(video, part, layout, np.copy) for part in parts)
        held: deque[tuple[int, Frames]] = deque()
        uses: tuple[DecoderUse, ...] = ()
        come = 0
        for window, row in enumerate(rows):
            while come <= row[-1]:
                part, use = next(answers)
                held.append((come, part))
                come += len(part)
                uses = tuple(dict.fromkeys((*uses, use)))
            while held[0][0] + len(held[0][1]) <= row[0]:
                held.popleft()
            start_s = float(window * stride_frames / Fraction(rate))
            yield Window(_gather(held, row, apart), numbers[window], uses, start_s, int(windows.num_valid[window]))

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

    def _open(self, path: str | Path) -> tuple[_Video, VideoInfo]:
        """A file as it is now, and its index, kept or new."""
        video = self._look_up(path)
        self._check_quarantine(video)
        if video not in self._infos:
            self._infos[video] = self._index(video)
            if len(self._infos) > _MAX_INFOS:
                self._infos.popitem(last=False)
        self._infos.move_to_end(video)
        return video, self._infos[video]

    def _index(self, video: _Video) -> VideoInfo:
        while True:
            try:
                reply, memory = self._running().submit(self._request(video, op="index"), np.copy).result()
            except WorkerLostError as error:
                if error.blamed:
                    raise self._failure(video, str(error)) from error
                continue
            except DecodeError as error:
                raise self._failure(video, str(error)) from error
            return _info(video.path, reply, memory)

    def _decode(self, jobs: Iterable[_Job[T]]) -> Iterator[tuple[T, DecoderUse]]:
        """What each job took of its answer; as many jobs are handed over ahead as there is room for."""
        pending: deque[tuple[_Job[T], Ticket[T]]] = deque()
        for job in jobs:
            pending.append((job, self._submit(job)))
            if len(pending) == NUM_SLOTS:
                yield self._take(*pending.popleft())
        while pending:
            yield self._take(*pending.popleft())

    def _submit(self, job: _Job[T]) -> Ticket[T]:
        skip, why = self._failed.get(job.video, (0, None))
        request = self._request(
            job.video,
            op="read",
            frames=job.frames.tolist(),
            layout=job.layout,
            skip=skip,
            why=why,
            threads=self._threads,
        )
        shape = (len(job.frames), job.layout.out_height, job.layout.out_width, 3)
        return self._running().submit(request, lambda memory: job.take(memory.reshape(shape)))

    def _take(self, job: _Job[T], ticket: Ticket[T]) -> tuple[T, DecoderUse]:
        while True:
            try:
                reply, taken = ticket.result()
            except WorkerLostError as error:
                if error.blamed:
                    self._pass_on(job.video, ticket.request["skip"], str(error))
                ticket = self._submit(job)
                continue
            except DecodeError as error:
                raise self._failure(job.video, str(error)) from error
            return taken, DecoderUse(reply["decoder"], reply["version"], reply["why"])

    def _running(self) -> DecodingProcess:
        """The process; a new one where there is none, it is a forked parent's, or it has done or grown enough."""
        if self._pid != os.getpid():
            self._process, self._pid = None, os.getpid()
        process = self._process
        if process is not None and not process.ended:
            if process.opened < self._max_opened and process.resident_bytes <= self._max_resident:
                return process
            process.end()
        self._process = DecodingProcess(self._decoders)
        return self._process

    def _request(self, video: _Video, **more: Any) -> dict[str, Any]:
        return {"path": video.path, "stamp": video.stamp, "timeout_s": self._timeout_s, **more}

    def _pass_on(self, video: _Video, skipped: int, reason: str) -> None:
        """The process was lost over this file: next time another decoder gets it, if no other request said so yet."""
        if skipped < self._failed.get(video, (0, ""))[0]:
            return
        if skipped + 1 == len(self._decoders):
            raise self._failure(video, reason)
        self._failed[video] = (skipped + 1, f"{self._decoders[skipped]}: {reason}")

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


def _layout(info: VideoInfo, transform: FrameTransform) -> FrameLayout:
    layout = frame_layout(info.height, info.width, transform)
    if layout.frame_bytes > SLOT_BYTES:
        raise ValueError(f"{info.file}: one frame of {layout} is larger than {SLOT_BYTES >> 20} MiB; scale it down")
    return layout


def _gather(held: Iterable[tuple[int, Frames]], row: IntArray, apart: bool) -> Frames:
    """Frames of a window from parts that begin at known rows; not copied where no other window shares them."""
    taken = []
    for first, part in held:
        inside = row[(row >= first) & (row < first + len(part))] - first
        if len(inside) and apart and inside[-1] - inside[0] + 1 == len(inside):
            taken.append(part[inside[0] : inside[-1] + 1])
        elif len(inside):
            taken.append(part[inside])
    return taken[0] if len(taken) == 1 else np.concatenate(taken)


def _info(path: str, reply: dict[str, Any], memory: Frames) -> VideoInfo:
    count = reply["num_frames"]
    starts = memory.view(np.float64) if reply["variable_rate"] else None
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
