"""Configuration of a data set of videos whose frames detectors read. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Literal

from trainables.config import param


@dataclass(frozen=True)
class Config:
    """A folder of videos with ``annotations.json``, as ``tadtune data build stitched-videos`` makes it."""

    key: ClassVar[str] = "stitched_videos"
    supervision: ClassVar[str] = "segments"
    inputs: ClassVar[str] = "frames"

    store: str = param("stitched_videos", "name of the folder below the data folder, or a path to it")
    damaged: Literal["error", "exclude"] = param(
        "error", "annotated videos that cannot be read: an error, or left out and listed in the report"
    )
    permute_labels: bool = param(False, "control: exchange the training videos' labels")
    permute_seed: int = param(0, "of that exchange", bounds=(0, None))
    overfit: bool = param(False, "control: select and test are the training videos; what a model can memorise")

    def __post_init__(self) -> None:
        if Path(self.store).name in ("", ".."):
            raise ValueError(f"store: '{self.store}' names no folder; give a name below the data folder, or a path")

    def folder(self, data_root: Path) -> Path:
        """Where the videos are."""
        return data_root / self.store

    def prepare(self, data_root: Path) -> None:
        """Check every annotated video once; later only those that have changed.

        Raises:
            FileNotFoundError: there is no such folder.
            ValueError: a video cannot be read, or the annotation is at fault.
        """
        folder = self.folder(data_root)
        way_out = f"build it with `tadtune data build stitched-videos --clips DIR --out {folder}`"
        import_module("trainables.data.frames.folder").prepare_folder(folder, self.damaged, way_out)

    def has_trimmed(self, data_root: Path) -> bool:
        """Whether there are trimmed clips of its classes."""
        folder = import_module("trainables.data.frames.folder").trimmed_folder(self.folder(data_root))
        return folder is not None

    def remarks(self, data_root: Path) -> tuple[str, ...]:
        """What a report has to say about the data: videos that were left out."""
        return tuple(line for opened in self._opened(data_root) for line in opened.remarks())

    def digest(self, data_root: Path) -> str:
        """Digest of labels, splits and videos, trimmed clips included."""
        digests = [str(opened.digest()) for opened in self._opened(data_root)]
        return digests[0] if len(digests) == 1 else sha256(" ".join(digests).encode()).hexdigest()

    def _opened(self, data_root: Path) -> list[Any]:
        """The folder, and that of the trimmed clips where there are some."""
        module, own = import_module("trainables.data.frames.folder"), self.folder(data_root)
        return [module.open_folder(f, self.damaged) for f in (own, module.trimmed_folder(own)) if f is not None]

    def open(self, data_root: Path) -> Any:
        """Open for reading; frames are decoded when they are wanted."""
        return import_module("trainables.data.frames.dataset").FrameDataset(
            self.folder(data_root),
            damaged=self.damaged,
            permute_labels_seed=self.permute_seed if self.permute_labels else None,
            overfit=self.overfit,
        )
