"""Cutting videos into train, select and test: by video, stratified by class, seeded; the result is a value to store."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from trainables.data.annotations import AnnotatedVideo, AnnotationSet
from trainables.data.schema import SPLITS

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Splits:
    """Which video is in which split, with what it was cut with.

    Attributes:
        train: ids to train on.
        select: ids to choose hyper-parameters on, cut from those to train on; empty for a final training on all.
        test: ids scored once, at the end.
        seed: of the cut.

    Raises:
        ValueError: a video is there twice.
    """

    train: tuple[str, ...]
    select: tuple[str, ...]
    test: tuple[str, ...]
    seed: int

    def __post_init__(self) -> None:
        for split in SPLITS:
            ids = getattr(self, split)
            if len(set(ids)) < len(ids):
                raise ValueError(f"{split}: video '{next(v for v in ids if ids.count(v) > 1)}' is there twice")
        for a, b in combinations(SPLITS, 2):
            both = set(getattr(self, a)) & set(getattr(self, b))
            if both:
                raise ValueError(f"video '{min(both)}' is in {a} and in {b}")

    @property
    def digest(self) -> str:
        """sha256 of ids and seed: two experiments with one digest were trained and scored on the same videos."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def by_video(self) -> dict[str, str]:
        """Video id -> split."""
        return {video_id: split for split in SPLITS for video_id in getattr(self, split)}

    def to_manifest(self) -> dict[str, Any]:
        """Ids, seed and digest, to be stored with the data set as JSON."""
        return {**asdict(self), "digest": self.digest}

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> Splits:
        """The value that was stored.

        Raises:
            ValueError: a key is missing, or the ids are not those that the digest was made of.
        """
        missing = {*SPLITS, "seed", "digest"} - set(manifest)
        if missing:
            raise ValueError(f"splits: '{min(missing)}' is missing; cut them anew")
        train, select, test = (tuple(manifest[split]) for split in SPLITS)
        splits = cls(train, select, test, manifest["seed"])
        if splits.digest != manifest["digest"]:
            raise ValueError(
                f"splits: the digest is {manifest['digest']}, that of the ids {splits.digest}; cut them anew"
            )
        return splits


def cut_subsets(
    annotations: AnnotationSet, *, train: Sequence[str], test: Sequence[str], num_select: int, seed: int = 0
) -> Splits:
    """Splits along the data set's own subsets, ``select`` cut from the videos to train on.

    Ids are sorted first, so that all published forms of a data set are cut alike.

    Args:
        annotations: of all subsets; ambiguous segments show no class.
        train: subsets to train on; videos of subsets that are not named are in no split.
        test: subsets to score.
        num_select: videos in ``select``; 0 = train on all.
        seed: of the cut.

    Raises:
        ValueError: a subset is not there, or in both; or there are too few videos.
    """
    both = set(train) & set(test)
    if both:
        raise ValueError(f"subset '{min(both)}' is to be trained on and scored; choose one")
    own, scored = _of_subsets(annotations, train), _of_subsets(annotations, test)
    return _cut(own, scored, len(annotations.class_names), num_select, seed)


def cut_videos(annotations: AnnotationSet, *, num_select: int, num_test: int, seed: int = 0) -> Splits:
    """Splits of a data set without subsets of its own: ``test`` is cut first, then ``select`` from the others.

    Ids are sorted first; subsets are not looked at.

    Args:
        annotations: ambiguous segments show no class.
        num_select: videos in ``select``; 0 = train on all that are not in ``test``.
        num_test: videos in ``test``.
        seed: of both cuts.

    Raises:
        ValueError: there are too few videos.
    """
    videos = _sorted(annotations.videos)
    num_classes = len(annotations.class_names)
    is_test = stratified_subset(class_table(videos, num_classes), num_test, seed=seed)
    own, scored = _divided(videos, is_test)
    return _cut(own, scored, num_classes, num_select, seed)


