"""A limit on the time of a trial that holds even where its process is stuck in native code."""

from __future__ import annotations

import faulthandler
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def time_limit(seconds: float | None, traceback_file: Path) -> Iterator[None]:
    """End this process, at once and without clean-up, if the block takes longer.

    A signal or a thread of Python's would wait for native code that keeps the interpreter's lock; the interpreter's
    own watchdog does not.

    Args:
        seconds: None = no limit.
        traceback_file: says afterwards what every thread was doing; empty or missing = it was not this limit.
    """
    if seconds is None:
        yield
        return
    traceback_file.parent.mkdir(parents=True, exist_ok=True)
    with traceback_file.open("w", encoding="utf-8") as stream:
        faulthandler.dump_traceback_later(max(seconds, 0.01), exit=True, file=stream)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
    traceback_file.unlink(missing_ok=True)
