"""What the configurations of all data sets that are stores share. Imports no torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from trainables.config import param


class StoreConfig(ABC):
    """Base of a frozen dataclass whose data are a store; it has the fields ``permute_labels`` and ``overfit``."""

    key: ClassVar[str]
    supervision: ClassVar[str] = "segments"
    inputs: ClassVar[str] = "feats"

    permute_labels: bool
    overfit: bool

    @abstractmethod
    def folder(self, data_root: Path) -> Path:
        """Where the store is, or will be."""

    @property
    @abstractmethod
    def shuffle_seed(self) -> int:
        """Seed of the exchange of labels, where it is asked for."""

    def has_trimmed(self, data_root: Path) -> bool:
        """Whether there are trimmed clips of its classes."""
        there: bool = import_module("trainables.data.features.trimmed").has_trimmed(self.folder(data_root))
        return there

    def digest(self, data_root: Path) -> str:
        """Digest of the contents."""
        digest: str = import_module("trainables.data.features.trimmed").digest_with_trimmed(self.folder(data_root))
        return digest

    def remarks(self, data_root: Path) -> tuple[str, ...]:
        """What a report has to say about the data: videos that were left out."""
        store = import_module("trainables.data.features.store").FeatureStore(self.folder(data_root))
        lines: tuple[str, ...] = store.remarks()
        return lines

    def open(self, data_root: Path) -> Any:
        """Open for reading."""
        return import_module("trainables.data.features.dataset").FeatureDataset(
            self.folder(data_root),
            permute_labels_seed=self.shuffle_seed if self.permute_labels else None,
            overfit=self.overfit,
        )


@dataclass(frozen=True)
class BuiltStoreConfig(StoreConfig):
    """Base of a data set that a command builds beforehand and a study names."""

    #: what builds it, up to the place.
    command: ClassVar[str]

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
        folder = self.folder(data_root)
        if not (folder / "manifest.json").is_file():
            raise FileNotFoundError(f"no data set at {folder}; build it with `{self.command} --out {folder}`")
        import_module("trainables.data.features.store").FeatureStore(folder)
