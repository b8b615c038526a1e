"""Planning untrimmed videos made of trimmed clips: which clips, in what order, in which split.

Clips are dealt to train, select and test first, class by class, so that no clip is in two splits; videos of a split are
then drawn from its clips. Clips of the classes that were not chosen are the background. Clips are never divided: every
boundary is where one clip ends and another begins. What a clip holds - features or frames - does not matter here.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Generic, Protocol, TypeVar

import numpy as np

from trainables.data.schema import SPLITS, Segment
from trainables.segments import snippets_to_seconds

BACKGROUND = -1


class TrimmedClip(Protocol):
    """Something of one class and of a length."""

    @property
    def name(self) -> str:
        """Unique."""
        ...

    @property
    def label(self) -> str:
        """Name of its class."""
        ...

    def __len__(self) -> int:
        """Snippets."""
        ...


C = TypeVar("C", bound=TrimmedClip)


@dataclass(frozen=True)
class StitchSettings:
    """How videos are drawn; a pair is fewest and most.

    Attributes:
        class_names: the action classes; empty = the ``num_classes`` with the most clips.
        num_classes: see above.
        min_clips: clips that an action class must have.
        num_videos: of train, select and test.
        shares: of each class's clips that go to train, select and test.
        num_snippets: shortest and longest video.
        clips_per_action: clips of one class joined into one action (repetitions of an exercise).
        background: background clips before, between and after actions.
        gap: background clips between the clips of an action; where there is none they make one segment.
        second_class: share of the videos whose later actions are of two classes.
        max_snippets: every clip is cut to this length.
        snippet_seconds: seconds that a snippet covers.
        standardise: every channel gets mean 0 and deviation 1 over the clips of the training split.
        seed: of every draw.
    """

    class_names: tuple[str, ...] = ()
    num_classes: int = 10
    min_clips: int = 1
    num_videos: tuple[int, int, int] = (120, 40, 60)
    shares: tuple[float, float, float] = (0.5, 0.2, 0.3)
    num_snippets: tuple[int, int] = (60, 150)
    clips_per_action: tuple[int, int] = (2, 3)
    background: tuple[int, int] = (3, 6)
    gap: tuple[int, int] = (0, 0)
    second_class: float = 1 / 3
    max_snippets: int = 16
    snippet_seconds: float = 16 / 30
    standardise: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in {"num_snippets": 1, "clips_per_action": 1, "background": 1, "gap": 0}.items():
            low, high = getattr(self, name)
            if not least <= low <= high:
                raise ValueError(f"{name}: ({low}, {high}) must be two rising whole numbers from {least}")
        if self.num_snippets[1] - self.num_snippets[0] < self.max_snippets:
            raise ValueError(
                f"num_snippets: {self.num_snippets} must differ by max_snippets = {self.max_snippets} or more"
            )
        if min(self.shares) <= 0:
            raise ValueError(f"shares: {self.shares} must be positive")
        if not 0 <= self.second_class <= 1:
            raise ValueError(f"second_class: {self.second_class} must be from 0 to 1")


@dataclass(frozen=True)
class Pool(Generic[C]):
    """What the videos of one split are drawn from: clips of each action class by id, and all others."""

    actions: tuple[tuple[C, ...], ...]
    background: tuple[C, ...]

    def draw_label(self, generator: np.random.Generator) -> int:
        """A class, as often as its clips are among all: their imbalance is the videos'."""
        counts = np.asarray([len(clips) for clips in self.actions])
        return int(generator.choice(len(counts), p=counts / counts.sum()))


@dataclass(frozen=True)
class Piece(Generic[C]):
    """One clip within a video; ``label`` is a class id or ``BACKGROUND``."""

    clip: C
    label: int

    def __len__(self) -> int:
        return len(self.clip)


@dataclass(frozen=True)
class PlannedVideo(Generic[C]):
    """One video, clip by clip.

    Attributes:
        video_id: unique.
        split: train, select or test.
        pieces: clips in order.
    """

    video_id: str
    split: str
    pieces: tuple[Piece[C], ...]

    @property
    def subset(self) -> str:
        """As data sets call it: select is cut from training."""
        return "test" if self.split == "test" else "training"

    @property
    def num_snippets(self) -> int:
        """Length."""
        return _length(self.pieces)

    def spans(self) -> list[tuple[int, int, int]]:
        """(start, end, class id) of every action, in snippets; neighbouring clips of one class are one action."""
        spans, end = [], 0
        for label, run in groupby(self.pieces, lambda piece: piece.label):
            start, end = end, end + _length(list(run))
            if label != BACKGROUND:
                spans.append((start, end, label))
        return spans

    def segments(self, snippet_seconds: float) -> tuple[Segment, ...]:
        """The actions in seconds."""
        segments = []
        for start, end, label in self.spans():
            times = snippets_to_seconds([start, end], snippet_seconds)
            segments.append(Segment(float(times[0]), float(times[1]), label))
        return tuple(segments)


def deal_clips(clips: Sequence[C], settings: StitchSettings) -> tuple[dict[str, Pool[C]], list[str]]:
    """Choose the action classes and share the clips out to the splits.

    Args:
        clips: none longer than ``settings.max_snippets``.
        settings: see there.

    Returns:
        Split -> its clips, and the names of the action classes.

    Raises:
        ValueError: too few classes, clips or snippets for the settings; what is missing is named.
    """
    by_class: dict[str, list[C]] = {}
    for clip in sorted(clips, key=lambda clip: clip.name):
        by_class.setdefault(clip.label, []).append(clip)
    names = choose_classes({label: len(own) for label, own in by_class.items()}, settings)
    pools = _deal(by_class, names, settings)
    for split, pool in pools.items():
        _check_room(pool, names, split, settings)
    return pools, names


