"""One driver at a time on a study in an object store: an object that says who, renewed while the driver lives.

A store has no locks and pyarrow no conditional writes. Two drivers that start within a moment of each other both
write; each then waits and reads again, and only the one whose words stand goes on. A driver cut off for longer than
``TTL_S`` may be replaced; it finds the other's words before it writes anything more, and stops.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace

from tadtune.spec.errors import StudyError
from tadtune.track.object_store.objects import Store, explain

#: Seconds without a sign of life after which a driver counts as dead.
TTL_S = 60.0
_NAME = "driver.json"


@dataclass(frozen=True)
class Holder:
    """What the object says.

    Attributes:
        owner: of the lease, a number of its own.
        process: the same for people.
        copy: name of the local copy that was last known to be what the store holds.
        workers_write: trials on other machines have written to the store since, past that copy.
        beat: counts the signs of life.
        ended: the driver has let go.
    """

    owner: str
    process: str
    copy: str
    workers_write: bool = False
    beat: int = 0
    ended: bool = False


def read_holder(store: Store) -> Holder | None:
    """Who holds or held a study, None = nobody ever did.

    Raises:
        OSError: the store does not answer.
    """
    try:
        return Holder(**json.loads(store.read(_NAME)))
    except FileNotFoundError:
        return None


class Lease:
    """Held by this process from :meth:`take` to :meth:`release`.

    Args:
        store: the place of the study.
        say: what to tell people goes here.
        on_lost: called when another driver holds the study.
    """

    def __init__(self, store: Store, say: Callable[[str], object], on_lost: Callable[[], None]) -> None:
        self._store, self._say, self._on_lost = store, say, on_lost
        self._mine = Holder(uuid.uuid4().hex, f"process {os.getpid()} on {socket.gethostname()}", "")
        self._renewed = 0.0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew_for_ever, name="lease", daemon=True)
        self.lost = False

    def take(self, copy: str) -> Holder | None:
        """Hold the study.

        Args:
            copy: name of the local copy, which this process alone works in: another driver of it is dead.

        Returns:
            Who held it before.

        Raises:
            StudyError: another driver does, or the store cannot be used.
        """
        now = self._store.check()
        try:
            before = read_holder(self._store)
            if before is not None:
                if not before.ended and before.copy != copy:
                    self._wait_for_death(before, now)
                self._mine = replace(self._mine, copy=before.copy, workers_write=before.workers_write)
            self._write()
            time.sleep(TTL_S / 30)
            winner = read_holder(self._store)
        except OSError as error:
            raise explain(self._store.address, error) from error
        if winner is None or winner.owner != self._mine.owner:
            raise self._running(winner)
        self._thread.start()
        return before

    def _wait_for_death(self, before: Holder, now: float) -> None:
        """Look at a holder until it has moved, or has not for long enough."""
        version = self._store.version(_NAME)
        age = TTL_S if version is None else now - version.changed_at
        left = TTL_S - age
        if left > 0:
            self._say(
                f"{self._store.address}: {before.process} ran this study and was last seen {max(age, 0):.0f} s ago; "
                f"waiting up to {left:.0f} s to see whether it lives"
            )
        deadline = time.monotonic() + left
        while time.monotonic() < deadline:
            time.sleep(min(TTL_S / 20, max(deadline - time.monotonic(), 0)))
            found = read_holder(self._store)
            if found is None or found.ended:
                return
            if found != before:
                raise self._running(found)

    def _running(self, holder: Holder | None) -> StudyError:
        name = "another driver" if holder is None else holder.process
        return StudyError(
            [f"{self._store.address}: the study is running already ({name}); wait for it, or stop that process."]
        )

    def settle(self, copy: str, *, workers_write: bool) -> None:
        """Say which local copy is what the store holds, and who writes to the store from now on.

        Raises:
            OSError: the store does not take it.
        """
        with self._lock:
            self._mine = replace(self._mine, copy=copy, workers_write=workers_write)
            self._write()

    def check(self) -> None:
        """Make sure that the study is still this driver's, before something is written.

        Raises:
            OSError: it is not, or the store does not answer.
        """
        if time.monotonic() - self._renewed > TTL_S / 2:
            self._renew()
        if self.lost:
            raise OSError("another driver holds the study")

    def release(self) -> None:
        """Let go; what the object says of the local copy stays for the next driver.

        Where the store is away nothing is tried: the next driver waits until the last sign of life is old enough.
        """
        self._stop.set()
        if time.monotonic() - self._renewed > TTL_S / 2:
            return
        with self._lock, suppress(OSError):
            if not self.lost:
                self._mine = replace(self._mine, ended=True)
                self._write()

    def _write(self) -> None:
        self._mine = replace(self._mine, beat=self._mine.beat + 1)
        began = time.monotonic()
        self._store.write(_NAME, json.dumps(asdict(self._mine)).encode())
        self._renewed = began

    def _renew(self) -> None:
        with self._lock:
            if self._stop.is_set() or self.lost:
                return
            holder = read_holder(self._store)
            if holder is not None and holder.owner != self._mine.owner:
                self.lost = True
            else:
                self._write()
        if self.lost:
            self._on_lost()

    def _renew_for_ever(self) -> None:
        while not self._stop.wait(TTL_S / 4):
            try:
                self._renew()
            except OSError:
                continue  # away: asked again before anything is written
