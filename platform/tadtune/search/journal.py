"""Optuna's journal file as the driver of a study keeps it: its only writer, which may be killed at any moment."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileBackend


class DriverJournal(JournalFileBackend):  # type: ignore[misc, unused-ignore]
    """A journal of one writer.

    Optuna joins what it appends to a line that a kill tore, and refuses the file from then on: such a line is cut off
    when the journal is opened. The records of trials say again what it said.

    Args:
        path: of the file; made where there is none.
    """

    def __init__(self, path: Path) -> None:
        if path.is_file():
            _cut_torn_line(path)
        super().__init__(str(path))
        self._held: list[dict[str, Any]] | None = None
        self._unread: list[dict[str, Any]] = []

    @contextmanager
    def one_write(self) -> Iterator[None]:
        """Hold back what is appended and write it in one step at the end.

        Each write by itself costs a lock file and a flush to the disk.
        """
        held: list[dict[str, Any]] = []
        self._held = held
        try:
            yield
        finally:
            self._held = None
            if held:
                super().append_logs(held)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Called by Optuna's storage."""
        if self._held is None:
            super().append_logs(logs)
        else:
            self._held += logs
            self._unread += json.loads(json.dumps(logs))  # as they would come back from the file

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """Called by Optuna's storage after every append; of what is held, it has read all but the last."""
        if self._held is None:
            yield from super().read_logs(log_number_from)
        else:
            unread, self._unread = self._unread, []
            yield from unread


def _cut_torn_line(path: Path) -> None:
    """Cut off what follows the last line break."""
    whole = path.read_bytes()
    end = whole.rfind(b"\n") + 1
    if end < len(whole):
        with path.open("rb+") as stream:
            stream.truncate(end)
