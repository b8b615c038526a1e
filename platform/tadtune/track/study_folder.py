"""The folder of a study: its definition, its trials' records, the sampler's storage, one driver at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tadtune.plan.definition import merge_definitions
from tadtune.spec.errors import StudyError
from tadtune.track.files import read_json, write_json
from tadtune.track.record import TrialRecord


class StudyFolder:
    """``<storage>/<study>/``.

    Args:
        storage: folder of all studies; on a cluster, one that every node reaches.
        slug: the study's name as a folder name.
    """

    def __init__(self, storage: Path, slug: str) -> None:
        self.storage = storage
        self.path = storage / slug

    @property
    def journal(self) -> Path:
        """Optuna's storage; the driver is its only writer."""
        return self.path / "optuna.journal"

    @property
    def report(self) -> Path:
        """Folder of the reports."""
        return self.path / "report"

    def record(self, trial_id: str) -> TrialRecord:
        """The record of a trial of this study."""
        return TrialRecord(self.path / "trials" / trial_id)

    def records(self) -> dict[str, TrialRecord]:
        """Every trial that has started, by id."""
        folder = self.path / "trials"
        if not folder.is_dir():
            return {}
        return {p.name: TrialRecord(p) for p in sorted(folder.iterdir()) if (p / "trial.json").is_file()}

    def definition(self) -> dict[str, Any] | None:
        """What the study was at its last launch."""
        content: dict[str, Any] | None = read_json(self.path / "definition.json")
        return content

    def check_definition(self, new: dict[str, Any]) -> dict[str, Any]:
        """The definition to store.

        Raises:
            StudyError: ``new`` contradicts what finished trials were run with.
        """
        old = self.definition()
        return new if old is None else merge_definitions(old, new)

    def keep_definition(self, definition: dict[str, Any]) -> None:
        """Store the definition of this launch."""
        write_json(self.path / "definition.json", definition)

    def adopt(self, trial_id: str) -> bool:
        """Copy a complete record of the same trial from another study of this storage.

        Returns:
            Whether the study now has the finished record.
        """
        target = self.record(trial_id)
        if target.result() is not None:
            return True
        for other in self.elsewhere(trial_id):
            result = other.result()
            if result is None or result.status != "complete" or target.folder.exists():
                continue
            target.folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.path, prefix=".adopt.") as scratch:
                copy = Path(scratch) / trial_id
                shutil.copytree(other.folder, copy, ignore=shutil.ignore_patterns("mlflow.json", ".*"))
                copy.replace(target.folder)
            return True
        return False

    def elsewhere(self, trial_id: str) -> Iterator[TrialRecord]:
        """Records of the same trial in other studies of this storage."""
        for path in sorted(self.storage.glob(f"*/trials/{trial_id}/result.json")):
            yield TrialRecord(path.parent)

    @property
    def lost(self) -> bool:
        """Whether another driver holds the study now, although this one did not let go."""
        return False

    @property
    def is_copy(self) -> bool:
        """Whether the study lies in an object store, and this folder is the driver's copy of it."""
        return False

    def let_workers_write(self) -> None:
        """Trials run on machines that do not see a copy; nothing is to be done where they see this folder."""

    def address(self, trial_id: str) -> str:
        """Where a trial that does not see this folder keeps its record; "" = every trial sees it."""
        return ""

    def drop_checkpoint(self, trial_id: str) -> bool:
        """Remove the checkpoint of a trial that has ended; whether there was one."""
        return self.record(trial_id).drop_checkpoint()

    def update(self) -> None:
        """Get what other machines have written; nothing is to be done where they write into this folder.

        Raises:
            StudyError: what they have written is out of reach.
        """

    def refresh(self, trial_id: str, give_up: Callable[[], bool]) -> None:
        """The same for one trial, waiting until it can be had.

        Args:
            trial_id: of the trial.
            give_up: whether to wait no longer.
        """

    def publish(self, trial_id: str) -> None:
        """Let others see soon what was written of a trial; nothing is to be done where they see this folder."""

    def flush(self, patience_s: float) -> str:
        """Let others see now whatever was written.

        Args:
            patience_s: seconds without any progress after which to stop trying.

        Returns:
            What they cannot see yet, in words, or "".
        """
        return ""

    def state(self) -> str:
        """Why others cannot see what was written, in words, "" when all is well."""
        return ""

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the study for this driver; released by the system when the process ends, however it ends.

        Raises:
            StudyError: another driver runs the study.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / "driver.lock").open("a+") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                stream.seek(0)
                holder = stream.read().strip() or "unknown"
                raise StudyError(
                    [f"{self.path}: the study is running already ({holder}); wait for it, or stop that process."]
                ) from error
            stream.truncate(0)
            stream.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            stream.flush()
            yield
