"""Trimmed clips: one ``.npy`` file of (T, D) features each, the class in the file name."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainables.data.store import Features


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


def read_clips(source: Path) -> list[Clip]:
    """Clips of a folder, or of a tar archive (any compression) that is read without unpacking, sorted by name.

    Args:
        source: files are called ``<class>_<number>.npy``.

    Raises:
        FileNotFoundError: there is no such folder or archive.
        ValueError: no clip in it, or one that is not (T, D) finite numbers; the file is named.
    """
    if not source.exists():
        raise FileNotFoundError(f"{source}: no such folder or archive of clips")
    clips = [_clip(name, content) for name, content in (_folder(source) if source.is_dir() else _archive(source))]
    if not clips:
        raise ValueError(f"{source}: holds no .npy file")
    widths = {clip.features.shape[1] for clip in clips}
    if len(widths) > 1:
        raise ValueError(f"{source}: clips have different feature widths {sorted(widths)}")
    return sorted(clips, key=lambda clip: clip.name)


def _folder(source: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(source.rglob("*.npy")):
        yield path.stem, path.read_bytes()


def _archive(source: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with tarfile.open(source) as archive:
            for member in archive:
                if member.isfile() and member.name.endswith(".npy"):
                    stream = archive.extractfile(member)
                    assert stream is not None, "a regular file has content"
                    yield Path(member.name).stem, stream.read()
    except tarfile.TarError as error:
        raise ValueError(f"{source}: not a readable tar archive: {error}") from error


def _clip(name: str, content: bytes) -> Clip:
    try:
        features = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"clip '{name}': not a plain .npy array: {error}") from error
    if features.ndim != 2 or len(features) == 0 or not np.isfinite(features).all():
        raise ValueError(f"clip '{name}': {features.shape}, expected (T, D) finite numbers")
    return Clip(name, re.sub(r"_\d+$", "", name), features.astype(np.float32))
