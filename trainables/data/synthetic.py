"""Generating the synthetic data set."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainables.data.store import Segment, Video, write_store
from trainables.data.synthetic_config import Config

Array = npt.NDArray[np.float64]


def build(config: Config, folder: Path) -> None:
    """Generate and store; harmless when another process does the same at the same time."""
    names = [f"class_{k}" for k in range(config.num_classes)]
    with suppress(FileExistsError):  # the other process's data are the same
        write_store(folder, make_videos(config), names, config.builder())


def make_videos(config: Config) -> list[Video]:
    """Every video, from the configuration alone."""
    generator = np.random.Generator(np.random.PCG64(config.seed))
    directions = _unit_rows(generator.normal(size=(config.num_classes, config.feat_dim)))
    scenes = _unit_rows(generator.normal(size=((config.num_classes + 1) // 2, config.feat_dim)))
    num_test = round(config.test_fraction * config.num_videos)
    num_select = round(config.select_fraction * config.num_videos)
    splits = ["test"] * num_test + ["select"] * num_select
    splits += ["train"] * (config.num_videos - len(splits))
    videos = []
    for number, split in enumerate(splits):
        own = np.random.Generator(np.random.PCG64([config.seed, number]))
        first = number % config.num_classes  # every class turns up in every split
        videos.append(_video(config, own, number, split, first, directions, scenes))
    return videos


def _unit_rows(values: Array) -> Array:
    result: Array = values / np.linalg.norm(values, axis=1, keepdims=True)
    return result


def _video(
    config: Config,
    generator: np.random.Generator,
    number: int,
    split: str,
    label: int,
    directions: Array,
    scenes: Array,
) -> Video:
    length = int(generator.integers(config.num_snippets[0], config.num_snippets[1] + 1))
    features = config.noise * generator.normal(size=(length, config.feat_dim))
    scale = np.sqrt(config.feat_dim) * config.noise if config.noise else 1.0
    features += config.context_strength * scale * 0.5 * scenes[label // 2]
    segments = []
    for begin, end in _places(config, generator, length):
        evidence = config.flank_strength * np.ones(end - begin)
        core = max(1, round(config.core_fraction * (end - begin)))
        offset = int(generator.integers(0, end - begin - core + 1))
        evidence[offset : offset + core] = config.core_strength
        features[begin:end] += evidence[:, None] * scale * 0.5 * directions[label]
        segments.append(Segment(begin * config.snippet_seconds, end * config.snippet_seconds, label))
    subset = "test" if split == "test" else "training"
    name = f"synthetic_{number:04d}"
    return Video(name, subset, split, config.snippet_seconds, features.astype(np.float32), tuple(segments))


def _places(config: Config, generator: np.random.Generator, length: int) -> list[tuple[int, int]]:
    """Disjoint places of the actions, at least one snippet apart, in order."""
    wanted = int(generator.integers(config.actions_per_video[0], config.actions_per_video[1] + 1))
    sizes = generator.integers(config.action_snippets[0], config.action_snippets[1] + 1, size=wanted).tolist()
    while len(sizes) > 1 and sum(sizes) + len(sizes) > length:
        sizes.pop()
    gaps = length - sum(sizes) - (len(sizes) - 1)
    cuts = np.sort(generator.integers(0, gaps + 1, size=len(sizes)))
    places, used = [], 0
    for cut, size in zip(cuts.tolist(), sizes, strict=True):
        places.append((cut + used, cut + used + size))
        used += size + 1
    return places
