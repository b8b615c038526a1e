"""An object store as pyarrow's file systems show it: named objects below one address, each replaced whole."""

from __future__ import annotations

import hashlib
import os
import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from tadtune.spec.errors import StudyError

#: Written at a time when a large file is sent or fetched, bytes.
_CHUNK = 8 << 20
#: Seconds; S3's client gives up after about six.
_GCS_RETRY_S = 6
#: Types of pyarrow's file systems where an object appears whole when its writer closes it.
_OBJECT_STORES = ("s3", "gcs", "abfs")

#: What the stores' own words mean, in the order in which they are looked for.
_MEANINGS = (
    (("NO_SUCH_BUCKET", "Bucket does not exist", "ContainerNotFound"), "there is no such bucket; make it first"),
    (
        ("ACCESS_DENIED", "INVALID_ACCESS_KEY_ID", "InvalidAccessKeyId", "SIGNATURE_DOES_NOT_MATCH", "Forbidden"),
        "it refuses these credentials (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_PROFILE, the machine's role); "
        "they must read, write, list and delete there",
    ),
    (
        ("Could not create a OAuth2",),
        "no credentials were found; make some with `gcloud auth application-default login`, or give the machine a role",
    ),
    (
        ("PermanentRedirect", "PERMANENT_REDIRECT", "AuthorizationHeaderMalformed", "IllegalLocationConstraint"),
        "the bucket is in another region; name it: ?region=...",
    ),
    (("NETWORK_CONNECTION", "Could not connect", "resolve host", "curlCode"), "it does not answer"),
)


class Version(NamedTuple):
    """What tells two contents of an object apart.

    Attributes:
        size: bytes.
        changed_at: Unix time by the store's clock.
    """

    size: int
    changed_at: float


def is_address(storage: str) -> bool:
    """Whether this is the address of a store (``s3://bucket/prefix``), not a folder."""
    return re.match(r"[a-zA-Z][a-zA-Z0-9+.-]+://", storage) is not None


def below(address: str, name: str) -> str:
    """Address of what is below an address; the options behind ``?`` stay."""
    parts = urlsplit(address)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{name}"))


def local_folder(address: str) -> Path:
    """Where this machine keeps its copy: below ``TADTUNE_CACHE``, else ``~/.cache/tadtune``."""
    root = Path(os.environ.get("TADTUNE_CACHE") or Path.home() / ".cache" / "tadtune")
    parts = urlsplit(address)
    digest = hashlib.sha256(urlunsplit(parts._replace(path=parts.path.rstrip("/"))).encode()).hexdigest()[:12]
    return root / f"{parts.scheme}-{parts.netloc}-{digest}"


def explain(address: str, error: Exception) -> StudyError:
    """What went wrong with a store, in one line with the way out."""
    said = " ".join(str(error).split())
    meaning = next((text for words, text in _MEANINGS if any(word in said for word in words)), "it cannot be used")
    return StudyError([f"storage: {address}: {meaning} ({said[:300]})."])


def _impatient(address: str) -> str:
    """The address with a limit on how long Google's client tries again by itself, else a quarter of an hour."""
    parts = urlsplit(address)
    if parts.scheme not in ("gs", "gcs") or "retry_limit_seconds" in parts.query:
        return address
    limit = f"retry_limit_seconds={_GCS_RETRY_S}"
    return urlunsplit(parts._replace(query=f"{parts.query}&{limit}" if parts.query else limit))


def open_store(address: str) -> Store:
    """The store behind an address; nothing is asked of it yet, but for the region of an S3 bucket.

    Raises:
        StudyError: the address is none of pyarrow's, or carries a secret.
    """
    from pyarrow.fs import FileSystem

    parts = urlsplit(address)
    if parts.password is not None or (parts.username is not None and parts.scheme.startswith("s3")):
        shown = urlunsplit(parts._replace(netloc=f"...@{parts.hostname}"))
        raise StudyError(
            [f"storage: {shown}: holds a key, which lists of processes show; set AWS_ACCESS_KEY_ID and so on."]
        )
    if parts.scheme == "file":
        raise StudyError([f"storage: {address}: is a folder; give its path, {parts.path}."])
    try:
        filesystem, root = FileSystem.from_uri(_impatient(address))
    except (OSError, ValueError) as error:
        raise explain(address, error) from error
    return Store(filesystem, root.rstrip("/"), address)


