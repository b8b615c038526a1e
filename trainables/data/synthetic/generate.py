"""Generating the synthetic data set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import fields
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainables.data.features.store import write_store
from trainables.data.features.trimmed import trimmed_folder
from trainables.data.schema import SPLITS, Segment, Video
from trainables.data.splits import stratified_subset
from trainables.data.synthetic.config import Config
from trainables.data.synthetic.evidence import Action, Directions, Evidence, draw_directions, render, wrong_steps
from trainables.segments import snippets_to_seconds

Labels = npt.NDArray[np.int64]

#: Snippets of the actions in a crowded video, and of the background between them: fewest, most.
_SHORT, _SHORT_GAP = (1, 2), (1, 4)


def build(config: Config, folder: Path) -> None:
    """Generate and store; harmless when another process does the same at the same time."""
    names = [f"class_{k}" for k in range(config.num_classes)]
    with suppress(FileExistsError):  # the other process's data are the same
        write_store(folder, make_videos(config), names, config.builder())


def build_trimmed(config: Config, folder: Path) -> None:
    """Generate and store the clips of a data set that is there; harmless beside another process, as :func:`build`."""
    names = [f"class_{k}" for k in range(config.num_classes)]
    with suppress(FileExistsError):
        write_store(trimmed_folder(folder), make_trimmed(config), names, config.builder())


def make_trimmed(config: Config) -> Iterator[Video]:
    """Every clip: one action of the data set's classes from beginning to end, without anything around it."""
    model, directions, _ = _model(config)
    for number in range(config.trimmed_per_class * config.num_classes):
        generator = np.random.Generator(np.random.PCG64([9, config.seed, number, 0]))
        length = int(generator.integers(config.action_snippets[0], config.action_snippets[1] + 1))
        label = number % config.num_classes
        noise = config.noise * generator.normal(size=(length, config.feat_dim))
        action = _action(config, generator, (0, length), label, label)
        end_s = float(snippets_to_seconds(length, config.snippet_seconds))
        yield Video(
            video_id=f"clip_{number:04d}",
            subset="trimmed",
            split="train",
            snippet_seconds=config.snippet_seconds,
            features=render(noise, [action], model, directions),
            segments=(Segment(0.0, end_s, label),),
            fps=config.fps,
        )


def _model(config: Config) -> tuple[Evidence, Directions, np.random.Generator]:
    """Strengths and directions of the data set, and the generator that drew them."""
    generator = np.random.Generator(np.random.PCG64([6, config.seed, 0, 0]))
    model = Evidence(**{field.name: getattr(config, field.name) for field in fields(Evidence)})
    return model, draw_directions(model, config.num_classes, generator, config.seed), generator


def make_videos(config: Config) -> Iterator[Video]:
    """Every video, from the configuration alone."""
    model, directions, generator = _model(config)
    labels = generator.permutation(_in_turns(config.class_counts()))
    splits = assign_splits(config, labels)
    is_train = np.asarray([split == "train" for split in splits])
    shown = (labels + wrong_steps(is_train, config.label_noise, config.num_classes, config.seed)) % config.num_classes
    for number, (label, split) in enumerate(zip(labels.tolist(), splits, strict=True)):
        yield _video(config, model, directions, number, split, label, int(shown[number]))


def _in_turns(counts: Sequence[int]) -> Labels:
    """Every class as often as it is counted, in turns: 0, 1, 2, 0, 1, 0, ..."""
    labels = np.repeat(np.arange(len(counts)), counts)
    turns = np.concatenate([np.arange(count) for count in counts])
    return labels[np.lexsort((labels, turns))]


def assign_splits(config: Config, labels: Labels) -> list[str]:
    """Split of every video: test first, then select from the videos that are left for training, by class.

    Raises:
        ValueError: a split shows none of a class, which only unequal class counts can lead to.
    """
    sizes = config.split_sizes()
    has_class = np.eye(config.num_classes, dtype=bool)[labels]
    test = stratified_subset(has_class, sizes["test"], seed=config.seed)
    select = np.zeros_like(test)
    select[~test] = stratified_subset(has_class[~test], sizes["select"], seed=config.seed + 1)
    for split, mask in zip(SPLITS, (~test & ~select, select, test), strict=True):
        if config.imbalance and not has_class[mask].any(axis=0).all():
            raise ValueError(f"imbalance: {config.imbalance} leaves a class without a video in {split}; lower it")
    return ["test" if t else "select" if s else "train" for t, s in zip(test, select, strict=True)]


def _video(
    config: Config, model: Evidence, directions: Directions, number: int, split: str, label: int, shown: int
) -> Video:
    """Video of a ``label``, annotated as ``shown``."""
    generator = np.random.Generator(np.random.PCG64([7, config.seed, number, 0]))
    # context k is that of classes k and k - 1: no context tells the class
    context = (label + int(generator.integers(2))) % config.num_classes
    length = int(generator.integers(config.num_snippets[0], config.num_snippets[1] + 1))
    noise = config.noise * generator.normal(size=(length, config.feat_dim))
    places = _places(config, generator, length, number)
    actions = [_action(config, generator, place, label, context) for place in places]
    times = snippets_to_seconds(places, config.snippet_seconds)
    return Video(
        video_id=f"synthetic_{number:04d}",
        subset="test" if split == "test" else "training",
        split=split,
        snippet_seconds=config.snippet_seconds,
        features=render(noise, actions, model, directions),
        segments=tuple(Segment(float(start), float(end), shown) for start, end in times),
        fps=config.fps,
    )


def _action(config: Config, generator: np.random.Generator, place: tuple[int, int], label: int, context: int) -> Action:
    """An action at a place, with its core somewhere within."""
    start, end = place
    core = max(1, round(config.core_fraction * (end - start)))
    offset = start + int(generator.integers(0, end - start - core + 1))
    return Action(start, end, offset, offset + core, label, context)


def _places(config: Config, generator: np.random.Generator, length: int, number: int) -> list[tuple[int, int]]:
    """Disjoint places of the actions, at least one snippet apart, in order."""
    if config.short_actions:
        own = np.random.Generator(np.random.PCG64([7, config.seed, number, 1]))
        if own.random() < config.short_actions:
            return _crowd(own, length)
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


def _crowd(generator: np.random.Generator, length: int) -> list[tuple[int, int]]:
    """Short actions one after another to the end of the video."""
    places: list[tuple[int, int]] = []
    start = 0
    while start < length:
        end = min(start + int(generator.integers(_SHORT[0], _SHORT[1] + 1)), length)
        places.append((start, end))
        start = end + int(generator.integers(_SHORT_GAP[0], _SHORT_GAP[1] + 1))
    return places
