"""Joining trimmed clips into untrimmed videos with exactly known boundaries.

Clips are dealt to train, select and test first, class by class, so that no clip is in two splits; videos of a split are
then drawn from its clips. Clips of the classes that were not chosen are the background. Clips are never divided: every
boundary is where one clip ends and another begins.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby

import numpy as np

from trainables.data.clips import Clip, clips_digest
from trainables.data.schema import SPLITS, Segment, Video
from trainables.segments import snippets_to_seconds

_BACKGROUND = -1


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
class _Pool:
    """What the videos of one split are drawn from: clips of each action class by id, and all others."""

    actions: tuple[tuple[Clip, ...], ...]
    background: tuple[Clip, ...]

    def draw_label(self, generator: np.random.Generator) -> int:
        """A class, as often as its clips are among all: their imbalance is the videos'."""
        counts = np.asarray([len(clips) for clips in self.actions])
        return int(generator.choice(len(counts), p=counts / counts.sum()))


@dataclass(frozen=True)
class _Piece:
    """One clip within a video."""

    clip: Clip
    label: int

    def __len__(self) -> int:
        return len(self.clip)


def stitch(clips: Sequence[Clip], settings: StitchSettings) -> tuple[list[Video], list[str], dict[str, object]]:
    """Draw the videos.

    Args:
        clips: from :func:`trainables.data.clips.read_clips`.
        settings: see there.

    Returns:
        Videos, names of the action classes, and what to write into the manifest.

    Raises:
        ValueError: too few classes, clips or snippets for the settings; what is missing is named.
    """
    pools, names = _pools(clips, settings)
    builder = {"name": "stitched", "version": 1, **asdict(settings), "clips_digest": clips_digest(clips)}
    return _videos(pools, settings), names, builder


def trimmed_clips(clips: Sequence[Clip], settings: StitchSettings) -> Iterator[Video]:
    """The training split's clips of the action classes, each a video that its action fills.

    Args:
        clips: as for :func:`stitch`.
        settings: as for :func:`stitch`.

    Raises:
        ValueError: as :func:`stitch`.
    """
    pool = _pools(clips, settings)[0]["train"]
    for label, own in enumerate(pool.actions):
        for clip in own:
            yield _video(clip.name, "train", [_Piece(clip, label)], settings.snippet_seconds)


def _pools(clips: Sequence[Clip], settings: StitchSettings) -> tuple[dict[str, _Pool], list[str]]:
    """What each split's videos are drawn from, and the names of the action classes."""
    by_class: dict[str, list[Clip]] = {}
    for clip in sorted(clips, key=lambda clip: clip.name):
        cut = Clip(clip.name, clip.label, clip.features[: settings.max_snippets])
        by_class.setdefault(clip.label, []).append(cut)
    names = choose_classes({label: len(own) for label, own in by_class.items()}, settings)
    pools = _deal(by_class, names, settings)
    for split, pool in pools.items():
        _check_room(pool, names, split, settings)
    if settings.standardise:
        pools = _standardised(pools)
    return pools, names


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


def _deal(by_class: Mapping[str, Sequence[Clip]], names: Sequence[str], settings: StitchSettings) -> dict[str, _Pool]:
    """Clips of each class to the splits by share: the next one always goes where most are lacking."""
    generator = np.random.Generator(np.random.PCG64([4, settings.seed, 0, 0]))
    shares = np.asarray(settings.shares) / sum(settings.shares)
    dealt: dict[str, dict[str, list[Clip]]] = {split: {label: [] for label in by_class} for split in SPLITS}
    for label in sorted(by_class):
        lack = shares * len(by_class[label])
        for number in generator.permutation(len(by_class[label])):
            side = int(np.argmax(lack))
            lack[side] -= 1
            dealt[SPLITS[side]][label].append(by_class[label][number])
    return {
        split: _Pool(
            actions=tuple(tuple(own[name]) for name in names),
            background=tuple(clip for label in sorted(own) if label not in names for clip in own[label]),
        )
        for split, own in dealt.items()
    }


