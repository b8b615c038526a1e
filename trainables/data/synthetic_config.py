"""Configuration of the synthetic data set."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from trainables.config import param


@dataclass(frozen=True)
class Config:
    """Generated features with planted difficulty: each action has a discriminative core and weak flanks.

    Every class has a direction in feature space. The core of an action lies far along it, the flanks less far, so that
    a classifier trained on video labels finds the core and misses the flanks - what erasing and boundary regression are
    for. The snippets around an action show a context that two classes share: it speaks for the class without being
    the action.

    Strengths are lengths in feature space; along any direction the noise has standard deviation ``noise``.
    """

    key: ClassVar[str] = "synthetic"
    supervision: ClassVar[str] = "segments"

    num_videos: int = param(60, "videos of all splits", bounds=(10, None))
    num_classes: int = param(5, "action classes", bounds=(2, None))
    feat_dim: int = param(32, "feature channels C", bounds=(4, None))
    fps: float = param(30.0, "frames per second of the videos the features stand for", bounds=(1e-3, None))
    snippet_seconds: float = param(0.5, "seconds a snippet covers", bounds=(1e-3, None))
    num_snippets: tuple[int, int] = param((60, 100), "shortest and longest video, snippets")
    actions_per_video: tuple[int, int] = param((1, 3), "fewest and most actions of a video, all of one class")
    action_snippets: tuple[int, int] = param((5, 12), "shortest and longest action, snippets")
    core_fraction: float = param(0.4, "share of an action that is its discriminative core", bounds=(0.05, 1.0))
    core_strength: float = param(11.0, "evidence in the core", bounds=(0.0, None))
    flank_strength: float = param(4.0, "evidence in the flanks", bounds=(0.0, None))
    context_confuser: float = param(1.5, "evidence of the context around actions", bounds=(0.0, None))
    noise: float = param(1.0, "standard deviation of each channel", bounds=(0.0, None))
    select_fraction: float = param(0.2, "share of the videos in select", bounds=(0.05, 0.45))
    test_fraction: float = param(0.3, "share of the videos in test", bounds=(0.05, 0.45))
    seed: int = param(0, "of the generator; not the trial's seed", bounds=(0, None))
    permute_labels: bool = param(False, "control: exchange the training videos' labels")

    def __post_init__(self) -> None:
        for name in ("num_snippets", "actions_per_video", "action_snippets"):
            pair = getattr(self, name)
            if len(pair) != 2 or not 1 <= pair[0] <= pair[1]:
                raise ValueError(f"{name}: {pair} must be two rising whole numbers from 1")
        if self.action_snippets[1] > self.num_snippets[0]:
            raise ValueError("action_snippets: the longest action does not fit into the shortest video")
        sizes = self.split_sizes()
        least = min(sizes, key=lambda split: sizes[split])
        if sizes[least] < self.num_classes:
            raise ValueError(
                f"num_videos: {self.num_videos} leave {sizes[least]} in {least}, too few to show each of "
                f"{self.num_classes} classes; raise it, or change select_fraction or test_fraction"
            )

    def split_sizes(self) -> dict[str, int]:
        """Number of videos by split."""
        num_test = round(self.test_fraction * self.num_videos)
        num_select = round(self.select_fraction * self.num_videos)
        return {"train": self.num_videos - num_select - num_test, "select": num_select, "test": num_test}

    def builder(self) -> dict[str, Any]:
        """What the stored data depend on."""
        fields = dataclasses.asdict(self)
        del fields["permute_labels"]  # applied when opened
        return {"name": self.key, "version": 1, **fields}

    def folder(self, data_root: Path) -> Path:
        """Where the data are, or will be."""
        text = json.dumps(self.builder(), sort_keys=True)
        return data_root / f"synthetic-{hashlib.sha256(text.encode()).hexdigest()[:12]}"

    def prepare(self, data_root: Path) -> None:
        """Generate the data unless they are there.

        Raises:
            ValueError: what is there is damaged.
        """
        folder = self.folder(data_root)
        if not folder.exists():
            import_module("trainables.data.synthetic").build(self, folder)
        import_module("trainables.data.store").FeatureStore(folder)

    def digest(self, data_root: Path) -> str:
        """Digest of the contents."""
        digest: str = import_module("trainables.data.store").read_manifest(self.folder(data_root))["digest"]
        return digest

    def open(self, data_root: Path) -> Any:
        """Open for reading."""
        seed = self.seed if self.permute_labels else None
        return import_module("trainables.data.dataset").FeatureDataset(self.folder(data_root), permute_labels_seed=seed)
