"""The folder of a study that lives in an object store: the driver works in a local copy, a thread carries it over.

In the store lie the study's files and every trial's record, under the same names as in a folder; a trial's result is
carried after everything that it rests on, and the sampler's journal after the records that it speaks of. So whatever
moment a machine is lost at, what the store holds is a study that was interrupted, never one with half a trial in it.
"""

from __future__ import annotations

import contextlib
import fcntl
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tadtune.spec.errors import StudyError
from tadtune.track.files import read_json, write_json
from tadtune.track.object_store.lease import Holder, Lease, read_holder
from tadtune.track.object_store.mirror import Mirror, Stamp, read_whole
from tadtune.track.object_store.objects import Store, Version, below, explain
from tadtune.track.object_store.record import WAITS_S, RecordMirror, StoredRecord, insist
from tadtune.track.record import TrialRecord
from tadtune.track.study_folder import StudyFolder

#: Least time between two rounds of the thread, seconds.
PACE_S = 0.5
#: Records that are fetched at a time when a copy is made.
_AT_ONCE = 16
_TRIALS = "trials"
#: Of Ray's own, which is never read again, and of trials, which have mirrors of their own.
_OTHER = (_TRIALS, "tune", "train")


class StoredStudyFolder(StudyFolder):
    """A study's local copy and its place in a store.

    Args:
        storage: folder of the local copies of this storage.
        slug: the study's name as a folder name.
        store: the storage.
        say: what to tell people goes here.
    """

    def __init__(self, storage: Path, slug: str, store: Store, say: Callable[[str], object] = print) -> None:
        super().__init__(storage, slug)
        self._storage, self._store, self._say = store, store.below(slug), say
        self._workers_write = False
        self._own: Mirror | None = None
        self._records: dict[str, RecordMirror] = {}
        self._elsewhere: dict[str, list[str]] = {}
        self._changed: set[str] = set()
        self._dropped: set[str] = set()
        self._at_work = False
        self._wake = threading.Condition()
        self._busy = threading.RLock()
        self._ended = False
        self._error = ""
        self._moved_at = 0.0
        self._lost = threading.Event()
        self._lease: Lease | None = None

    @property
    def lost(self) -> bool:
        """Whether another driver holds the study now."""
        return self._lost.is_set()

    @property
    def is_copy(self) -> bool:
        """Whether the study lies in an object store, and this folder is the driver's copy of it."""
        return True

    def _top(self) -> Mirror:
        """The study's own files."""
        if self._own is None:
            self._own = Mirror(self.path, self._store, skip=_OTHER)
        return self._own

    def _record_mirror(self, trial_id: str) -> RecordMirror:
        if trial_id not in self._records:
            self._records[trial_id] = RecordMirror(self.record(trial_id), self._store.below(f"{_TRIALS}/{trial_id}"))
        return self._records[trial_id]

    def address(self, trial_id: str) -> str:
        """Where a trial on another machine keeps its record; "" where trials write into the local copy."""
        return below(self._store.address, f"{_TRIALS}/{trial_id}") if self._workers_write else ""

    def let_workers_write(self) -> None:
        """Trials run on machines that do not see the local copy.

        Raises:
            StudyError: the store cannot be used.
        """
        assert self._lease is not None, "held"
        try:
            self._lease.settle(self._copy(), workers_write=True)
        except OSError as error:
            raise explain(self._store.address, error) from error
        self._workers_write = True

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the study for this driver, on this machine and in the store; carry over what is written meanwhile.

        Raises:
            StudyError: another driver runs the study, or the store cannot be used.
        """
        with super().lock():
            copy = self._copy()
            self._lease = Lease(self._store, self._say, self._lost.set)
            before = self._lease.take(copy)
            try:
                self._pull(ours=_is_ours(before, copy))
                self._find_elsewhere()
                self._lease.settle(copy, workers_write=False)
            except OSError as error:
                self._lease.release()
                raise explain(self._store.address, error) from error
            thread = threading.Thread(target=self._carry_for_ever, name="mirror", daemon=True)
            thread.start()
            try:
                yield
            finally:
                self.flush(patience_s=0.0)
                with self._wake:
                    self._ended = True
                    self._wake.notify_all()
                thread.join(30.0)
                self._lease.release()
            if self.lost:
                raise StudyError([f"{self._store.address}: another driver took the study over; this one has stopped."])

    def _copy(self) -> str:
        """Name of the local copy, made with it and gone with it."""
        path = self.path / ".copy.json"
        if read_json(path) is None:
            write_json(path, uuid.uuid4().hex)
        return str(read_json(path))

    def update(self) -> None:
        """Get what the store has, unless a driver on this machine is at work, whose copy is as young.

        Raises:
            StudyError: the store cannot be used.
        """
        try:
            if not self._store.folders():
                return
            with contextlib.suppress(BlockingIOError), self._quietly():
                self._pull(ours=_is_ours(read_holder(self._store), self._copy()))
        except OSError as error:
            raise explain(self._store.address, error) from error

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / "driver.lock").open("a+") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield

    def _pull(self, *, ours: bool) -> None:
        """Bring the copy and the store together."""
        groups: dict[str, dict[str, Version]] = {"": {}}
        for name, version in self._store.versions().items():
            trial_id, inner = "", name
            if name.startswith(f"{_TRIALS}/"):
                _, trial_id, inner = name.split("/", 2)
            groups.setdefault(trial_id, {})[inner] = version
        self._top().reconcile(groups.pop(""), ours=ours)
        for trial_id in self.records():
            groups.setdefault(trial_id, {})
        with ThreadPoolExecutor(_AT_ONCE) as pool:

            def reconcile(item: tuple[str, Mapping[str, Version]]) -> None:
                self._record_mirror(item[0]).reconcile(item[1], ours=ours)

            list(pool.map(reconcile, groups.items()))

    def _find_elsewhere(self) -> None:
        """Which trials other studies of the storage have, so that a trial need not ask the store for it."""
        for slug in self._storage.folders():
            if slug != self.path.name:
                for trial_id in self._storage.below(slug).folders(_TRIALS):
                    self._elsewhere.setdefault(trial_id, []).append(slug)

    def elsewhere(self, trial_id: str) -> Iterator[TrialRecord]:
        """Records of the same trial in other studies of the storage: those with a copy here, then others, fetched."""
        yield from super().elsewhere(trial_id)
        for slug in self._elsewhere.get(trial_id, []):
            with tempfile.TemporaryDirectory(dir=self.path, prefix=".elsewhere.") as scratch:
                record = StoredRecord(Path(scratch), self._storage.below(f"{slug}/{_TRIALS}/{trial_id}"))
                insist(record.fetch, self._lost.is_set)
                yield record

    def adopt(self, trial_id: str) -> bool:
        """Copy a complete record of the same trial from another study of this storage."""
        found = super().adopt(trial_id)
        if found:
            self.publish(trial_id)  # before the sampler hears of it
        return found

    def drop_checkpoint(self, trial_id: str) -> bool:
        """Remove the checkpoint of a trial that has ended, here and in the store; whether there was one."""
        there = super().drop_checkpoint(trial_id) | self._record_mirror(trial_id).has_checkpoint
        if there:
            with self._wake:
                self._dropped.add(trial_id)
                self._wake.notify_all()
        return there

    def refresh(self, trial_id: str, give_up: Callable[[], bool]) -> None:
        """Get what a trial on another machine has written."""
        if not self._workers_write:
            return

        def pull() -> None:
            with self._busy:
                self._record_mirror(trial_id).pull()

        insist(pull, lambda: give_up() or self.lost)

    def publish(self, trial_id: str) -> None:
        """Have the thread carry a trial's record over."""
        with self._wake:
            self._changed |= {trial_id, ""}
            self._wake.notify_all()

    def flush(self, patience_s: float) -> str:
        """Carry over now whatever was written."""
        with self._wake:
            self._changed |= {*self.records(), ""}
            self._wake.notify_all()
            began = time.monotonic()
            while (self._changed or self._dropped or self._at_work) and not self.lost:
                if self._error and time.monotonic() - max(began, self._moved_at) >= patience_s:
                    break
                self._wake.wait(0.1)
            if not self._error:
                return ""
        left = sum(self._record_mirror(trial_id).has_news() for trial_id in self.records())
        return (
            f"{self._store.address} did not take everything ({self._error}): what {left} trials wrote last is in "
            f"{self.path} alone; the same command on this machine sends the rest."
        )

    def state(self) -> str:
        """Why the store does not have what was written, in words, "" when all is well."""
        return f"storage away, {len(self._changed - {''})} trials to be sent" if self._error else ""

    def _carry_for_ever(self) -> None:
        """The thread: carry over what changed, again and again while the store is away."""
        failures = 0
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._ended or self._changed or self._dropped)
                if self._ended:
                    return
                self._at_work = True
            try:
                self._carry()
                self._error, failures, pause_s = "", 0, PACE_S
            except Exception as error:  # whatever the store's client raises: the copy keeps what was not carried
                self._error = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
                pause_s = WAITS_S[min(failures, len(WAITS_S) - 1)]
                failures += 1
            with self._wake:
                self._at_work = False
                self._wake.notify_all()
                self._wake.wait_for(lambda: self._ended, pause_s)

    def _carry(self) -> None:
        """One round: records, then the journal as it was before, for it must not know more than they do."""
        assert self._lease is not None, "held"
        journal = self._read_journal()
        with self._wake:
            changed, self._changed = self._changed, set()
            dropped, self._dropped = self._dropped, set()
        try:
            self._lease.check()
            for trial_id in sorted(changed - {""}):
                self._carry_record(trial_id)
                changed.discard(trial_id)
                self._moved_at = time.monotonic()
            for trial_id in sorted(dropped):
                with self._busy:
                    self._record_mirror(trial_id).drop_checkpoint()
                dropped.discard(trial_id)
            self._top().push(but="" if journal else self.journal.name, contents=journal)
            changed.clear()
        finally:
            with self._wake:
                self._changed |= changed
                self._dropped |= dropped

    def _carry_record(self, trial_id: str) -> None:
        with self._busy:
            mirror = self._record_mirror(trial_id)
            if self._workers_write:
                mirror.pull()
            mirror.push()

    def _read_journal(self) -> dict[str, tuple[Stamp, bytes]]:
        try:
            status = self.journal.stat()
            return {self.journal.name: (Stamp(status.st_size, status.st_mtime_ns), read_whole(self.journal))}
        except FileNotFoundError:
            return {}


def _is_ours(before: Holder | None, copy: str) -> bool:
    """Whether nobody but this copy's drivers wrote to the store since it was last what the store holds."""
    return before is not None and before.copy == copy and not before.workers_write
