"""Following a job's log to its end over connections that drop: every character once, in order."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from time import monotonic
from typing import Protocol, TypeVar

from tadtune.jobs.cluster import ConnectionLostError
from tadtune.jobs.identity import JobState
from tadtune.spec.errors import StudyError

T = TypeVar("T")

#: Waits between two attempts to connect again, seconds.
WAITS_S = (0.5, 1.0, 2.0, 5.0, 10.0)
#: Seconds without any answer after which following ends; the job does not.
PATIENCE_S = 900.0


class LogSource(Protocol):
    """What is followed; :class:`tadtune.jobs.cluster.Cluster` is one."""

    def tail(self, job_id: str) -> AsyncIterator[str]:
        """The log from its first character and then as it grows."""

    def log(self, job_id: str) -> str:
        """The whole log so far."""

    def state(self, job_id: str) -> JobState:
        """What has become of the job."""


async def follow(
    source: LogSource,
    job_id: str,
    write: Callable[[str], object],
    notice: Callable[[str], object],
    *,
    waits_s: tuple[float, ...] = WAITS_S,
    patience_s: float = PATIENCE_S,
) -> JobState:
    """Write a job's log as it grows, until the job has ended and all of it is written.

    The log only ever grows, so the number of characters written says where to go on: after a drop the log is read
    from its start again and what has been written is skipped. Where the stream never comes (a proxy that lets no
    websocket through), what there is of the log is asked for again and again.

    Args:
        source: of the log.
        job_id: submission id.
        write: takes pieces of the log; they are not whole lines.
        notice: takes what is said about the connection.
        waits_s: pauses between attempts, the last one again and again.
        patience_s: how long nothing may answer.

    Raises:
        StudyError: nothing answered for ``patience_s``, or the cluster knows the job no longer.
    """
    log = _Log(write, notice)
    while True:
        reason = "the log ended before the job did"
        try:
            await log.read(source.tail(job_id))
        except ConnectionLostError as error:
            reason = str(error)
        try:
            state = await _in_thread(lambda: source.state(job_id))
            log.take(await _in_thread(lambda: source.log(job_id)), 0)
            if state.ended:
                return state
            log.answered()
        except ConnectionLostError as error:
            reason = str(error)
            if log.unanswered_s() > patience_s:
                raise StudyError(
                    [
                        f"{job_id}: no answer for {patience_s / 60:.0f} minutes ({reason}); the job goes on if its "
                        f"cluster does: `tadtune jobs logs {job_id}`."
                    ]
                ) from error
        await asyncio.sleep(waits_s[min(log.lost(reason), len(waits_s)) - 1])


async def _in_thread(question: Callable[[], T]) -> T:
    """Ask in a thread that nobody waits for after Ctrl-C: asyncio's own would be, until an answer or its time-out."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def tell(settle: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(lambda: None if answer.done() else settle())

    def ask() -> None:
        try:
            found = question()
        except Exception as error:
            failure = error
            tell(lambda: answer.set_exception(failure))
        else:
            tell(lambda: answer.set_result(found))

    threading.Thread(target=ask, daemon=True).start()
    return await answer


class _Log:
    """How much has been written, and how the connection does."""

    def __init__(self, write: Callable[[str], object], notice: Callable[[str], object]) -> None:
        self._write, self._notice = write, notice
        self._written = 0
        self._failures = 0
        self._unanswered_since: float | None = None

    async def read(self, pieces: AsyncIterator[str]) -> None:
        position = 0
        async for piece in pieces:
            if self._failures:
                self._notice("connected again.")
            self._failures = 0
            self.answered()
            self.take(piece, position)
            position += len(piece)

    def take(self, piece: str, position: int) -> None:
        """Write what is new of a piece that begins at ``position``."""
        fresh = piece[max(0, self._written - position) :]
        if fresh:
            self._write(fresh)
            self._written += len(fresh)

    def lost(self, reason: str) -> int:
        """Failures of the stream in a row, this one included; the first is told."""
        if self._failures == 0:
            self._notice(f"connection lost ({reason}); trying again, the job goes on.")
        self._failures += 1
        return self._failures

    def answered(self) -> None:
        """The cluster is there."""
        self._unanswered_since = None

    def unanswered_s(self) -> float:
        """Seconds since the first of the questions in a row that nobody answered, this one included."""
        now = monotonic()
        if self._unanswered_since is None:
            self._unanswered_since = now
        return now - self._unanswered_since
