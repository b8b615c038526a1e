"""The parent's side of the decoding process: start it, ask it, wait no longer than allowed, end it."""

from __future__ import annotations

import json
import mmap
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

#: What the child runs: a fresh interpreter that finds modules where this one does, and imports nothing else of ours.
_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from trainables.data.video.worker import main; main(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])"
)

#: A new process imports numpy and the decoders; a busy machine may need a while.
_START_S = 60.0


class WorkerLostError(Exception):
    """The process crashed, or was ended because it took too long; the reason is in words."""


class DecodingProcess:
    """One child process with shared memory for its answers. Not for several threads at once.

    Args:
        decoders: ``module:class`` of each.
        memory_bytes: of the shared memory.
    """

    def __init__(self, decoders: Sequence[str], memory_bytes: int) -> None:
        self.memory_bytes = memory_bytes
        memory_fd = os.memfd_create("frames")
        os.ftruncate(memory_fd, memory_bytes)
        ours, theirs = socket.socketpair()
        arguments = [
            json.dumps([str(Path(path).absolute()) for path in sys.path]),
            str(theirs.fileno()),
            str(memory_fd),
        ]
        self._process = subprocess.Popen(
            [sys.executable, "-c", _BOOT, *arguments, *decoders],
            pass_fds=(theirs.fileno(), memory_fd),
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        self._memory = np.frombuffer(mmap.mmap(memory_fd, memory_bytes), np.uint8)
        os.close(memory_fd)
        self._connection = Connection(ours.detach())
        self._waiting = 0
        self._started = False
        self.opened = 0
        self.resident_bytes = 0

    @property
    def pid(self) -> int:
        """Of the child."""
        return self._process.pid

    def send(self, request: dict[str, Any]) -> None:
        """Hand a request over; answers come in the same order.

        Raises:
            WorkerLostError: the process is gone.
        """
        try:
            self._connection.send_bytes(json.dumps(request | {"memory": self.memory_bytes}).encode())
        except OSError as error:
            raise WorkerLostError(self._end()) from error
        self._waiting += 1

    def receive(self, timeout_s: float) -> dict[str, Any]:
        """The next answer.

        Args:
            timeout_s: from now.

        Raises:
            WorkerLostError: none came in time, or the process is gone; it is ended in either case.
        """
        allowed = timeout_s if self._started else timeout_s + _START_S
        try:
            if not self._connection.poll(allowed):
                self.end()
                raise WorkerLostError(f"no answer within {timeout_s:g} s")
            reply: dict[str, Any] = json.loads(self._connection.recv_bytes())
        except (EOFError, OSError) as error:
            raise WorkerLostError(self._end()) from error
        self._waiting -= 1
        self._started = True
        self.opened, self.resident_bytes = reply["opened"], reply["resident"]
        return reply

    @property
    def waiting(self) -> int:
        """Answers that are still to come."""
        return self._waiting

    def view(self, offset: int, num_bytes: int) -> npt.NDArray[np.uint8]:
        """Bytes of the shared memory, not copied; the next request to the same place overwrites them."""
        return self._memory[offset : offset + num_bytes]

    def end(self) -> None:
        """Kill it; nothing is lost, for it keeps nothing."""
        self._process.kill()
        self._process.wait()
        self._connection.close()

    def _end(self) -> str:
        """What became of a process that does not answer."""
        try:
            code = self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            code = None
        self.end()
        return "the decoding process crashed" + ("" if code is None else f" ({_exit_words(code)})")


def _exit_words(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit status {code}"