def cut_thumos14(annotations: AnnotationSet, *, num_select: int = 20, seed: int = 0) -> Splits:
    """THUMOS'14: train and select are cut from the 200 annotated validation videos, the test videos are scored.

    Source: Li and Yao, "Three Birds with One Stone: Multi-Task Temporal Action Detection via Recycling Temporal
    Annotations", section 4.1: 180 and 20 of them while tuning. ``num_select=0`` is the final training on all 200.

    Args:
        annotations: in any form that has subsets, whatever it calls them ("train" is what G-TAD's calls validation).
        num_select: videos in ``select``.
        seed: of the cut.

    Raises:
        ValueError: a subset is missing, or has another number of videos than published forms have.
    """
    names = {"train": ("validation", "train", "training"), "test": ("test", "testing")}
    chosen = {side: [s for s in annotations.subsets if s.lower() in own] for side, own in names.items()}
    counts = {"train": {200}, "test": {210, 211, 212, 213}}
    for side, subsets in chosen.items():
        number = sum(video.subset in subsets for video in annotations.videos)
        if number not in counts[side]:
            raise ValueError(
                f"THUMOS'14 has {' or '.join(map(str, sorted(counts[side])))} annotated videos to {side} with, in a "
                f"subset called {' or '.join(names[side])}; here are {number}, of {', '.join(annotations.subsets)}"
            )
    return cut_subsets(annotations, train=chosen["train"], test=chosen["test"], num_select=num_select, seed=seed)


def cut(
    annotations: AnnotationSet,
    *,
    train: Sequence[str] = (),
    test: Sequence[str] = (),
    num_select: int | None = None,
    num_test: int | None = None,
    seed: int = 0,
) -> Splits:
    """Splits by whatever is given: subsets by name, a number of test videos, or THUMOS'14's own rule.

    Args:
        annotations: of all subsets.
        train: subsets to train on, see :func:`cut_subsets`.
        test: subsets to score; none where everything is to be trained on.
        num_select: videos in ``select``; None = 0, or 20 for THUMOS'14.
        num_test: videos in ``test``, cut from all, see :func:`cut_videos`.
        seed: of the cuts.

    Raises:
        ValueError: the rules contradict each other, or none is given and the data set is not THUMOS'14.
    """
    if (train or test) and num_test is not None:
        raise ValueError("splits: subsets by name and a number of test videos exclude each other; give one")
    if num_test is not None:
        return cut_videos(annotations, num_select=num_select or 0, num_test=num_test, seed=seed)
    if train or test:
        return cut_subsets(annotations, train=train, test=test, num_select=num_select or 0, seed=seed)
    if len(annotations.class_names) == 20 and "CliffDiving" in annotations.class_names:
        return cut_thumos14(annotations, num_select=20 if num_select is None else num_select, seed=seed)
    raise ValueError(
        f"splits: name the subsets to train on and to score (there are {', '.join(annotations.subsets)}), or give a "
        "number of test videos"
    )


def class_table(videos: Sequence[AnnotatedVideo], num_classes: int) -> Mask:
    """(V, K) whether a video shows a class; ambiguous segments show none."""
    has_class = np.zeros((len(videos), num_classes), bool)
    for row, video in zip(has_class, videos, strict=True):
        row[[segment.label for segment in video.segments if not segment.ambiguous]] = True
    return has_class


def _of_subsets(annotations: AnnotationSet, subsets: Sequence[str]) -> list[AnnotatedVideo]:
    return _sorted([video for subset in subsets for video in annotations.of_subset(subset).videos])


def _sorted(videos: Sequence[AnnotatedVideo]) -> list[AnnotatedVideo]:
    return sorted(videos, key=lambda video: video.video_id)


def _divided(videos: Sequence[AnnotatedVideo], chosen: Mask) -> tuple[list[AnnotatedVideo], list[AnnotatedVideo]]:
    """Videos that are not chosen, and those that are."""
    pairs = list(zip(videos, chosen.tolist(), strict=True))
    return [video for video, is_chosen in pairs if not is_chosen], [video for video, is_chosen in pairs if is_chosen]


