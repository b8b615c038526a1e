"""Configuration of the stitched data set: real trimmed clips joined into untrimmed videos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from trainables.config import param
from trainables.data.features.store_config import BuiltStoreConfig


@dataclass(frozen=True)
class Config(BuiltStoreConfig):
    """A store that ``tadtune data build stitched`` has made."""

    key: ClassVar[str] = "stitched"
    command: ClassVar[str] = "tadtune data build stitched --clips DIR_OR_TAR"

    store: str = param("gym_stitched", "name of the store below the data folder, or a path to it")
