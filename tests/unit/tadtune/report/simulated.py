"""Detections of a planted quality on invented videos, scored by the real protocol, as a trial leaves them behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from trainables.detections import Detections, GroundTruth
from trainables.entrypoints.artifacts import write_split_artifacts
from trainables.evaluation.frames.scores import truth_for

CLASSES = (
    "CliffDiving",
    "CricketShot",
    "HammerThrow",
    "JavelinThrow",
    "LongJump",
    "PoleVault",
    "Shotput",
    "TennisSwing",
)
NUM_VIDEOS = 40

#: As many as Charades has, as long, and as many alike in their beginnings.
HOUSEHOLD_CLASSES = tuple(
    pattern.format(thing)
    for thing in (
        *("a broom", "a laptop", "a blanket", "a towel/some towels", "some medicine", "a cup/glass/bottle", "shoes"),
        *("a book", "a box", "a bag", "a dish/some dishes", "the doorway", "a phone/camera", "some food", "a pillow"),
        *("a sandwich", "a mirror", "a picture", "a vacuum", "a closet/cabinet", "the refrigerator", "a light"),
        *("a window", "a table", "a chair", "a shelf", "some clothes", "a sofa/couch", "the floor", "a bed"),
        *("a doorknob", "some hair"),
    )
    for pattern in (
        "Taking {} from somewhere",
        "Putting {} somewhere",
        "Holding {}",
        "Someone is going from standing to throwing {}",
        "Watching/Reading/Looking at {}",
    )
)[:157]


def make_truth() -> tuple[GroundTruth, dict[str, float]]:
    """Ground truth and durations of the test videos."""
    rng = np.random.default_rng(7)
    ids = tuple(f"video_test_{i:07d}" for i in range(NUM_VIDEOS))
    durations = {video_id: float(rng.uniform(60, 180)) for video_id in ids}
    video, segments, labels = [], [], []
    for index, video_id in enumerate(ids):
        count = int(rng.integers(2, 6))
        edges = np.sort(rng.uniform(0, durations[video_id], 2 * count)).reshape(-1, 2)
        main = rng.integers(len(CLASSES))
        for start, end in edges:
            video.append(index)
            segments.append((start, max(end, start + 1.5)))
            labels.append(main if rng.random() < 0.8 else rng.integers(len(CLASSES)))
    return (
        GroundTruth(ids, CLASSES, np.asarray(video), np.asarray(segments), np.asarray(labels, np.int64)),
        durations,
    )


def make_household() -> tuple[GroundTruth, dict[str, float]]:
    """Half-minute videos in which up to a dozen actions of many classes overlap; every class is there."""
    rng = np.random.default_rng(9)
    ids = tuple(f"{i:02d}HM{i * 7 % 10}" for i in range(NUM_VIDEOS))
    durations = {video_id: float(rng.uniform(20, 40)) for video_id in ids}
    labels = np.concatenate([rng.permutation(len(HOUSEHOLD_CLASSES)), rng.integers(len(HOUSEHOLD_CLASSES), size=143)])
    video = np.arange(len(labels)) % NUM_VIDEOS
    ends = np.asarray([durations[ids[v]] for v in video])
    starts = rng.uniform(0, 0.6, len(labels)) * ends
    segments = np.stack([starts, np.minimum(ends, starts + rng.uniform(3, 15, len(labels)))], axis=1)
    return GroundTruth(ids, HOUSEHOLD_CLASSES, video, segments, labels.astype(np.int64)), durations


def make_detections(truth: GroundTruth, durations: dict[str, float], quality: float, seed: int) -> Detections:
    """Every segment found with jitter that shrinks with ``quality`` in [0, 1], among false alarms."""
    rng = np.random.default_rng([seed, 11])
    length = truth.segments_s[:, 1] - truth.segments_s[:, 0]
    jitter = rng.normal(0, 0.28 * (1.15 - quality), truth.segments_s.shape) * length[:, None]
    found = np.sort(truth.segments_s + jitter, axis=1)
    scores = np.clip(rng.normal(0.35 + 0.4 * quality, 0.15, len(found)), 0.01, 0.99)
    alarms = 3 * len(truth.video_ids)
    video = rng.integers(len(truth.video_ids), size=alarms)
    ends = np.asarray([durations[truth.video_ids[v]] for v in video])
    start = rng.uniform(0, 0.9, alarms) * ends
    wrong = np.stack([start, np.minimum(ends, start + rng.uniform(2, 15, alarms))], axis=1)
    return Detections(
        truth.video_ids,
        np.concatenate([truth.video, video]),
        np.concatenate([np.maximum(found, 0.0), wrong]),
        np.concatenate([truth.labels, rng.integers(len(truth.class_names), size=alarms)]),
        np.concatenate([scores, np.clip(rng.normal(0.3, 0.15, alarms), 0.01, 0.99)]),
    )


def leave_behind(
    folder: Path, protocol: Any, quality: float, seed: int, split: str = "test", *, household: bool = False
) -> dict[str, float]:
    """Write a trial's artifacts; its metrics by full name."""
    truth, durations = make_household() if household else make_truth()
    found = make_detections(truth, durations, quality, seed)
    matches = protocol.match(found, truth_for(protocol, truth, durations))
    write_split_artifacts(folder, split, found, truth, durations, protocol, matches)
    return {f"{split}/{name}": value for name, value in protocol.score(matches).items()}
