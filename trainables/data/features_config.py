"""Configuration of a data set of imported features."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from trainables.config import param


@dataclass(frozen=True)
class Config:
    """A store that ``tadtune data import`` has made."""

    key: ClassVar[str] = "features"
    supervision: ClassVar[str] = "segments"

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

    def prepare(self, data_root: Path) -> None:
        """Check that the store is there and whole.

        Raises:
            FileNotFoundError: it has not been built.
            ValueError: it is damaged.
        """
        folder = self.folder(data_root)
        if not (folder / "manifest.json").is_file():
            raise FileNotFoundError(
                f"no data set at {folder}; build it with "
                f"`tadtune data import --annotations FILE --features FOLDER --out {folder}`"
            )
        import_module("trainables.data.store").FeatureStore(folder)

    def has_trimmed(self, data_root: Path) -> bool:
        """Whether there are trimmed clips of its classes."""
        there: bool = import_module("trainables.data.trimmed").has_trimmed(self.folder(data_root))
        return there

    def digest(self, data_root: Path) -> str:
        """Digest of the contents."""
        digest: str = import_module("trainables.data.trimmed").digest_with_trimmed(self.folder(data_root))
        return digest

    def open(self, data_root: Path) -> Any:
        """Open for reading."""
        seed = self.permute_seed if self.permute_labels else None
        return import_module("trainables.data.dataset").FeatureDataset(
            self.folder(data_root), permute_labels_seed=seed, overfit=self.overfit
        )
