"""Stopping on Ctrl-C and SIGTERM: at once, with everything recorded so far kept."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

#: Seconds after which the process ends even if Ray has not let go; trials lose at most the epochs since a checkpoint.
HARD_STOP_S = 1.5
#: The same where what was recorded last has to reach an object store; less than a job is given (30 s).
STORE_STOP_S = 20.0


@contextmanager
def stop_on_signals(message: str, hard_stop_s: float = HARD_STOP_S) -> Iterator[threading.Event]:
    """Turn SIGINT and SIGTERM into an event that the control loop looks at.

    Nothing is raised into whatever the main thread is doing (it may be writing the sampler's storage). A thread, woken
    by the signal itself, says ``message`` at once and ends the process after ``hard_stop_s`` if the loop has not: the
    records on disk are whole at every moment.

    Args:
        message: how to resume.
        hard_stop_s: seconds.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    threading.Thread(target=_watch, args=(reader, message, hard_stop_s, asked), name="stop", daemon=True).start()
    handled = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda n, f: asked.set()) for number in handled}
    wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield asked
    finally:
        signal.set_wakeup_fd(wakeup)
        os.close(writer)
        for number, handler in before.items():
            signal.signal(number, handler)


def _watch(reader: int, message: str, hard_stop_s: float, asked: threading.Event) -> None:
    while True:
        byte = os.read(reader, 1)
        if not byte:  # the writing end was closed: no longer watching
            os.close(reader)
            return
        if byte[0] in (signal.SIGINT, signal.SIGTERM):
            asked.set()
            print(f"\n{signal.Signals(byte[0]).name}: {message}", file=sys.stderr, flush=True)
            time.sleep(hard_stop_s)
            os._exit(128 + byte[0])
