"""Files of extracted features and annotations -> a store that detectors train on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from trainables.data.annotations import AnnotatedVideo, AnnotationSet
from trainables.data.extracted_files import SUFFIX, read_facts, read_features
from trainables.data.schema import Video
from trainables.data.store import FeatureStore, write_store


def assemble_store(
    folder: Path, features: Path, annotations: AnnotationSet, splits: Mapping[str, str], extraction: str
) -> FeatureStore:
    """Write the store of the annotated videos that have features, or find it there as it would be written.

    A video's duration is the decoded one, for times on the snippet axis are the decoder's. The store lists the videos
    that are left out, with the reason.

    Args:
        folder: of the store.
        features: folder of the files of features.
        annotations: videos, classes and segments.
        splits: video id -> split, of all annotated videos that take part, so that a missing one moves no other.
        extraction: digest of what made the features; files of another extraction count as missing.

    Returns:
        The store, opened.

    Raises:
        ValueError: no annotated video has features.
        FileExistsError: another store is in the place.
    """
    excluded = {video.video_id: "no split" for video in annotations.videos if video.video_id not in splits}
    present = []
    for video in annotations.videos:
        if video.video_id in splits:
            if _made_by(_path(features, video), extraction):
                present.append(video)
            else:
                excluded[video.video_id] = "no features"
    if not present:
        raise ValueError(f"{features}: none of the {len(splits)} annotated videos has features")
    builder = {
        "name": "extracted",
        "version": 1,
        "extraction": extraction,
        "annotations": annotations.format,
        "annotated": _digest(annotations, splits),
        "faults": [asdict(fault) for fault in annotations.faults],
    }
    if folder.exists():
        store = FeatureStore(folder)
        if store.manifest["builder"] != builder or store.excluded != excluded:
            raise FileExistsError(f"{folder}: holds another store; remove it to build this one")
        return store
    videos = _videos(present, splits, features)
    write_store(folder, videos, annotations.class_names, builder, excluded=excluded)
    return FeatureStore(folder)


def _path(features: Path, video: AnnotatedVideo) -> Path:
    return features / f"{video.video_id}{SUFFIX}"


def _made_by(path: Path, extraction: str) -> bool:
    return path.is_file() and read_facts(path)["extraction"] == extraction


def _digest(annotations: AnnotationSet, splits: Mapping[str, str]) -> str:
    """sha256 of what the annotation says of the videos, and of their splits."""
    said = [annotations.class_names, [asdict(video) for video in annotations.videos], sorted(splits.items())]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _videos(present: list[AnnotatedVideo], splits: Mapping[str, str], features: Path) -> Iterator[Video]:
    for video in present:
        source = read_features(_path(features, video))
        yield Video(
            video_id=video.video_id,
            subset=video.subset,
            split=splits[video.video_id],
            snippet_seconds=source.snippet_seconds,
            features=source.features,
            segments=video.segments,
            fps=source.fps,
            annotated_duration_s=source.duration_s,
        )
