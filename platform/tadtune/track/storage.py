"""Where studies live, from what a person gives: a folder, or the address of an object store with a copy here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tadtune.track.object_store.objects import is_address, local_folder
from tadtune.track.study_folder import StudyFolder


def storage_folder(storage: str) -> Path:
    """The folder on this machine: the storage itself, or its local copy; absolute, as Ray wants it."""
    return (local_folder(storage) if is_address(storage) else Path(storage)).resolve()


def study_folder(storage: str, slug: str, say: Callable[[str], object] = print) -> StudyFolder:
    """A study of a storage.

    Args:
        storage: a folder, or the address of an object store.
        slug: the study's name as a folder name.
        say: what to tell people goes here.

    Raises:
        StudyError: the address cannot be used.
    """
    if not is_address(storage):
        return StudyFolder(storage_folder(storage), slug)
    from tadtune.track.object_store.objects import open_store
    from tadtune.track.object_store.study import StoredStudyFolder

    return StoredStudyFolder(storage_folder(storage), slug, open_store(storage), say)