def plan_videos(pools: Mapping[str, Pool[C]], settings: StitchSettings) -> list[PlannedVideo[C]]:
    """Draw the videos of all splits; each depends on the seed, its split and its number only."""
    videos = []
    for number_of_split, (split, count) in enumerate(zip(SPLITS, settings.num_videos, strict=True)):
        pool = pools[split]
        for number in range(count):
            generator = np.random.Generator(np.random.PCG64([5, settings.seed, number_of_split, number]))
            # every class is there once in every split that has room; further videos follow the clips' imbalance
            main = number if number < len(pool.actions) else pool.draw_label(generator)
            pieces = _draw_pieces(pool, main, settings, generator)
            videos.append(PlannedVideo(f"stitched_{split}_{number:04d}", split, tuple(pieces)))
    return videos


def choose_classes(counts: Mapping[str, int], settings: StitchSettings) -> list[str]:
    """Action classes, sorted by name.

    Args:
        counts: number of clips by class.
        settings: ``class_names``, ``num_classes`` and ``min_clips`` decide.

    Raises:
        ValueError: a class is not there or has too few clips, or none is left for the background.
    """
    for name in settings.class_names:
        if name not in counts:
            near = difflib.get_close_matches(name, counts, n=1)
            raise ValueError(f"no clip is of class '{name}'" + (f"; did you mean '{near[0]}'?" if near else ""))
    ranked = sorted(counts, key=lambda name: (-counts[name], name))
    chosen = sorted(set(settings.class_names) or ranked[: settings.num_classes])
    if len(chosen) == len(counts):
        raise ValueError(f"{len(counts)} classes of clips: {len(chosen)} action classes leave none for the background")
    few = [f"'{name}' ({counts[name]})" for name in chosen if counts[name] < settings.min_clips]
    if few:
        raise ValueError(f"min_clips: fewer than {settings.min_clips} clips of {', '.join(few)}; choose fewer classes")
    return chosen


def _deal(by_class: Mapping[str, Sequence[C]], names: Sequence[str], settings: StitchSettings) -> dict[str, Pool[C]]:
    """Clips of each class to the splits by share: the next one always goes where most are lacking."""
    generator = np.random.Generator(np.random.PCG64([4, settings.seed, 0, 0]))
    shares = np.asarray(settings.shares) / sum(settings.shares)
    dealt: dict[str, dict[str, list[C]]] = {split: {label: [] for label in by_class} for split in SPLITS}
    for label in sorted(by_class):
        lack = shares * len(by_class[label])
        for number in generator.permutation(len(by_class[label])):
            side = int(np.argmax(lack))
            lack[side] -= 1
            dealt[SPLITS[side]][label].append(by_class[label][number])
    return {
        split: Pool(
            actions=tuple(tuple(own[name]) for name in names),
            background=tuple(clip for label in sorted(own) if label not in names for clip in own[label]),
        )
        for split, own in dealt.items()
    }


def _check_room(pool: Pool[C], names: Sequence[str], split: str, settings: StitchSettings) -> None:
    if not pool.background:
        raise ValueError(f"background clips: none is left for {split}; choose fewer action classes")
    most = settings.clips_per_action[1]
    for name, clips in zip(names, pool.actions, strict=True):
        if not clips:
            raise ValueError(f"class '{name}' has too few clips, none is left for {split}; raise min_clips")
        longest = sum(sorted(map(len, clips))[-most:]) + (most - 1) * settings.gap[1] * settings.max_snippets
        if longest > settings.num_snippets[0]:
            raise ValueError(
                f"num_snippets: {settings.num_snippets[0]} may have no room for an action of '{name}' in {split}, "
                f"up to {longest}; raise it, or lower clips_per_action, gap or max_snippets"
            )


def _draw_pieces(pool: Pool[C], main: int, settings: StitchSettings, generator: np.random.Generator) -> list[Piece[C]]:
    """Background, action, background, action, ... as far as there is room, and background up to the drawn length."""
    target = int(generator.integers(settings.num_snippets[0], settings.num_snippets[1] - settings.max_snippets + 1))
    labels = [main, pool.draw_label(generator) if generator.random() < settings.second_class else main]
    action = _action(pool, main, settings, generator)
    room = target - _length(action)
    pieces: list[Piece[C]] = []
    for piece in _background(pool, settings.background, generator):
        pieces += [piece] if _length(pieces) + len(piece) <= room else []
    pieces += action
    while True:
        more = _background(pool, settings.background, generator)
        more += _action(pool, labels[int(generator.integers(2))], settings, generator)
        if _length(pieces) + _length(more) > target:
            break
        pieces += more
    while _length(pieces) < target:
        pieces += _background(pool, (1, 1), generator)
    return pieces


def _length(pieces: Sequence[Piece[C]]) -> int:
    return sum(map(len, pieces))


def _draw(pair: tuple[int, int], generator: np.random.Generator) -> int:
    return int(generator.integers(pair[0], pair[1] + 1))


def _background(pool: Pool[C], count: tuple[int, int], generator: np.random.Generator) -> list[Piece[C]]:
    numbers = generator.integers(len(pool.background), size=_draw(count, generator))
    return [Piece(pool.background[number], BACKGROUND) for number in numbers]


def _action(pool: Pool[C], label: int, settings: StitchSettings, generator: np.random.Generator) -> list[Piece[C]]:
    """Different clips of one class, as far as there are enough, with gaps between them."""
    clips = pool.actions[label]
    pieces: list[Piece[C]] = []
    for number in generator.permutation(len(clips))[: _draw(settings.clips_per_action, generator)]:
        if pieces:
            pieces += _background(pool, settings.gap, generator)
        pieces.append(Piece(clips[number], label))
    return pieces