def _cut(
    own: Sequence[AnnotatedVideo], scored: Sequence[AnnotatedVideo], num_classes: int, num_select: int, seed: int
) -> Splits:
    parts = _divided(own, stratified_subset(class_table(own, num_classes), num_select, seed=seed + 1))
    train, select, test = (tuple(video.video_id for video in part) for part in (*parts, scored))
    return Splits(train, select, test, seed)


def stratified_subset(has_class: Mask, size: int, *, seed: int) -> Mask:
    """Choose videos so that every class has its share of them.

    Classes are served in turn, the one with the fewest videos left first; each of its videos goes to the side that
    still lacks more of that class. Videos without a class fill up the rest.

    Source: Sechidis et al. 2011, "On the stratification of multi-label data", iterative stratification with two
    subsets. Differs: the sizes are exact, because what one class took too much is carried over to the next; and where
    videos show several classes, pairs are exchanged afterwards as long as that brings the classes nearer their shares.

    Args:
        has_class: (V, K) whether a video shows a class; several or none may be true.
        size: number of videos to choose.
        seed: of the order among equals.

    Returns:
        (V,) True = chosen, exactly ``size`` of them; where no video has two classes, each class is within one video
        of its share.

    Raises:
        ValueError: ``size`` is not between 0 and V.
    """
    num_videos = len(has_class)
    if not 0 <= size <= num_videos:
        raise ValueError(f"size: {size} of {num_videos} videos cannot be chosen")
    order = np.random.Generator(np.random.PCG64([3, seed, 0, 0])).permutation(num_videos)
    free = np.ones(num_videos, bool)
    chosen = np.zeros(num_videos, bool)
    share = size / max(num_videos, 1)
    # (side, class) how many more videos of a class a side lacks; side 1 is the chosen one
    wanted = np.outer([1.0 - share, share], has_class.sum(axis=0))
    room = np.array([num_videos - size, size])
    while free.any():
        left = has_class[free].sum(axis=0)
        members, lack = free, room.astype(np.float64)
        if left.any():
            label = int(np.argmin(np.where(left > 0, left, num_videos + 1)))
            members = free & has_class[:, label]
            carried = room[1] - share * free.sum()
            lack = wanted[:, label] + np.array([-carried, carried])
        for video in order[members[order]]:
            side = int(lack[1] > lack[0])
            if room[side] == 0:
                side = 1 - side
            room[side] -= 1
            lack[side] -= 1.0
            wanted[side] -= has_class[video]
            free[video], chosen[video] = False, side == 1
    if 0 < size < num_videos and has_class.sum(axis=1).max() > 1:
        return _exchanged(has_class, chosen)
    return chosen


def _exchanged(has_class: Mask, chosen: Mask) -> Mask:
    """Exchange the pair that helps most until none does: lowers the sum of (count - share)^2 / share of the classes."""
    counts = has_class.sum(axis=0)
    shown = has_class[:, counts > 0].astype(np.float64)
    share = chosen.mean() * counts[counts > 0]
    inside, outside = np.flatnonzero(chosen), np.flatnonzero(~chosen)
    excess = shown[inside].sum(axis=0) - share
    squares = (shown**2 / share).sum(axis=1)
    products = (shown[inside] / share) @ shown[outside].T
    while True:
        slope = 2.0 * shown @ (excess / share)
        change = (squares - slope)[inside, None] + (squares + slope)[outside] - 2.0 * products
        i, j = np.unravel_index(np.argmin(change), change.shape)
        if change[i, j] > -1e-9:
            break
        excess += shown[outside[j]] - shown[inside[i]]
        inside[i], outside[j] = outside[j], inside[i]
        products[i] = shown[outside] @ (shown[inside[i]] / share)
        products[:, j] = shown[inside] @ (shown[outside[j]] / share)
    result = np.zeros_like(chosen)
    result[inside] = True
    return result
