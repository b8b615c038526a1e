"""A folder of videos with an annotation as a data set: which videos, in which split, with which labels.

::

    annotations.json   any known form; the subset of a video is its split: train, select or test
    videos/            <video id>.<ending>, also in subfolders
    inventory.json     made by :func:`prepare_folder`
    trimmed/           where there are trimmed clips: a folder of the same form, all of it in train

An annotated video that cannot be read is an error, or left out and listed; nothing else is left out. Videos without
annotation are no part of the data set.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from trainables.data.annotations import AnnotatedVideo, AnnotationSet
from trainables.data.batches.annotated import Annotations, SplitVideo
from trainables.data.readers import read_annotations
from trainables.data.schema import SPLITS, TRIMMED
from trainables.data.video.files import find_videos
from trainables.data.video.inventory import CheckedVideo, read_inventory, take_inventory

#: Names within the folder.
ANNOTATIONS_NAME = "annotations.json"
VIDEOS_NAME = "videos"

#: What to do with annotated videos that cannot be read.
Damaged = Literal["error", "exclude"]

#: A file is another one than was annotated when the lengths differ by more than this, and this share.
_OTHER_S = 1.0
_OTHER_SHARE = 0.02

_WAY_OUT = "fetch it again, or set dataset.damaged to exclude"


@dataclass(frozen=True)
class VideoFolder:
    """The data set as it is.

    Attributes:
        folder: where it is.
        class_names: K names.
        videos: those that can be used, in the order of the annotation.
        files: of these.
        excluded: annotated videos that cannot be used, with the reason.
    """

    folder: Path
    class_names: tuple[str, ...]
    videos: tuple[SplitVideo, ...]
    files: tuple[CheckedVideo, ...]
    excluded: Mapping[str, str]

    def remarks(self) -> tuple[str, ...]:
        """Videos that are left out, each with its reason: what a report has to show."""
        return tuple(f"video '{video_id}' left out: {reason}" for video_id, reason in self.excluded.items())

    def digest(self) -> str:
        """sha256 of labels, splits, and contents of the videos."""
        rows = []
        for video, file in zip(self.videos, self.files, strict=True):
            own = video.annotations
            labels = [own.segments_s.tolist(), own.labels.tolist(), own.ambiguous.tolist()]
            rows.append([video.video_id, video.split, file.sha256, labels])
        return hashlib.sha256(json.dumps([list(self.class_names), rows]).encode()).hexdigest()


def trimmed_folder(folder: Path) -> Path | None:
    """Where the trimmed clips of a data set are, None if it has none."""
    clips = folder / TRIMMED
    return clips if (clips / ANNOTATIONS_NAME).is_file() else None


def prepare_folder(folder: Path, damaged: Damaged, way_out: str) -> None:
    """Check every annotated video that is new or has changed.

    Args:
        folder: of the data set.
        damaged: what to do with videos that cannot be used.
        way_out: the command that makes such a folder.

    Raises:
        FileNotFoundError: there is no such data set.
        ValueError: a video cannot be used and ``damaged`` says that this is an error, or the annotation is at fault.
    """
    if not (folder / ANNOTATIONS_NAME).is_file():
        raise FileNotFoundError(f"no data set at {folder}: {ANNOTATIONS_NAME} is missing; {way_out}")
    annotated = _annotated(folder)
    there, _ = find_videos(folder / VIDEOS_NAME)
    wanted = {video.video_id: there[video.video_id] for video in annotated.videos if video.video_id in there}
    own = _combine(folder, annotated, take_inventory(folder, wanted), damaged)
    clips = trimmed_folder(folder)
    if clips is not None:
        prepare_folder(clips, damaged, way_out)
        check_clips(own, open_folder(clips, damaged))


def open_folder(folder: Path, damaged: Damaged) -> VideoFolder:
    """Open a folder that was prepared.

    Args:
        folder: of the data set.
        damaged: what to do with videos that cannot be used.

    Raises:
        FileNotFoundError: it was not prepared.
        ValueError: as :func:`prepare_folder`, or a file is not what it was then.
    """
    return _combine(folder, _annotated(folder), read_inventory(folder), damaged)


def check_clips(own: VideoFolder, clips: VideoFolder) -> None:
    """Refuse clips that are no trimmed clips of the data set's classes.

    Raises:
        ValueError: they have other classes, or one is not of the split train.
    """
    if clips.class_names != own.class_names:
        raise ValueError(
            f"{clips.folder}: the clips have the classes {', '.join(clips.class_names)}, the videos "
            f"{', '.join(own.class_names)}; they have to be the same"
        )
    for video in clips.videos:
        if video.split != "train":
            raise ValueError(f"{clips.folder}: clip '{video.video_id}' is in '{video.split}'; clips are all in train")


def _annotated(folder: Path) -> AnnotationSet:
    path = folder / ANNOTATIONS_NAME
    annotated = read_annotations(path)
    for video in annotated.videos:
        if video.subset not in SPLITS:
            raise ValueError(
                f"{path}: video '{video.video_id}': subset '{video.subset}' is none of {', '.join(SPLITS)}; "
                "name the split of every video there"
            )
    return annotated


def _combine(
    folder: Path, annotated: AnnotationSet, inventory: Mapping[str, CheckedVideo], damaged: Damaged
) -> VideoFolder:
    videos, files, excluded = [], [], {}
    for video in annotated.videos:
        file = inventory.get(video.video_id)
        reason = _unusable(video, file)
        if reason is not None:
            excluded[video.video_id] = reason
        elif file is not None:
            videos.append(SplitVideo(video.video_id, video.subset, file.duration_s, _segments(video)))
            files.append(file)
    if excluded and damaged == "error":
        first, reason = next(iter(excluded.items()))
        raise ValueError(
            f"{folder}: {len(excluded)} of {len(annotated.videos)} videos cannot be used; "
            f"the first is '{first}': {reason}; {_WAY_OUT}"
        )
    if not videos:
        raise ValueError(f"{folder}: none of {len(annotated.videos)} annotated videos can be used; fetch them again")
    return VideoFolder(folder, annotated.class_names, tuple(videos), tuple(files), excluded)


def _unusable(video: AnnotatedVideo, file: CheckedVideo | None) -> str | None:
    """Why a video is left out."""
    if file is None:
        return "no file of this name"
    if file.failure is not None:
        return file.failure
    said = video.duration_s
    if said is not None and abs(file.duration_s - said) > max(_OTHER_S, _OTHER_SHARE * said):
        return f"is {file.duration_s:.2f} s long, and {said:.2f} s in the annotation"
    return None


def _segments(video: AnnotatedVideo) -> Annotations:
    own = video.segments
    return Annotations(
        np.asarray([(s.start_s, s.end_s) for s in own], np.float64).reshape(-1, 2),
        np.asarray([s.label for s in own], np.int64),
        np.asarray([s.ambiguous for s in own], bool),
    )
