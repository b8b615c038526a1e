"""Stopping on Ctrl-C and SIGTERM: at once, with everything recorded so far kept."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

#: Seconds after which the process ends even if Ray has not let go; trials lose at most the epochs since a checkpoint.
HARD_STOP_S = 1.5


class StopRequested(BaseException):
    """The user or the system asked the driver to stop."""


@contextmanager
def stop_on_signals(message: str) -> Iterator[None]:
    """Turn SIGINT and SIGTERM into :class:`StopRequested` in the main thread.

    The main thread may sit in native code for seconds before Python lets it see a signal, and Ray may take its time
    to end. So a thread, woken by the signal itself, says ``message`` at once and ends the process after
    ``HARD_STOP_S``: the records on disk are whole at every moment.

    Args:
        message: how to resume.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    threading.Thread(target=_watch, args=(reader, message), name="stop", daemon=True).start()
    before = {number: signal.signal(number, _stop) for number in (signal.SIGINT, signal.SIGTERM)}
    wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup)
        os.close(writer)
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int, frame: FrameType | None) -> None:
    signal.signal(number, lambda n, f: None)  # asked once is enough: the watching thread ends what hangs
    raise StopRequested(signal.Signals(number).name)


def _watch(reader: int, message: str) -> None:
    while True:
        byte = os.read(reader, 1)
        if not byte:  # the writing end was closed: no longer watching
            os.close(reader)
            return
        if byte[0] in (signal.SIGINT, signal.SIGTERM):
            print(f"\n{signal.Signals(byte[0]).name}: {message}", file=sys.stderr, flush=True)
            time.sleep(HARD_STOP_S)
            os._exit(128 + byte[0])