class Store:
    """Objects below one place of a file system.

    Every method raises ``OSError`` where the store does not do what it is asked.

    Args:
        filesystem: pyarrow's.
        root: path of the place on it.
        address: of the place, for people and for other processes.
    """

    def __init__(self, filesystem: Any, root: str, address: str) -> None:
        self._fs, self._root, self.address = filesystem, root, address

    def below(self, name: str) -> Store:
        """The objects whose names begin so."""
        return Store(self._fs, f"{self._root}/{name}", below(self.address, name))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root

    def read(self, name: str) -> bytes:
        """Content of an object.

        Raises:
            FileNotFoundError: there is none.
        """
        with self._fs.open_input_file(self._path(name)) as stream:
            return bytes(stream.read())

    def write(self, name: str, content: bytes) -> None:
        """Replace an object; a reader sees the old or the new content, never a part."""
        self._replace(name, lambda stream: stream.write(content))

    def upload(self, name: str, source: Any) -> None:
        """Replace an object by what is left in an open binary file, of any size."""

        def copy(stream: Any) -> None:
            while chunk := source.read(_CHUNK):
                stream.write(chunk)

        self._replace(name, copy)

    def _replace(self, name: str, fill: Callable[[Any], object]) -> None:
        path = self._path(name)
        if self._fs.type_name in _OBJECT_STORES:
            with self._fs.open_output_stream(path, compression=None) as stream:
                fill(stream)
            return
        folder, _, last = path.rpartition("/")
        self._fs.create_dir(folder, recursive=True)
        scratch = f"{folder}/.{last}.{uuid.uuid4().hex}"
        with self._fs.open_output_stream(scratch, compression=None) as stream:
            fill(stream)
        self._fs.move(scratch, path)

    def download(self, name: str, path: Path) -> None:
        """Fetch an object into a file, which is replaced in one step.

        Raises:
            FileNotFoundError: there is no such object.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        try:
            with self._fs.open_input_file(self._path(name)) as stream, scratch.open("wb") as target:
                while chunk := stream.read(_CHUNK):
                    target.write(chunk)
            scratch.replace(path)
        finally:
            scratch.unlink(missing_ok=True)

    def delete(self, name: str) -> None:
        """Remove an object, if it is there."""
        try:
            self._fs.delete_file(self._path(name))
        except FileNotFoundError:
            return

    def version(self, name: str) -> Version | None:
        """The object's version, None where there is none."""
        return _version(self._fs.get_file_info(self._path(name)))

    def versions(self, name: str = "") -> dict[str, Version]:
        """Every object below a name, by its name relative to that one."""
        found = {item.path: _version(item) for item in self._select(name, recursive=True)}
        start = len(self._path(name)) + 1
        named = {path[start:]: version for path, version in found.items() if version is not None}
        return {path: version for path, version in named.items() if not path.rpartition("/")[2].startswith(".")}

    def folders(self, name: str = "") -> list[str]:
        """Names of what has objects below it, one level deep."""
        from pyarrow.fs import FileType

        items = self._select(name, recursive=False)
        return sorted(item.base_name for item in items if item.type == FileType.Directory)

    def _select(self, name: str, *, recursive: bool) -> list[Any]:
        from pyarrow.fs import FileSelector

        return list(self._fs.get_file_info(FileSelector(self._path(name), recursive=recursive, allow_not_found=True)))

    def check(self) -> float:
        """Write, list, read and delete an object.

        Returns:
            The store's own time, Unix.

        Raises:
            StudyError: it cannot; why and the way out.
        """
        name = f"probe-{uuid.uuid4().hex}"
        try:
            self.write(name, b"tadtune")
            found = self.version(name)
            content = self.read(name)
            self.folders()
            self.delete(name)
        except OSError as error:
            raise explain(self.address, error) from error
        if found is None or content != b"tadtune":
            raise StudyError([f"storage: {self.address}: what was written there cannot be read back."])
        return found.changed_at


def _version(item: Any) -> Version | None:
    from pyarrow.fs import FileType

    if item.type != FileType.File:
        return None
    return Version(int(item.size), float(item.mtime_ns) / 1e9)
