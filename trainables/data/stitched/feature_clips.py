"""Trimmed clips: one ``.npy`` file of (T, D) features each, the class in the file name."""

from __future__ import annotations

import hashlib
import io
import lzma
import re
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from trainables.data.schema import Features

_NAME = re.compile(r"(?P<label>.+)_\d+")


@dataclass(frozen=True)
class Clip:
    """One trimmed clip.

    Attributes:
        name: of its file, without ending.
        label: name of its class.
        features: (T, D) float32.
    """

    name: str
    label: str
    features: Features

    def __len__(self) -> int:
        """T snippets."""
        return len(self.features)


def read_clips(source: Path) -> list[Clip]:
    """Clips of a folder, or of a tar archive (any compression) that is read without unpacking, sorted by name.

    Args:
        source: its files are called ``<class>_<number>.npy``; others are left alone.

    Raises:
        FileNotFoundError: there is no such folder or archive.
        ValueError: no clip in it, two of one name, or one that is not (T, D) finite numbers; the file is named.
    """
    if not source.exists():
        raise FileNotFoundError(f"{source}: no such folder or archive of clips")
    clips = [_clip(name, content) for name, content in (_folder(source) if source.is_dir() else _archive(source))]
    if not clips:
        raise ValueError(f"{source}: holds no .npy file")
    clips.sort(key=lambda clip: clip.name)
    for first, second in pairwise(clips):
        if first.name == second.name:
            raise ValueError(f"{source}: two files are called '{first.name}.npy'")
    widths = {clip.features.shape[1] for clip in clips}
    if len(widths) > 1:
        raise ValueError(f"{source}: clips have different feature widths {sorted(widths)}")
    return clips


def clips_digest(clips: Sequence[Clip]) -> str:
    """sha256 of names and features in the order of the names, for the manifest of what is built from them."""
    state = hashlib.sha256()
    for clip in sorted(clips, key=lambda clip: clip.name):
        state.update(f"{clip.name}\n{clip.features.shape}\n".encode())
        state.update(np.ascontiguousarray(clip.features).data)
    return state.hexdigest()


def _folder(source: Path) -> Iterator[tuple[str, bytes]]:
    for path in source.rglob("*.npy"):
        yield path.stem, path.read_bytes()


def _archive(source: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with tarfile.open(source) as archive:
            for member in archive:
                if member.isfile() and member.name.endswith(".npy"):
                    stream = archive.extractfile(member)
                    assert stream is not None, "a regular file has content"
                    yield Path(member.name).stem, stream.read()
    except (tarfile.TarError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise ValueError(f"{source}: not a readable tar archive: {error}") from error


def _clip(name: str, content: bytes) -> Clip:
    match = _NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"clip '{name}': the file must be called <class>_<number>.npy, for the class is read from it")
    try:
        values = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"clip '{name}': not a plain .npy array: {error}") from error
    if not np.issubdtype(values.dtype, np.floating) or values.ndim != 2 or 0 in values.shape:
        raise ValueError(f"clip '{name}': {values.dtype} {values.shape}, expected (T, D) floating-point numbers")
    with np.errstate(over="ignore"):
        features = values.astype(np.float32)
    if not np.isfinite(features).all():
        raise ValueError(f"clip '{name}': holds numbers that are not finite in float32")
    return Clip(name, match["label"], features)
