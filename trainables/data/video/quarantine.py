"""Files that failed, beside the data: not tried again until the file or a decoder changes.

One JSON object a line: file (relative to the list), size, modified (ns), reason, decoders. Appending is one write, so
several processes may share a list.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

#: Name of the list in a folder of videos.
QUARANTINE_NAME = "video_quarantine.jsonl"


@dataclass(frozen=True)
class QuarantinedFile:
    """One line.

    Attributes:
        file: relative to the list's folder.
        size: bytes, when it failed.
        modified_ns: time of its last change, likewise.
        reason: what was wrong.
        decoders: names and versions that failed.
    """

    file: str
    size: int
    modified_ns: int
    reason: str
    decoders: str


class Quarantine:
    """The list in one file.

    Args:
        path: of the list; it need not exist.
        decoders: names and versions in use; entries of others do not count.
    """

    def __init__(self, path: Path, decoders: str) -> None:
        self.path = path
        self.decoders = decoders

    def find(self, video: Path) -> QuarantinedFile | None:
        """The entry of a video that has not changed since; None if it may be tried."""
        name = self._name(video)
        entry = next((entry for entry in self.entries() if entry.file == name), None)
        if entry is None or entry.decoders != self.decoders:
            return None
        stat = video.stat()
        return entry if (entry.size, entry.modified_ns) == (stat.st_size, stat.st_mtime_ns) else None

    def add(self, video: Path, reason: str) -> None:
        """Write a video down, with its present size and time of change."""
        stat = video.stat()
        entry = QuarantinedFile(self._name(video), stat.st_size, stat.st_mtime_ns, reason, self.decoders)
        with self._locked() as handle:
            os.write(handle, (json.dumps(asdict(entry)) + "\n").encode())

    def entries(self) -> list[QuarantinedFile]:
        """The latest entry of every file, in order of the list.

        Raises:
            ValueError: a line is not an entry; it is named.
        """
        if not self.path.exists():
            return []
        latest: dict[str, QuarantinedFile] = {}
        for number, line in enumerate(self.path.read_text(encoding="utf-8").splitlines(), 1):
            try:
                entry = QuarantinedFile(**json.loads(line))
            except (TypeError, ValueError) as error:
                raise ValueError(f"{self.path}, line {number}: not an entry of a quarantine list; remove it") from error
            latest[entry.file] = entry
        return list(latest.values())

    def clear(self, videos: Collection[Path] | None = None) -> int:
        """Take videos off the list; None = all.

        Returns:
            Number of videos taken off.
        """
        if not self.path.exists():
            return 0
        with self._locked() as handle:
            entries = self.entries()
            gone = {entry.file for entry in entries} if videos is None else set(map(self._name, videos))
            kept = [entry for entry in entries if entry.file not in gone]
            os.ftruncate(handle, 0)
            os.write(handle, "".join(json.dumps(asdict(entry)) + "\n" for entry in kept).encode())
        return len(entries) - len(kept)

    def _name(self, video: Path) -> str:
        return os.path.relpath(video.absolute(), self.path.absolute().parent)

    @contextmanager
    def _locked(self) -> Iterator[int]:
        handle = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield handle
        finally:
            os.close(handle)
