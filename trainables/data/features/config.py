"""Configuration of a data set of imported features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from trainables.data.features.store_config import BuiltStoreConfig


@dataclass(frozen=True)
class Config(BuiltStoreConfig):
    """A store that ``tadtune data import`` has made."""

    key: ClassVar[str] = "features"
    command: ClassVar[str] = "tadtune data import --annotations FILE --features FOLDER"