def _check_room(pool: _Pool, names: Sequence[str], split: str, settings: StitchSettings) -> None:
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


def _standardised(pools: Mapping[str, _Pool]) -> dict[str, _Pool]:
    """Clips with the channel statistics of the training split taken out; select and test lend none."""
    train = pools["train"]
    values = np.concatenate([clip.features for own in (*train.actions, train.background) for clip in own])
    mean, deviation = values.mean(axis=0), values.std(axis=0) + 1e-3

    def change(clips: Sequence[Clip]) -> tuple[Clip, ...]:
        return tuple(Clip(c.name, c.label, ((c.features - mean) / deviation).astype(np.float32)) for c in clips)

    return {split: _Pool(tuple(map(change, p.actions)), change(p.background)) for split, p in pools.items()}


def _videos(pools: Mapping[str, _Pool], settings: StitchSettings) -> list[Video]:
    videos = []
    for number_of_split, (split, count) in enumerate(zip(SPLITS, settings.num_videos, strict=True)):
        pool = pools[split]
        for number in range(count):
            generator = np.random.Generator(np.random.PCG64([5, settings.seed, number_of_split, number]))
            # every class is there once in every split that has room; further videos follow the clips' imbalance
            main = number if number < len(pool.actions) else pool.draw_label(generator)
            pieces = _draw_pieces(pool, main, settings, generator)
            videos.append(_video(f"stitched_{split}_{number:04d}", split, pieces, settings.snippet_seconds))
    return videos


def _draw_pieces(pool: _Pool, main: int, settings: StitchSettings, generator: np.random.Generator) -> list[_Piece]:
    """Background, action, background, action, ... as far as there is room, and background up to the drawn length."""
    target = int(generator.integers(settings.num_snippets[0], settings.num_snippets[1] - settings.max_snippets + 1))
    labels = [main, pool.draw_label(generator) if generator.random() < settings.second_class else main]
    action = _action(pool, main, settings, generator)
    room = target - _length(action)
    pieces: list[_Piece] = []
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


def _length(pieces: Sequence[_Piece]) -> int:
    return sum(map(len, pieces))


def _draw(pair: tuple[int, int], generator: np.random.Generator) -> int:
    return int(generator.integers(pair[0], pair[1] + 1))


def _background(pool: _Pool, count: tuple[int, int], generator: np.random.Generator) -> list[_Piece]:
    numbers = generator.integers(len(pool.background), size=_draw(count, generator))
    return [_Piece(pool.background[number], _BACKGROUND) for number in numbers]


def _action(pool: _Pool, label: int, settings: StitchSettings, generator: np.random.Generator) -> list[_Piece]:
    """Different clips of one class, as far as there are enough, with gaps between them."""
    clips = pool.actions[label]
    pieces: list[_Piece] = []
    for number in generator.permutation(len(clips))[: _draw(settings.clips_per_action, generator)]:
        if pieces:
            pieces += _background(pool, settings.gap, generator)
        pieces.append(_Piece(clips[number], label))
    return pieces


def _video(video_id: str, split: str, pieces: Sequence[_Piece], snippet_seconds: float) -> Video:
    segments, end = [], 0
    for label, run in groupby(pieces, lambda piece: piece.label):
        start, end = end, end + _length(list(run))
        if label != _BACKGROUND:
            times = snippets_to_seconds([start, end], snippet_seconds)
            segments.append(Segment(float(times[0]), float(times[1]), label))
    return Video(
        video_id=video_id,
        subset="test" if split == "test" else "training",
        split=split,
        snippet_seconds=snippet_seconds,
        features=np.concatenate([piece.clip.features for piece in pieces]),
        segments=tuple(segments),
        clips=tuple(piece.clip.name for piece in pieces),
    )
