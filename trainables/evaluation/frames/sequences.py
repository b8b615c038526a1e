"""One class for every frame of a video, as temporal segmentation has it, and the runs of equal classes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from trainables.detections import IntArray
from trainables.evaluation.checks import refuse, within


@dataclass(frozen=True)
class FrameLabels:
    """Classes of the frames of a set of videos.

    Attributes:
        video_ids: V ids.
        first_frame: (V + 1,) row of each video's first frame, then N.
        labels: (N,) index into ``class_names``.
        class_names: K names; background is one of them where it has one.
    """

    video_ids: tuple[str, ...]
    first_frame: IntArray
    labels: IntArray
    class_names: tuple[str, ...]

    def of_video(self, video: int) -> IntArray:
        """(n,) labels of one video."""
        return self.labels[self.first_frame[video] : self.first_frame[video + 1]]


@dataclass(frozen=True)
class Runs:
    """Segments of a video, in order.

    Attributes:
        labels: (n,) class ids.
        ends_frames: (n, 2) first frame, frame after the last.
    """

    labels: IntArray
    ends_frames: IntArray


def check_frame_labels(labelled: FrameLabels, what: str) -> None:
    """Refuse labels that cannot be compared.

    Args:
        labelled: the labels.
        what: their name in the complaint.

    Raises:
        ValueError: a repeated or empty video, offsets that do not fit, a label outside the classes.
    """
    ids, first = labelled.video_ids, labelled.first_frame
    repeated = [video_id for video_id, count in Counter(ids).items() if count > 1]
    if repeated:
        raise ValueError(f"{what}: video '{repeated[0]}' is listed more than once ({len(repeated)} such videos)")
    if not ids or len(first) != len(ids) + 1 or first[0] != 0 or first[-1] != len(labelled.labels):
        raise ValueError(
            f"{what}: first_frame {first} does not lead from 0 to {len(labelled.labels)} over {len(ids)} videos"
        )
    empty = np.flatnonzero(np.diff(first) <= 0)
    if len(empty):
        raise ValueError(f"{what}: video '{ids[int(empty[0])]}' has no frame ({len(empty)} such videos)")
    num_classes = len(labelled.class_names)
    refuse(~within(labelled.labels, num_classes), what, f"has a label outside the {num_classes} classes")


def find_runs(labels: IntArray, background: IntArray) -> Runs:
    """Runs of equal labels that are not background.

    Args:
        labels: (n,) one video, n > 0.
        background: class ids that make no segment.
    """
    starts = np.flatnonzero(np.concatenate([[True], labels[1:] != labels[:-1]]))
    ends = np.append(starts[1:], len(labels))
    own = ~np.isin(labels[starts], background)
    return Runs(labels[starts][own], np.stack([starts, ends], axis=1)[own])


def edit_score(found: IntArray, truth: IntArray) -> float:
    """1 - Levenshtein distance of two sequences of segment labels over the length of the longer one.

    Source: Lea et al., CVPR 2017; yabufarha/ms-tcn:eval.py, where it is 100 times this.

    Args:
        found: (n,) labels of the predicted segments.
        truth: (m,) of the annotated ones.

    Returns:
        In [0, 1]; 1 where both are empty (there: 0 / 0).
    """
    longer = max(len(found), len(truth))
    if not longer:
        return 1.0
    columns = np.arange(len(truth) + 1)
    row = columns
    for i, label in enumerate(found.tolist(), start=1):
        best = np.concatenate([[i], np.minimum(row[1:] + 1, row[:-1] + (truth != label))])
        row = np.minimum.accumulate(best - columns) + columns  # insertions from the left
    return 1.0 - float(row[-1]) / longer


def num_hits(found: Runs, truth: Runs, thresholds: tuple[float, ...]) -> IntArray:
    """(H,) predicted segments that are hits at each overlap.

    A predicted segment looks at the annotated one of its class with the largest tIoU (the first of equals); it is a hit
    where that reaches the threshold and no earlier segment took it.

    Source: yabufarha/ms-tcn:eval.py, ``f_score``. The union is the hull there, which is the same where they overlap.
    """
    if not len(found.labels) or not len(truth.labels):
        return np.zeros(len(thresholds), np.int64)
    a, b = found.ends_frames[:, None, :], truth.ends_frames[None, :, :]
    inter = np.minimum(a[..., 1], b[..., 1]) - np.maximum(a[..., 0], b[..., 0])
    hull = np.maximum(a[..., 1], b[..., 1]) - np.minimum(a[..., 0], b[..., 0])
    tiou = np.where(found.labels[:, None] == truth.labels, inter / hull, 0.0)
    choice = tiou.argmax(axis=1)
    reached = np.take_along_axis(tiou, choice[:, None], axis=1)[:, 0]
    return np.asarray([len(np.unique(choice[reached >= t])) for t in thresholds], np.int64)
