"""A checkpoint in an object store: its bytes under a name that is theirs alone, then a manifest that names them.

::

    checkpoint/<first digits of the SHA-256>.pt   the bytes, never written over
    checkpoint/manifest.json                      name, size and SHA-256 of those that count; written last

Without a manifest there is no checkpoint, however much of one was sent; with one the bytes are checked against it.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from tadtune.track.object_store.objects import Store

FOLDER = "checkpoint"
MANIFEST = f"{FOLDER}/manifest.json"


@dataclass(frozen=True)
class Manifest:
    """Which bytes are the checkpoint.

    Attributes:
        object: their name.
        size: in bytes.
        sha256: of the bytes.
    """

    object: str
    size: int
    sha256: str


class StoredCheckpoint:
    """The checkpoint of one trial.

    Args:
        store: the place of the trial's record.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def manifest(self) -> Manifest | None:
        """Which bytes are the checkpoint, None where there is none."""
        try:
            return Manifest(**json.loads(self._store.read(MANIFEST)))
        except FileNotFoundError:
            return None

    def stage(self, path: Path) -> Callable[[], None]:
        """Send the bytes of a checkpoint, which do not count before what is returned is called.

        Args:
            path: of the checkpoint; may be replaced meanwhile.

        Raises:
            FileNotFoundError: there is none.
            OSError: the store does not take it.
        """
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            new = Manifest(f"{FOLDER}/{digest[:20]}.pt", stream.tell(), digest)
            old = self.manifest()
            if old == new:
                return lambda: None
            stream.seek(0)
            self._store.upload(new.object, stream)

        def count() -> None:
            self._store.write(MANIFEST, json.dumps(asdict(new)).encode())
            for name in self._store.versions(FOLDER):
                if f"{FOLDER}/{name}" not in (MANIFEST, new.object):
                    self._store.delete(f"{FOLDER}/{name}")

        return count

    def load(self, path: Path) -> bool:
        """Fetch the checkpoint, where it is not here already; whether there is one.

        Raises:
            OSError: the store does not give it, or gives other bytes than were sent.
        """
        manifest = self.manifest()
        if manifest is None:
            return False
        if path.is_file() and _sha256(path) == manifest.sha256:
            return True
        scratch = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        try:
            self._store.download(manifest.object, scratch)
            if _sha256(scratch) != manifest.sha256:
                raise OSError(f"{self._store.address}/{manifest.object}: not the {manifest.size} bytes that were sent")
            scratch.replace(path)
        finally:
            scratch.unlink(missing_ok=True)
        return True

    def drop(self) -> None:
        """Remove the checkpoint, its manifest first.

        Raises:
            OSError: the store does not answer.
        """
        self._store.delete(MANIFEST)
        for name in self._store.versions(FOLDER):
            self._store.delete(f"{FOLDER}/{name}")


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
