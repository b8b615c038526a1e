"""Joining trimmed clips into untrimmed videos with exactly known boundaries.

Clips are dealt to train, select and test first, class by class, so that no clip is in two splits; videos of a split are
then drawn from its clips. Clips of the classes that were not chosen are the background.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from trainables.data.clips import Clip
from trainables.data.store import SPLITS, Segment, Video


@dataclass(frozen=True)
class StitchSettings:
    """How videos are drawn.

    Attributes:
        num_classes: action classes, those with the most clips; the others are background.
        num_videos: of train, select and test.
        shares: of each class's clips that go to train, select and test.
        actions: fewest and most actions of a video; all of one class in two videos out of three.
        clips_per_action: fewest and most clips of one class joined into one action (repetitions of an exercise).
        background: fewest and most background clips before, between and after actions.
        max_snippets: every clip is cut to this length.
        snippet_seconds: seconds that a snippet covers.
        standardise: every channel gets mean 0 and deviation 1 over the clips of the training split.
        seed: of every draw.
    """

    num_classes: int = 10
    num_videos: tuple[int, int, int] = (120, 40, 60)
    shares: tuple[float, float, float] = (0.5, 0.2, 0.3)
    actions: tuple[int, int] = (2, 4)
    clips_per_action: tuple[int, int] = (2, 3)
    background: tuple[int, int] = (3, 6)
    max_snippets: int = 16
    snippet_seconds: float = 16 / 30
    standardise: bool = True
    seed: int = 0


def stitch(clips: Sequence[Clip], settings: StitchSettings) -> tuple[list[Video], list[str], dict[str, object]]:
    """Draw the videos.

    Returns:
        Videos, names of the action classes, and what to write into the manifest.

    Raises:
        ValueError: too few classes or clips for the settings; what is missing is named.
    """
    by_class: dict[str, list[Clip]] = {}
    for clip in clips:
        by_class.setdefault(clip.label, []).append(clip)
    ranked = sorted(by_class, key=lambda name: (-len(by_class[name]), name))
    if len(ranked) <= settings.num_classes:
        raise ValueError(
            f"{len(ranked)} classes of clips: {settings.num_classes} action classes leave none for the background"
        )
    actions = sorted(ranked[: settings.num_classes])
    generator = np.random.Generator(np.random.PCG64(settings.seed))
    dealt = {name: _deal(by_class[name], settings.shares, generator) for name in sorted(by_class)}
    for name in actions:
        short = [split for split in SPLITS if not dealt[name][split]]
        if short:
            raise ValueError(f"class '{name}' has {len(by_class[name])} clips, none is left for {', '.join(short)}")
    if settings.standardise:
        dealt = _standardised(dealt)
    videos = []
    for split, count in zip(SPLITS, settings.num_videos, strict=True):
        pool = {name: dealt[name][split] for name in actions}
        rest = [clip for name in sorted(by_class) if name not in actions for clip in dealt[name][split]]
        if not rest:
            raise ValueError(f"no background clip is left for {split}; choose fewer action classes")
        for number in range(count):
            own = np.random.Generator(np.random.PCG64([settings.seed, SPLITS.index(split), number]))
            videos.append(_video(split, number, actions, pool, rest, settings, own))
    builder: dict[str, object] = {"name": "stitched", "version": 1, **asdict(settings)}
    return videos, actions, builder


def _deal(
    clips: Sequence[Clip], shares: tuple[float, float, float], generator: np.random.Generator
) -> dict[str, list[Clip]]:
    """Clips of one class to the splits, by share."""
    order = generator.permutation(len(clips))
    cuts = np.rint(np.cumsum(shares) / sum(shares) * len(clips)).astype(int)
    edges = [0, *cuts.tolist()]
    return {split: [clips[i] for i in order[edges[n] : edges[n + 1]]] for n, split in enumerate(SPLITS)}


def _standardised(dealt: dict[str, dict[str, list[Clip]]]) -> dict[str, dict[str, list[Clip]]]:
    """Clips with the channel statistics of the training split taken out; select and test lend none."""
    training = np.concatenate([clip.features for splits in dealt.values() for clip in splits["train"]])
    mean, deviation = training.mean(axis=0), training.std(axis=0) + 1e-3
    return {
        label: {
            split: [Clip(c.name, c.label, ((c.features - mean) / deviation).astype(np.float32)) for c in clips]
            for split, clips in splits.items()
        }
        for label, splits in dealt.items()
    }


def _video(
    split: str,
    number: int,
    actions: Sequence[str],
    pool: Mapping[str, Sequence[Clip]],
    rest: Sequence[Clip],
    settings: StitchSettings,
    generator: np.random.Generator,
) -> Video:
    used: list[Clip] = []
    labels: list[tuple[int, int, int]] = []  # class, first and last + 1 of the clips that make the action

    def add(candidates: Sequence[Clip], count: tuple[int, int]) -> None:
        for _ in range(int(generator.integers(count[0], count[1] + 1))):
            used.append(candidates[int(generator.integers(len(candidates)))])

    main = number % len(actions)  # every class is there in every split
    other = int(generator.integers(len(actions))) if number % 3 == 2 else main
    add(rest, settings.background)
    for turn in range(int(generator.integers(settings.actions[0], settings.actions[1] + 1))):
        label = main if turn == 0 or generator.random() < 0.5 else other
        first = len(used)
        add(pool[actions[label]], settings.clips_per_action)
        labels.append((label, first, len(used)))
        add(rest, settings.background)
    parts = [clip.features[: settings.max_snippets] for clip in used]
    edges = np.cumsum([0, *(len(part) for part in parts)])
    step = settings.snippet_seconds
    return Video(
        video_id=f"stitched_{split}_{number:04d}",
        subset="test" if split == "test" else "training",
        split=split,
        snippet_seconds=step,
        features=np.concatenate(parts),
        segments=tuple(Segment(float(edges[a] * step), float(edges[b] * step), label) for label, a, b in labels),
        clips=tuple(clip.name for clip in used),
    )
