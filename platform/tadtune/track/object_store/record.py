"""A trial's record where the driver's folder is out of reach: a scratch folder and its place in an object store."""

from __future__ import annotations

import logging
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from tadtune.track.files import write_json
from tadtune.track.object_store.checkpoint import FOLDER, MANIFEST, StoredCheckpoint
from tadtune.track.object_store.mirror import LAST, Mirror, Stamp
from tadtune.track.object_store.objects import Store, Version, open_store
from tadtune.track.record import TrialRecord

#: Waits between attempts while a store is away, seconds.
WAITS_S = (0.5, 1.0, 2.0, 5.0, 10.0)

T = TypeVar("T")
_log = logging.getLogger(__name__)


def insist(action: Callable[[], T], give_up: Callable[[], bool] = lambda: False) -> T | None:
    """Do something that a store is needed for, again and again while it is away.

    Args:
        action: raises ``OSError`` while the store is away.
        give_up: asked after every failure.

    Returns:
        What the action does; None when given up.
    """
    attempt = 0
    while True:
        try:
            return action()
        except OSError as error:
            _log.warning("asked again: %s", error)
            if give_up():
                return None
            time.sleep(WAITS_S[min(attempt, len(WAITS_S) - 1)])
            attempt += 1


class RecordMirror:
    """Carries a record between its folder and the store.

    Args:
        record: in its folder.
        store: the place of the record.
    """

    def __init__(self, record: TrialRecord, store: Store) -> None:
        self._record, self._store = record, store
        self._mirror = Mirror(record.folder, store, skip=(FOLDER,))
        self._checkpoint = StoredCheckpoint(store)
        self._sent: tuple[Stamp, int] | None = None
        self.has_checkpoint = False

    def push(self) -> int:
        """Carry what changed here: what a result rests on before the result, reports before their checkpoint.

        Raises:
            OSError: the store does not take it.
        """
        self._mirror.push(but=LAST)
        return self._push_checkpoint() + self._mirror.push()

    def _push_checkpoint(self) -> int:
        try:
            status = self._record.checkpoint.stat()
            stamp = (Stamp(status.st_size, status.st_mtime_ns), status.st_ino)
            if stamp == self._sent:
                return 0
            count = self._checkpoint.stage(self._record.checkpoint)
        except FileNotFoundError:
            return 0
        self._mirror.push(but=LAST)  # the checkpoint may be younger than what was carried before it
        count()
        self._sent, self.has_checkpoint = stamp, True
        return 1

    def has_news(self) -> bool:
        """Whether something here, but for the checkpoint, has not been carried over."""
        return self._mirror.has_news()

    def pull(self) -> None:
        """Carry what changed there, but for the checkpoint.

        Raises:
            OSError: the store does not give it.
        """
        there = self._store.versions()
        self._mirror.pull(there)
        self.has_checkpoint = MANIFEST in there

    def reconcile(self, there: Mapping[str, Version], *, ours: bool) -> None:
        """Bring both sides together (:meth:`tadtune.track.object_store.mirror.Mirror.reconcile`).

        The checkpoint comes along where the trial has not ended and that of the store is the one that fits.

        Raises:
            OSError: the store does not answer.
        """
        self.has_checkpoint = MANIFEST in there
        fetched = self._mirror.reconcile(there, ours=ours)
        result = self._record.result()
        if result is not None and result.status != "failed":
            return  # nobody will train it further
        if fetched and not self.has_checkpoint:
            self._record.checkpoint.unlink(missing_ok=True)  # it is further than the reports that came
        elif self.has_checkpoint and (fetched or not self._record.checkpoint.is_file()):
            self.load_checkpoint()

    def load_checkpoint(self) -> bool:
        """Fetch the checkpoint; whether there is one.

        Raises:
            OSError: the store does not give it.
        """
        return self._checkpoint.load(self._record.checkpoint)

    def drop_checkpoint(self) -> None:
        """Remove the checkpoint from the store.

        Raises:
            OSError: the store does not answer.
        """
        self._checkpoint.drop()
        self.has_checkpoint = False


class StoredRecord(TrialRecord):
    """A record that other machines see in the store alone.

    Args:
        folder: an empty one.
        store: the place of the record.
    """

    def __init__(self, folder: Path, store: Store) -> None:
        super().__init__(folder)
        self._mirror = RecordMirror(self, store)

    def fetch(self) -> None:
        """Get everything there is, the checkpoint included.

        Raises:
            OSError: the store does not give it.
        """
        self._mirror.pull()
        self._mirror.load_checkpoint()

    def publish(self, *, final: bool = False) -> None:
        """Carry what was written to the store; while it is away, only the end of a trial waits for it."""
        if final:
            insist(self._mirror.push)
            return
        try:
            self._mirror.push()
        except OSError as error:
            _log.warning("carried with the next report: %s", error)

    def announce_limit(self, attempt: int, seconds: float) -> None:
        """Say when the attempt will be ended: its process can carry nothing to the store then."""
        place = f"{socket.gethostname()}:{self.timeout}"
        write_json(self.folder / "limit.json", {"attempt": attempt, "ends_at": time.time() + seconds, "file": place})
        self.publish()


@contextmanager
def open_record(folder: Path, address: str) -> Iterator[TrialRecord]:
    """The record of a trial, for the process that runs it.

    Args:
        folder: of the record.
        address: of the record in a store, where the folder may be out of reach; "" = it is not.
    """
    if not address:
        yield TrialRecord(folder)
        return
    with tempfile.TemporaryDirectory(prefix="tadtune-") as scratch:
        record = StoredRecord(Path(scratch), open_store(address))
        insist(record.fetch)
        yield record
