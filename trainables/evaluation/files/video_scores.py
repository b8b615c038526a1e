"""Scores of whole videos from files: ActivityNet's classification results, Charades' text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from trainables.evaluation.files.activitynet_json import load_results, no_garbage_collection
from trainables.evaluation.files.charades_text import read_charades_classification
from trainables.evaluation.files.detections import UNKNOWN_LABEL
from trainables.evaluation.videos.scores import VideoScores


def read_video_scores(
    path: Path, class_names: Sequence[str], *, on_unknown_label: Literal["error", "mark"] = "error"
) -> VideoScores:
    """Read scores of videos; the suffix tells the format.

    Args:
        path: ``.json`` (ActivityNet classification results) or ``.txt`` (Charades classification).
        class_names: K names, in the order of the columns of a ``.txt``.
        on_unknown_label: refuse a label outside the classes, or give it the id
            :data:`trainables.evaluation.files.detections.UNKNOWN_LABEL`, so that the protocol can leave it out and
            count it.

    Raises:
        ValueError: not such a file, or a bad row; file and row are named.
    """
    if path.suffix == ".json":
        return read_activitynet_classification(path, class_names, on_unknown_label=on_unknown_label)
    if path.suffix == ".txt":
        return read_charades_classification(path, len(class_names))
    raise ValueError(f"{path}: scores of videos are read from .json (ActivityNet) and .txt (Charades) files")


def read_activitynet_classification(
    path: Path, class_names: Sequence[str], *, on_unknown_label: Literal["error", "mark"] = "error"
) -> VideoScores:
    """Predictions of ``results[video_id] = [{label, score}]``, in the order of the file.

    Args:
        path: the file.
        class_names: K names.
        on_unknown_label: see :func:`read_video_scores`.

    Raises:
        ValueError: not such a file, a video listed twice, an entry of another shape, a score that is not finite, or
            (if told so) an unknown label; video and entry are named.
    """
    ids = {name: i for i, name in enumerate(class_names)}
    video, labels, scores = [], [], []
    with no_garbage_collection():
        results = load_results(path, counted_key="label")
        for place, (video_id, entries) in enumerate(results.items()):
            for number, entry in enumerate(entries):
                where = f"{path}: video '{video_id}', entry {number}"
                try:
                    label, score = str(entry["label"]), float(entry["score"])
                except (KeyError, TypeError, ValueError) as error:
                    raise ValueError(f"{where} is not {{label, score}}: {type(error).__name__} {error}") from error
                if not np.isfinite(score):
                    raise ValueError(f"{where}: the score {score} is not finite")
                if label not in ids and on_unknown_label == "error":
                    raise ValueError(f"{where}: '{label}' is none of the {len(ids)} classes (drop: on_unknown_label)")
                video.append(place)
                labels.append(ids.get(label, UNKNOWN_LABEL))
                scores.append(score)
    return VideoScores(
        video_ids=tuple(results),
        video=np.asarray(video, np.int64),
        labels=np.asarray(labels, np.int64),
        scores=np.asarray(scores, np.float64),
    )
