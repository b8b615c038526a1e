"""Files of features and an ActivityNet annotation file -> a store that detectors train on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainables.data.extracted_files import SUFFIX, read_facts, read_features
from trainables.data.schema import Segment, Video
from trainables.data.splits import stratified_subset
from trainables.data.store import read_manifest, write_store

#: ActivityNet's word -> where its videos go before ``select`` is cut; the test subset has no annotations.
_SPLIT_OF_SUBSET = {"training": "train", "validation": "test"}


@dataclass(frozen=True)
class AnnotatedVideo:
    """What an annotation file says of one video.

    Attributes:
        subset: the file's word for the part it belongs to.
        segments: annotated segments, labels into ``Annotations.class_names``.
    """

    subset: str
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class Annotations:
    """An annotation file.

    Attributes:
        sha256: of its bytes.
        class_names: sorted.
        videos: video id -> what it says; only subsets that have annotations.
    """

    sha256: str
    class_names: tuple[str, ...]
    videos: Mapping[str, AnnotatedVideo]


def read_activitynet(path: Path) -> Annotations:
    """Read annotations of the form ``{"database": {id: {"subset", "annotations": [{"segment", "label"}]}}}``.

    Source: activitynet/ActivityNet:Evaluation/data (the format of its ground truth).

    Args:
        path: JSON; videos of the "testing" subset are left out, for they have no annotations.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another form, or a segment that is none; the video and row are named.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such annotation file")
    content = path.read_bytes()
    try:
        database = json.loads(content)["database"]
        rows = {
            video_id: (entry["subset"], [(a["segment"], a["label"]) for a in entry["annotations"]])
            for video_id, entry in database.items()
            if entry["subset"] != "testing"
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: not an ActivityNet annotation file: {type(error).__name__} {error}") from error
    class_names = tuple(sorted({label for _, annotations in rows.values() for _, label in annotations}))
    labels = {name: i for i, name in enumerate(class_names)}
    videos = {}
    for video_id, (subset, own) in rows.items():
        if subset not in _SPLIT_OF_SUBSET:
            raise ValueError(f"{path}: video '{video_id}': subset '{subset}' is none of {', '.join(_SPLIT_OF_SUBSET)}")
        segments = [_segment(s, labels[n], f"{path}: '{video_id}' row {i}") for i, (s, n) in enumerate(own)]
        videos[video_id] = AnnotatedVideo(subset, tuple(segments))
    return Annotations(hashlib.sha256(content).hexdigest(), class_names, videos)


def _segment(ends: Any, label: int, where: str) -> Segment:
    try:
        start_s, end_s = (float(t) for t in ends)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: segment {ends} is not two numbers") from error
    if not 0 <= start_s < end_s < float("inf"):
        raise ValueError(f"{where}: segment [{start_s}, {end_s}] must have 0 <= start < end")
    return Segment(start_s, end_s, label)


def assign_splits(videos: Mapping[str, AnnotatedVideo], *, select_share: float, seed: int) -> dict[str, str]:
    """Video id -> split: ``select`` is cut from the training videos, stratified by class.

    Args:
        videos: annotated videos.
        select_share: part of the training videos that goes to ``select``, in [0, 1].
        seed: of the cut.

    Raises:
        ValueError: ``select_share`` is out of bounds.
    """
    if not 0.0 <= select_share <= 1.0:
        raise ValueError(f"select_share: {select_share} must be in [0, 1]")
    splits = {video_id: _SPLIT_OF_SUBSET[video.subset] for video_id, video in sorted(videos.items())}
    training = [video_id for video_id, split in splits.items() if split == "train"]
    num_classes = 1 + max((s.label for v in videos.values() for s in v.segments), default=-1)
    shows = np.zeros((len(training), num_classes), bool)
    for row, video_id in enumerate(training):
        shows[row, [s.label for s in videos[video_id].segments]] = True
    chosen = stratified_subset(shows, round(select_share * len(training)), seed=seed)
    return splits | {training[row]: "select" for row in np.flatnonzero(chosen)}


def assemble_store(
    folder: Path,
    features: Path,
    annotations: Annotations,
    extraction: str,
    *,
    select_share: float,
    seed: int,
) -> tuple[str, ...]:
    """Write the store of the annotated videos that have features, or find it there as it would be written.

    Splits are those of all annotated videos, so that a missing one moves no other. The manifest names the missing.

    Args:
        folder: of the store.
        features: folder of the files of features.
        annotations: of the videos.
        extraction: digest of what made the features; others are missing.
        select_share: see :func:`assign_splits`.
        seed: see :func:`assign_splits`.

    Returns:
        Annotated videos without features.

    Raises:
        ValueError: no annotated video has features.
        FileExistsError: another store is in the place.
    """
    splits = assign_splits(annotations.videos, select_share=select_share, seed=seed)
    present = [video_id for video_id in splits if _made_by(features / f"{video_id}{SUFFIX}", extraction)]
    missing = tuple(video_id for video_id in splits if video_id not in set(present))
    if not present:
        raise ValueError(f"{features}: none of the {len(splits)} annotated videos has features")
    builder = {
        "name": "extracted",
        "extraction": extraction,
        "annotations_sha256": annotations.sha256,
        "select_share": select_share,
        "seed": seed,
        "missing": list(missing),
    }
    if folder.exists():
        if read_manifest(folder)["builder"] != builder:
            raise FileExistsError(f"{folder}: holds another store; remove it to build this one")
        return missing
    write_store(folder, _videos(present, splits, features, annotations), annotations.class_names, builder)
    return missing


def _made_by(path: Path, extraction: str) -> bool:
    return path.is_file() and read_facts(path)["extraction"] == extraction


def _videos(
    present: Sequence[str], splits: Mapping[str, str], features: Path, annotations: Annotations
) -> Iterator[Video]:
    for video_id in present:
        source = read_features(features / f"{video_id}{SUFFIX}")
        annotated = annotations.videos[video_id]
        yield Video(
            video_id=video_id,
            subset=annotated.subset,
            split=splits[video_id],
            snippet_seconds=source.snippet_seconds,
            features=source.features,
            segments=annotated.segments,
            fps=source.fps,
            annotated_duration_s=source.duration_s,
        )
