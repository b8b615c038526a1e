"""Configuration of the stitched data set: real trimmed clips joined into untrimmed videos."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from trainables.config import param
from trainables.data.store_config import StoreConfig


@dataclass(frozen=True)
class Config(StoreConfig):
    """A store that ``tadtune data build stitched`` has made."""

    key: ClassVar[str] = "stitched"

    store: str = param("gym_stitched", "name of the store below the data folder")
    permute_labels: bool = param(False, "control: exchange the training videos' labels")
    permute_seed: int = param(0, "of that exchange", bounds=(0, None))
    overfit: bool = param(False, "control: select and test are the training videos; what a model can memorise")

    def __post_init__(self) -> None:
        if self.store in ("", ".", "..") or Path(self.store).name != self.store:
            raise ValueError(f"store: '{self.store}' must be a plain folder name below the data folder")

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
        self.check_store(data_root, "tadtune data build stitched --clips DIR_OR_TAR")
