"""Trimmed clips of a data set's classes: a store of their own, in the subfolder ``trimmed`` of the data set's store.

Each clip is a video of the split ``train`` that one action fills from beginning to end.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from trainables.data.features.store import read_manifest
from trainables.data.schema import TRIMMED


def trimmed_folder(store: Path) -> Path:
    """Where the clips of a store are, if it has any."""
    return store / TRIMMED


def has_trimmed(store: Path) -> bool:
    """Whether a store has clips."""
    return (trimmed_folder(store) / "manifest.json").is_file()


def digest_with_trimmed(store: Path) -> str:
    """Digest of a store's contents, clips included.

    Raises:
        FileNotFoundError: there is no store.
        ValueError: a manifest is damaged.
    """
    digest: str = read_manifest(store)["digest"]
    if has_trimmed(store):
        digest = hashlib.sha256(f"{digest} {read_manifest(trimmed_folder(store))['digest']}".encode()).hexdigest()
    return digest
