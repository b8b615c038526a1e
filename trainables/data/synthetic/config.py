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
from trainables.data.features.store_config import StoreConfig

_DIFFICULTIES = ("confusable", "telling_context", "boundary_blur", "short_actions", "imbalance", "label_noise")


@dataclass(frozen=True)
class Config(StoreConfig):
    """Generated features with planted difficulty: each action has a discriminative core and weak flanks.

    Every class has a direction in feature space. The core of an action lies far along it, the flanks less far, so that
    a classifier trained on video labels finds the core and misses the flanks - what erasing and boundary regression are
    for. The snippets around an action show a context that two classes share: it speaks for the class without being
    the action.

    Strengths are lengths in feature space; along any direction the noise has standard deviation ``noise``. Further
    difficulties are 0 = absent; data without them do not depend on whether they exist.
    """

    key: ClassVar[str] = "synthetic"

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
    confusable: float = param(
        0.0,
        "share of the direction that each class of odd number takes over from the class before it; at 1 the actions "
        "of the two look alike and only telling_context tells them apart",
        bounds=(0.0, 1.0),
    )
    telling_context: float = param(
        0.0, "evidence of a context of the class alone, around actions and not in them", bounds=(0.0, None)
    )
    boundary_blur: float = param(
        0.0, "deviation of the Gaussian that smooths an action's evidence in time, snippets", bounds=(0.0, None)
    )
    short_actions: float = param(
        0.0, "share of the videos that are full of actions of 1 or 2 snippets, 1 to 4 apart", bounds=(0.0, 1.0)
    )
    imbalance: float = param(
        0.0, "class k has a number of videos that falls as (k + 1) ** -imbalance", bounds=(0.0, None)
    )
    label_noise: float = param(
        0.0, "share of the training videos whose annotation names another class", bounds=(0.0, 1.0)
    )
    trimmed_per_class: int = param(
        20, "clips of each class that show one action and nothing else, for knowledge transfer", bounds=(0, None)
    )
    select_fraction: float = param(0.2, "share of the videos in select", bounds=(0.05, 0.45))
    test_fraction: float = param(0.3, "share of the videos in test", bounds=(0.05, 0.45))
    seed: int = param(0, "of the generator; not the trial's seed", bounds=(0, None))
    permute_labels: bool = param(False, "control: exchange the training videos' labels")
    overfit: bool = param(False, "control: select and test are the training videos; what a model can memorise")

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
        if self.imbalance and min(self.class_counts()) * min(sizes.values()) < self.num_videos:
            raise ValueError(
                f"imbalance: {self.imbalance} leaves {min(self.class_counts())} videos to the rarest class, too few to "
                "show it in every split; lower it, or raise num_videos"
            )

    def class_counts(self) -> list[int]:
        """Number of videos by class, rounded by largest remainder; ties go to the class of lower number."""
        weights = [(k + 1) ** -self.imbalance for k in range(self.num_classes)]
        exact = [self.num_videos * weight / sum(weights) for weight in weights]
        counts = [int(share) for share in exact]
        order = sorted(range(self.num_classes), key=lambda k: counts[k] - exact[k])
        for k in order[: self.num_videos - sum(counts)]:
            counts[k] += 1
        return counts

    def split_sizes(self) -> dict[str, int]:
        """Number of videos by split."""
        num_test = round(self.test_fraction * self.num_videos)
        num_select = round(self.select_fraction * self.num_videos)
        return {"train": self.num_videos - num_select - num_test, "select": num_select, "test": num_test}

    def builder(self) -> dict[str, Any]:
        """What the stored data depend on."""
        fields = dataclasses.asdict(self)
        del fields["permute_labels"], fields["overfit"]  # applied when opened
        for name in _DIFFICULTIES:  # data sets without them have the names they had before there were any
            if not fields[name]:
                del fields[name]
        if self.trimmed_per_class == type(self).trimmed_per_class:  # as for the difficulties
            del fields["trimmed_per_class"]
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
            import_module("trainables.data.synthetic.generate").build(self, folder)
        if self.trimmed_per_class and not (folder / "trimmed").exists():
            import_module("trainables.data.synthetic.generate").build_trimmed(self, folder)
        import_module("trainables.data.features.store").FeatureStore(folder)

    def digest(self, data_root: Path) -> str:
        """Digest of the contents; the clips follow from the same settings."""
        digest: str = import_module("trainables.data.features.store").read_manifest(self.folder(data_root))["digest"]
        return digest

    @property
    def shuffle_seed(self) -> int:
        """Of the exchange of labels."""
        return self.seed
