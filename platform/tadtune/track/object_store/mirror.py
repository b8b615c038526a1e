"""A folder and the same files in an object store: what changed on one side is carried to the other, file by file.

What both sides looked like when a file was last carried is kept in ``.mirror.json`` in the folder; no two clocks are
ever compared. Only a result is ever removed from the store, when a failed trial is repeated; everything else that is
missing here is fetched again.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tadtune.track.files import read_json, write_json
from tadtune.track.object_store.objects import Store, Version

#: Written last and fetched last: where it is, everything else of a trial is.
LAST = "result.json"
_STATE = ".mirror.json"
#: What belongs to this machine alone, or to the store alone.
_LEFT_OUT = frozenset({"driver.json", "mlflow.json", "checkpoint.pt", "timeout.txt"})
#: Appended to: a copy ends at a whole line.
_LINES = (".jsonl", ".journal")


@dataclass(frozen=True)
class Stamp:
    """What tells two contents of a local file apart.

    Attributes:
        size: bytes.
        changed_ns: Unix time, nanoseconds.
    """

    size: int
    changed_ns: int


@dataclass(frozen=True)
class Seen:
    """Both sides of a file when it was last carried.

    Attributes:
        here: the local file, None = whatever is here has to be carried.
        there: the object.
    """

    here: Stamp | None
    there: Version


class Mirror:
    """One folder and its place in a store.

    Args:
        folder: may be missing.
        store: the place.
        skip: folders of either side that are no business of this one.
    """

    def __init__(self, folder: Path, store: Store, skip: tuple[str, ...] = ()) -> None:
        self.folder, self.store = folder, store
        self._skip = skip
        content = read_json(folder / _STATE) or {}
        self._seen = {
            name: Seen(None if here is None else Stamp(*here), Version(*there))
            for name, (here, there) in content.items()
        }

    def covers(self, name: str) -> bool:
        """Whether a file of this name is carried."""
        parts = name.split("/")
        private = parts[-1] in _LEFT_OUT or parts[-1].endswith(".lock") or any(part.startswith(".") for part in parts)
        return not private and parts[0] not in self._skip

    def push(self, *, but: str = "", contents: Mapping[str, tuple[Stamp, bytes]] | None = None) -> int:
        """Carry to the store what changed here since it was last carried.

        Args:
            but: a file to leave for a later call.
            contents: of files that were read before, with what they looked like then.

        Returns:
            Number of files carried.

        Raises:
            OSError: the store does not take them; those it took are remembered.
        """
        here, ready = self.local(), contents or {}
        gone = [LAST] if self._took_back(here) else []
        changed = [name for name, stamp in here.items() if name != but and self._is_news(name, stamp)]
        try:
            for name in gone:
                self.store.delete(name)
                del self._seen[name]
            for name in sorted(changed, key=_order):
                stamp, content = ready.get(name) or (here[name], None)
                self._put(name, stamp, content)
        finally:
            if gone or changed:
                self._save()
        return len(gone) + len(changed)

    def _took_back(self, here: Mapping[str, Stamp]) -> bool:
        return LAST in self._seen and LAST not in here

    def has_news(self) -> bool:
        """Whether something changed here since it was last carried."""
        here = self.local()
        return self._took_back(here) or any(self._is_news(*item) for item in here.items())

    def _is_news(self, name: str, stamp: Stamp) -> bool:
        return name not in self._seen or self._seen[name].here != stamp

    def _put(self, name: str, stamp: Stamp, content: bytes | None) -> None:
        if content is None:
            try:
                content = read_whole(self.folder / name)
            except FileNotFoundError:  # removed since it was listed: the next call notices
                return
        self.store.write(name, content)
        version = self.store.version(name)
        if version is None:
            raise OSError(f"{self.store.address}: {name} is not there after it was written")
        self._seen[name] = Seen(stamp, version)

    def pull(self, there: Mapping[str, Version]) -> int:
        """Carry to the folder what changed in the store, but nothing over what changed here as well.

        Args:
            there: the store's objects, by name.

        Returns:
            Number of files carried.

        Raises:
            OSError: the store does not give them.
        """
        here = self.local()
        known = [name for name, seen in self._seen.items() if name in here and seen.here == here[name]]
        news = [name for name, version in there.items() if self.covers(name) and self._fetches(name, version, here)]
        gone = [name for name in known if name not in there]
        for name in sorted(news, key=_order):
            with suppress(FileNotFoundError):  # removed since it was listed
                self.store.download(name, self.folder / name)
                self._seen[name] = Seen(_stamp(self.folder / name), there[name])
        for name in gone:  # carried again; only a result is ever taken back, from a record that is still there
            del self._seen[name]
            if name == LAST and there:
                (self.folder / name).unlink(missing_ok=True)
        if news or gone:
            self._save()
        return len(news) + len(gone)

    def _fetches(self, name: str, version: Version, here: Mapping[str, Stamp]) -> bool:
        seen = self._seen.get(name)
        return name not in here if seen is None else seen.there != version and seen.here == here.get(name)

    def reconcile(self, there: Mapping[str, Version], *, ours: bool) -> bool:
        """Bring both sides together where either may have changed since this folder was last used.

        Where both changed one of them is taken as a whole, never a mixture: this folder's where nobody else has
        written since, or where the trial has ended here alone; else the store's.

        Args:
            there: the store's objects, by name.
            ours: nobody but this folder's drivers wrote to the store since it last did.

        Returns:
            Whether anything came from the store.

        Raises:
            OSError: the store does not answer.
        """
        there = {name: version for name, version in there.items() if self.covers(name)}
        here = self.local()
        changed_there = there != {name: seen.there for name, seen in self._seen.items()}
        kept = {*here, LAST} if self._took_back(here) else {*here}
        self._seen = {name: seen for name, seen in self._seen.items() if name in kept}
        if changed_there and self.has_news():
            if ours or (LAST in here and LAST not in there):
                self._seen = {name: Seen(None, version) for name, version in there.items() if name in kept}
            else:
                self._seen = {}
                for name in here:
                    (self.folder / name).unlink()
        return self.pull(there) > 0

    def local(self) -> dict[str, Stamp]:
        """What is in the folder, by name."""
        found: dict[str, Stamp] = {}
        for folder, folders, names in os.walk(self.folder):
            base = Path(folder).relative_to(self.folder).as_posix()
            prefix = "" if base == "." else f"{base}/"
            folders[:] = [name for name in folders if self.covers(f"{prefix}{name}/x")]
            for name in names:
                if self.covers(f"{prefix}{name}"):
                    with suppress(FileNotFoundError):
                        found[f"{prefix}{name}"] = _stamp(Path(folder) / name)
        return found

    def _save(self) -> None:
        if self.folder.is_dir():
            plain = {
                name: [None if seen.here is None else [seen.here.size, seen.here.changed_ns], list(seen.there)]
                for name, seen in self._seen.items()
            }
            write_json(self.folder / _STATE, plain)


def read_whole(path: Path) -> bytes:
    """Content of a file; of one that is appended to, the whole lines."""
    content = path.read_bytes()
    return content[: content.rfind(b"\n") + 1] if path.suffix in _LINES else content


def _stamp(path: Path) -> Stamp:
    status = path.stat()
    return Stamp(status.st_size, status.st_mtime_ns)


def _order(name: str) -> tuple[bool, str]:
    return name == LAST, name
