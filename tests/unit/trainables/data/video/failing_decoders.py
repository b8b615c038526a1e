"""Decoders that do to their process what damaged files do to decord."""

from __future__ import annotations

import os
import signal
from typing import Any


class _Failing:
    version = "1"

    def refuses(self, index: Any) -> None:
        return None

    def close(self) -> None:
        return None

    def open(self, *_: Any) -> Any:
        return self


class Hanging(_Failing):
    """Loops for ever, deaf to Ctrl-C and to a polite request to end."""

    name = "hanging"

    def read(self, *_: Any) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT])
        while True:
            pass


class Killed(_Failing):
    """Is ended from outside, as by the kernel when memory runs out."""

    name = "killed"

    def read(self, *_: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class Aborting(_Failing):
    """Fails an assertion in native code."""

    name = "aborting"

    def read(self, *_: Any) -> None:
        os.abort()


class HangingAtOpen(Hanging):
    """Never gets past opening."""

    name = "hanging_at_open"

    def open(self, *_: Any) -> Any:
        self.read()


class Surprised(_Failing):
    """Has a bug."""

    name = "surprised"

    def read(self, *_: Any) -> None:
        raise KeyError("stream")
