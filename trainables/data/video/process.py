"""The parent's side of the decoding process: start it, ask it, wait no longer than allowed, end it."""

from __future__ import annotations

import json
import mmap
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from trainables.data.video.errors import DecodeError

Bytes = npt.NDArray[np.uint8]
T = TypeVar("T")

#: Largest answer. The memory for it is there when it is first used, and then stays: new pages are slow.
SLOT_BYTES = 64 << 20

#: Requests that may be under way: one is decoded, one is waiting, one is copied out.
NUM_SLOTS = 3

#: What the child runs: a fresh interpreter that finds modules where this one does, and imports nothing else of ours.
_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from trainables.data.video.worker import main; main(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])"
)

#: A new process imports numpy and the decoders; a busy machine may need a while.
_START_S = 60.0


class WorkerLostError(Exception):
    """The process crashed, or was ended because it took too long.

    Args:
        reason: in words.
        blamed: it was busy with this request; otherwise the request is to be made again.
    """

    def __init__(self, reason: str, blamed: bool) -> None:
        super().__init__(reason)
        self.blamed = blamed


@dataclass(eq=False)
class Ticket(Generic[T]):
    """A request under way; its answer is here once it has come.

    Attributes:
        process: that answers.
        request: see :mod:`trainables.data.video.worker`.
        take: makes of the bytes of the answer, in shared memory that is used again, what the caller may keep.
        offset: of those bytes.
        reply: the answer.
        data: what ``take`` made.
        lost: why there will be no answer.
    """

    process: DecodingProcess
    request: dict[str, Any]
    take: Callable[[Bytes], T]
    offset: int
    reply: dict[str, Any] | None = None
    data: T | None = None
    lost: WorkerLostError | None = None

    def result(self) -> tuple[dict[str, Any], T]:
        """Wait for the answer.

        Returns:
            The reply, and what was taken of its bytes.

        Raises:
            DecodeError: no decoder can do what was asked.
            WorkerLostError: there will be no answer.
        """
        self.process.wait_for(self)
        if self.lost is not None:
            raise self.lost
        assert self.reply is not None, "a ticket that is done has a reply or is lost"
        if "error" in self.reply:
            raise DecodeError(self.reply["error"])
        assert self.data is not None, "taken when the reply came"
        return self.reply, self.data


class DecodingProcess:
    """One child process with shared memory for its answers. Not for several threads at once.

    Args:
        decoders: ``module:class`` of each.
    """

    def __init__(self, decoders: Sequence[str]) -> None:
        memory_fd = os.memfd_create("frames")
        os.ftruncate(memory_fd, NUM_SLOTS * SLOT_BYTES)
        ours, theirs = socket.socketpair()
        arguments = [json.dumps([str(Path(path).absolute()) for path in sys.path]), theirs.fileno(), memory_fd]
        self._complaints = os.memfd_create("stderr")
        self._process = subprocess.Popen(
            [sys.executable, "-c", _BOOT, *map(str, arguments), *decoders],
            pass_fds=(theirs.fileno(), memory_fd),
            stdin=subprocess.DEVNULL,
            stderr=self._complaints,
        )
        theirs.close()
        self._memory = np.frombuffer(mmap.mmap(memory_fd, NUM_SLOTS * SLOT_BYTES), np.uint8)
        os.close(memory_fd)
        self._connection = Connection(ours.detach())
        self._waiting: deque[Ticket[Any]] = deque()
        self._sent = 0
        self._started = False
        self._owner = os.getpid()
        self.opened = 0
        self.resident_bytes = 0

    @property
    def pid(self) -> int:
        """Of the child."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """It takes no more requests."""
        return self._connection.closed

    def submit(self, request: dict[str, Any], take: Callable[[Bytes], T]) -> Ticket[T]:
        """Hand a request over; if all slots are taken, the oldest answer is awaited first.

        Args:
            request: see :mod:`trainables.data.video.worker`; ``timeout_s`` is counted from the answer before it.
            take: copies what is wanted out of the bytes of the answer.
        """
        while len(self._waiting) == NUM_SLOTS:
            self._receive()
        ticket = Ticket(self, request, take, self._sent % NUM_SLOTS * SLOT_BYTES)
        try:
            self._connection.send_bytes(json.dumps(request | {"offset": ticket.offset}).encode())
        except OSError:
            reason = self._last_words()
            self._lose(reason)
            ticket.lost = WorkerLostError(reason, blamed=not self._started)
            return ticket
        self._sent += 1
        self._waiting.append(ticket)
        return ticket

    def wait_for(self, ticket: Ticket[Any]) -> None:
        """Receive answers until this one has come, or the process is lost; the others go to their own tickets."""
        if os.getpid() != self._owner:
            ticket.lost = WorkerLostError("it belongs to the parent of this process", blamed=False)
        while ticket.reply is None and ticket.lost is None:
            self._receive()

    def end(self) -> None:
        """Take the answers that are still to come, and kill it: it keeps nothing."""
        while self._waiting:
            self._receive()
        self.kill()

    def kill(self) -> None:
        """End it at once."""
        if self.ended:
            return
        self._process.kill()
        self._process.wait()
        self._connection.close()
        os.close(self._complaints)

    def _receive(self) -> None:
        """The oldest answer; what is wanted of it is copied out of the shared memory."""
        ticket = self._waiting[0]
        try:
            allowed_s = ticket.request["timeout_s"]
            if not self._connection.poll(allowed_s + (0 if self._started else _START_S)):
                self._lose(f"no answer within {allowed_s:g} s")
                return
            reply: dict[str, Any] = json.loads(self._connection.recv_bytes())
        except (EOFError, OSError):
            self._lose(self._last_words())
            return
        self._waiting.popleft()
        self._started = True
        self.opened, self.resident_bytes = reply["opened"], reply["resident"]
        if "error" not in reply:
            ticket.data = ticket.take(self._memory[ticket.offset : ticket.offset + reply["bytes"]])
        ticket.reply = reply

    def _lose(self, reason: str) -> None:
        """End the process; the oldest request is to blame."""
        self.kill()
        for number, ticket in enumerate(self._waiting):
            ticket.lost = WorkerLostError(reason, blamed=number == 0)
        self._waiting.clear()

    def _last_words(self) -> str:
        """What became of a process that does not answer."""
        if self.ended:
            return "the decoding process is gone"
        try:
            code = self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return "the decoding process closed its connection"
        size = os.fstat(self._complaints).st_size
        lines = os.pread(self._complaints, 1 << 16, max(0, size - (1 << 16))).decode(errors="replace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "")
        words = f"signal {-code}" if code < 0 else f"exit status {code}"
        return f"the decoding process crashed ({words})" + (f": {last[:200]}" if last else "")
