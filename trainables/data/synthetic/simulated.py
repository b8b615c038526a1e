"""Real timelines with simulated features: an annotation's videos, lengths, classes and segments, made visible.

What a study on such a store measures is the detector on the real temporal statistics (lengths, gaps, overlaps, classes
that come together), with evidence whose difficulty is known. It is never a result on the real data set.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from trainables.data.annotations import AnnotatedVideo, AnnotationSet
from trainables.data.features.store import FeatureStore, write_store
from trainables.data.schema import Segment, Video
from trainables.data.splits import Splits
from trainables.data.synthetic.evidence import Action, Directions, Evidence, draw_directions, render, wrong_steps
from trainables.segments import seconds_to_snippets

#: A video this much longer than a whole number of snippets is that long by rounding.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Simulation:
    """How features are made for given timelines.

    Attributes:
        evidence: strengths and difficulties.
        snippet_seconds: seconds that one snippet covers.
        label_noise: share of the training videos whose labels are all moved by some classes.
        seed: of every draw.

    Raises:
        ValueError: a length or share out of its bounds.
    """

    evidence: Evidence
    snippet_seconds: float
    label_noise: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.snippet_seconds < math.inf:
            raise ValueError(f"snippet_seconds: {self.snippet_seconds} must be a positive number")
        if not 0 <= self.label_noise <= 1:
            raise ValueError(f"label_noise: {self.label_noise} must be from 0 to 1")


def simulate(folder: Path, annotations: AnnotationSet, splits: Splits, simulation: Simulation) -> FeatureStore:
    """Build a store.

    Args:
        folder: of the new store; must not exist.
        annotations: videos with durations; segments stay as annotated to the last digit.
        splits: stored with the data; a video without a split is left out and listed in the store.
        simulation: see there.

    Returns:
        The store, opened.

    Raises:
        ValueError: a video without a duration, or one that cannot be stored.
        FileExistsError: the store is there already.
    """
    by_video = splits.by_video()
    videos = [video for video in annotations.videos if video.video_id in by_video]
    for video in videos:
        if video.duration_s is None:
            raise ValueError(f"video '{video.video_id}': no duration, so nobody knows how many snippets it has")
    builder = {
        "name": "simulated",
        "version": 1,
        "annotations": annotations.format,
        "splits": splits.to_manifest(),
        "faults": [asdict(fault) for fault in annotations.faults],
        **asdict(simulation),
    }
    made = _videos(videos, by_video, simulation, len(annotations.class_names))
    excluded = {v.video_id: "no split" for v in annotations.videos if v.video_id not in by_video}
    write_store(folder, made, annotations.class_names, builder, excluded=excluded)
    return FeatureStore(folder)


def _videos(
    videos: list[AnnotatedVideo], splits: Mapping[str, str], simulation: Simulation, num_classes: int
) -> Iterator[Video]:
    generator = np.random.Generator(np.random.PCG64([6, simulation.seed, 0, 0]))
    directions = draw_directions(simulation.evidence, num_classes, generator, simulation.seed)
    is_train = np.asarray([splits[video.video_id] == "train" for video in videos])
    steps = wrong_steps(is_train, simulation.label_noise, num_classes, simulation.seed)
    for number, (video, step) in enumerate(zip(videos, steps.tolist(), strict=True)):
        own = np.random.Generator(np.random.PCG64([7, simulation.seed, number, 0]))
        shown = tuple(Segment(s.start_s, s.end_s, (s.label + step) % num_classes, s.ambiguous) for s in video.segments)
        yield _video(video, splits[video.video_id], shown, simulation, directions, own)


def _video(
    video: AnnotatedVideo,
    split: str,
    shown: tuple[Segment, ...],
    simulation: Simulation,
    directions: Directions,
    generator: np.random.Generator,
) -> Video:
    """One video, its segments visible and annotated as ``shown``."""
    assert video.duration_s is not None, "checked before"
    model = simulation.evidence
    length = max(1, math.ceil(video.duration_s / simulation.snippet_seconds - _ROUNDING))
    noise = model.noise * generator.normal(size=(length, model.feat_dim))
    actions = _actions(video, length, simulation, len(directions.actions), generator)
    return Video(
        video_id=video.video_id,
        subset=video.subset,
        split=split,
        snippet_seconds=simulation.snippet_seconds,
        features=render(noise, actions, model, directions),
        segments=shown,
        fps=video.fps,
        annotated_duration_s=video.duration_s,
    )


def _actions(
    video: AnnotatedVideo, length: int, simulation: Simulation, num_classes: int, generator: np.random.Generator
) -> list[Action]:
    """What can be seen: instances as far as they lie inside the video. Ambiguous segments show nothing."""
    actions = []
    for segment in video.segments:
        coin, place = int(generator.integers(2)), generator.random()
        times = seconds_to_snippets([segment.start_s, segment.end_s], simulation.snippet_seconds)
        start, end = np.clip(times, 0.0, float(length)).tolist()
        if segment.ambiguous or end <= start:
            continue
        core = simulation.evidence.core_fraction * (end - start)
        core_start = start + place * (end - start - core)
        context = (segment.label + coin) % num_classes
        actions.append(Action(start, end, core_start, core_start + core, segment.label, context))
    return actions
