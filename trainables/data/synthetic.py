"""Generating the synthetic data set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainables.data.schema import Segment, Video
from trainables.data.splits import stratified_subset
from trainables.data.store import write_store
from trainables.data.synthetic_config import Config
from trainables.segments import snippets_to_seconds

Array = npt.NDArray[np.float64]

#: Snippets of context on each side of an action, as a share of the action's length.
_CONTEXT_SHARE = 1.0


def build(config: Config, folder: Path) -> None:
    """Generate and store; harmless when another process does the same at the same time."""
    names = [f"class_{k}" for k in range(config.num_classes)]
    with suppress(FileExistsError):  # the other process's data are the same
        write_store(folder, make_videos(config), names, config.builder())


def make_videos(config: Config) -> Iterator[Video]:
    """Every video, from the configuration alone."""
    generator = np.random.Generator(np.random.PCG64([6, config.seed, 0, 0]))
    directions = _unit_rows(generator.normal(size=(config.num_classes, config.feat_dim)))
    contexts = _unit_rows(generator.normal(size=(config.num_classes, config.feat_dim)))
    labels = generator.permutation(np.arange(config.num_videos) % config.num_classes)
    for number, (label, split) in enumerate(zip(labels.tolist(), assign_splits(config, labels), strict=True)):
        own = np.random.Generator(np.random.PCG64([7, config.seed, number, 0]))
        # context k is that of classes k and k - 1: no context tells the class
        context = contexts[(label + int(own.integers(2))) % config.num_classes]
        yield _video(config, own, number, split, label, directions[label], context)


def assign_splits(config: Config, labels: npt.NDArray[np.int64]) -> list[str]:
    """Split of every video: test first, then select from the videos that are left for training, by class."""
    sizes = config.split_sizes()
    has_class = np.eye(config.num_classes, dtype=bool)[labels]
    test = stratified_subset(has_class, sizes["test"], seed=config.seed)
    select = np.zeros_like(test)
    select[~test] = stratified_subset(has_class[~test], sizes["select"], seed=config.seed + 1)
    return ["test" if t else "select" if s else "train" for t, s in zip(test, select, strict=True)]


def _unit_rows(values: Array) -> Array:
    result: Array = values / np.linalg.norm(values, axis=1, keepdims=True)
    return result


def _video(
    config: Config,
    generator: np.random.Generator,
    number: int,
    split: str,
    label: int,
    direction: Array,
    context: Array,
) -> Video:
    length = int(generator.integers(config.num_snippets[0], config.num_snippets[1] + 1))
    features = config.noise * generator.normal(size=(length, config.feat_dim))
    evidence = np.zeros(length)
    around = np.zeros(length)
    places = _places(config, generator, length)
    for start, end in places:
        reach = round(_CONTEXT_SHARE * (end - start))
        around[max(start - reach, 0) : end + reach] = config.context_confuser
        core = max(1, round(config.core_fraction * (end - start)))
        offset = start + int(generator.integers(0, end - start - core + 1))
        evidence[start:end] = config.flank_strength
        evidence[offset : offset + core] = config.core_strength
    features += evidence[:, None] * direction + around[:, None] * context
    times = snippets_to_seconds(places, config.snippet_seconds)
    return Video(
        video_id=f"synthetic_{number:04d}",
        subset="test" if split == "test" else "training",
        split=split,
        snippet_seconds=config.snippet_seconds,
        features=features.astype(np.float32),
        segments=tuple(Segment(float(start), float(end), label) for start, end in times),
        fps=config.fps,
    )


def _places(config: Config, generator: np.random.Generator, length: int) -> list[tuple[int, int]]:
    """Disjoint places of the actions, at least one snippet apart, in order."""
    wanted = int(generator.integers(config.actions_per_video[0], config.actions_per_video[1] + 1))
    sizes = generator.integers(config.action_snippets[0], config.action_snippets[1] + 1, size=wanted).tolist()
    while len(sizes) > 1 and sum(sizes) + len(sizes) - 1 > length:
        sizes.pop()
    spare = length - sum(sizes) - (len(sizes) - 1)
    cuts = np.sort(generator.integers(0, spare + 1, size=len(sizes)))
    places, used = [], 0
    for cut, size in zip(cuts.tolist(), sizes, strict=True):
        places.append((cut + used, cut + used + size))
        used += size + 1
    return places
