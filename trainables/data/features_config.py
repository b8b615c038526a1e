"""Configuration of a data set of imported features."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from trainables.config import param
from trainables.data.store_config import StoreConfig


@dataclass(frozen=True)
class Config(StoreConfig):
    """A store that ``tadtune data import`` has made."""

    key: ClassVar[str] = "features"

    store: str = param("features", "name of the store below the data folder, or a path to it")
    permute_labels: bool = param(False, "control: exchange the training videos' labels")
    permute_seed: int = param(0, "of that exchange", bounds=(0, None))
    overfit: bool = param(False, "control: select and test are the training videos; what a model can memorise")

    def __post_init__(self) -> None:
        if Path(self.store).name in ("", ".."):
            raise ValueError(f"store: '{self.store}' names no folder; give a name below the data folder, or a path")

    def folder(self, data_root: Path) -> Path:
        """Where the store is."""
        return data_root / self.store

    @property
    def shuffle_seed(self) -> int:
        """Of the exchange of labels."""
        return self.permute_seed

    def prepare(self, data_root: Path) -> None:
        """Check that the store is there and whole.

        Raises:
            FileNotFoundError: it has not been built.
            ValueError: it is damaged.
        """
        self.check_store(data_root, "tadtune data import --annotations FILE --features FOLDER")
