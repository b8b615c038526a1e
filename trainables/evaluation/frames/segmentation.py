"""Temporal segmentation (50 Salads, GTEA, Breakfast): frame accuracy, segmental edit score, segmental F1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from trainables.config import param
from trainables.detections import FloatArray, IntArray
from trainables.evaluation.frames.sequences import (
    FrameLabels,
    check_frame_labels,
    edit_score,
    find_runs,
    num_hits,
)
from trainables.evaluation.protocol import ScoringProtocol, Takes
from trainables.evaluation.video_index import find_videos


@dataclass(frozen=True)
class SegmentedVideos:
    """Everything the metrics need, of each of V videos.

    Attributes:
        protocol: key and version.
        tiou_thresholds: H overlaps.
        video_ids: V ids.
        num_frames: (V,).
        num_correct: (V,) frames with the annotated class.
        edit: (V,) edit score in [0, 1].
        num_segments: (V, 2) predicted, annotated; background makes none.
        num_hits: (V, H) predicted segments that are hits.
        warnings: what was counted instead of refused.
    """

    protocol: str
    tiou_thresholds: tuple[float, ...]
    video_ids: tuple[str, ...]
    num_frames: IntArray
    num_correct: IntArray
    edit: FloatArray
    num_segments: IntArray
    num_hits: IntArray
    warnings: Mapping[str, int]


@dataclass(frozen=True)
class Segmentation(ScoringProtocol[SegmentedVideos]):
    """Frame accuracy over all frames, edit score as a mean over videos, F1 from the segments of all videos.

    Frames of background count for the accuracy; edit score and F1 leave background segments out. For leave-splits-out
    give the held-out predictions of all splits at once: every video counts once (papers often print the mean of the
    splits' scores, which differs where splits differ in length).

    Source: yabufarha/ms-tcn:eval.py. All values are fractions (there: percent).
    """

    key: ClassVar[str] = "segmentation"
    version: ClassVar[str] = "1"
    metrics_doc: ClassVar[str] = (
        "share of frames with the annotated class; edit score of the segments' order; F1 of segments at overlaps"
    )
    takes: ClassVar[Takes] = "frame_labels"

    tiou_thresholds: tuple[float, ...] = param(
        (0.1, 0.25, 0.5), "overlaps of the segmental F1", source="Lea et al., CVPR 2017, F1@k; yabufarha/ms-tcn:eval.py"
    )
    background: tuple[str, ...] = param(
        ("background",), "classes that make no segment", source="yabufarha/ms-tcn:eval.py"
    )
    on_unknown_label: Literal["error", "count"] = param(
        "error", "predicted labels that the annotations lack: refuse, or take as wrong and count"
    )
    on_unknown_video: Literal["error", "drop"] = param(
        "error", "predictions on videos that are not in the ground truth: refuse, or leave out and count"
    )

    def __post_init__(self) -> None:
        if not self.tiou_thresholds or not all(0 < t <= 1 for t in self.tiou_thresholds):
            raise ValueError(f"tiou_thresholds: {self.tiou_thresholds} must be one or more values in (0, 1]")
        if len(set(self.metric_names())) < len(self.metric_names()):
            raise ValueError(f"tiou_thresholds: {self.tiou_thresholds} must differ")
        self._check_choice("on_unknown_label", ("error", "count"))
        self._check_choice("on_unknown_video", ("error", "drop"))

    def metric_names(self) -> tuple[str, ...]:
        """``frame_accuracy``, ``edit``, then ``f1_`` with each overlap in percent."""
        return ("frame_accuracy", "edit", *(f"f1_{100 * t:g}" for t in self.tiou_thresholds))

    def match(self, found: FrameLabels, truth: FrameLabels) -> SegmentedVideos:
        """Compare every annotated video with its prediction.

        Raises:
            ValueError: labels that do not fit, a video without prediction or of another length, or not one annotated
                segment.
        """
        check_frame_labels(found, "predictions")
        check_frame_labels(truth, "ground truth")
        index, left_out = find_videos(found.video_ids, truth.video_ids, self.on_unknown_video)
        _check_lengths(found, truth, index)
        names, unknown = self._names(found, truth, index)
        ids = np.asarray([names[name] for name in found.class_names], np.int64)
        background = np.asarray([i for name, i in names.items() if name in self.background], np.int64)
        rows = []
        for video, place in enumerate(index.tolist()):
            own, real = ids[found.of_video(place)], truth.of_video(video)
            runs, real_runs = find_runs(own, background), find_runs(real, background)
            hits = num_hits(runs, real_runs, self.tiou_thresholds)
            edit = edit_score(runs.labels, real_runs.labels)
            rows.append((int((own == real).sum()), edit, len(runs.labels), len(real_runs.labels), *hits.tolist()))
        table = np.asarray(rows, np.float64)
        if not table[:, 3].any():
            raise ValueError("ground truth: no segment that is not background; there is nothing to score against")
        warnings = {**left_out, "frames_with_unknown_label": unknown}
        return SegmentedVideos(
            protocol=self._identity,
            tiou_thresholds=self.tiou_thresholds,
            video_ids=truth.video_ids,
            num_frames=np.diff(truth.first_frame),
            num_correct=table[:, 0].astype(np.int64),
            edit=table[:, 1],
            num_segments=table[:, 2:4].astype(np.int64),
            num_hits=table[:, 4:].astype(np.int64),
            warnings={name: count for name, count in warnings.items() if count},
        )

    def _names(self, found: FrameLabels, truth: FrameLabels, index: IntArray) -> tuple[dict[str, int], int]:
        """Class names of both sides with ids, the ground truth's first; frames with a name it lacks.

        Background is known also where the annotations have none.
        """
        names = {name: i for i, name in enumerate(truth.class_names)}
        used = np.unique(np.concatenate([found.of_video(place) for place in index.tolist()]), return_counts=True)
        frames = {found.class_names[label]: int(count) for label, count in zip(*used, strict=True)}
        unknown = {name: count for name, count in frames.items() if name not in names and name not in self.background}
        if unknown and self.on_unknown_label == "error":
            raise ValueError(
                f"predictions: label '{next(iter(unknown))}' is none of the annotated ones: {', '.join(names)} "
                f"({len(unknown)} such labels); count as wrong: on_unknown_label"
            )
        for name in found.class_names:
            names.setdefault(name, len(names))
        return names, sum(unknown.values())

    def _resample(self, matches: SegmentedVideos, weights: FloatArray) -> FloatArray:
        segments = weights @ matches.num_segments.sum(axis=1)
        f1 = _ratio(2 * (weights @ matches.num_hits), segments[:, None])
        f1[weights @ matches.num_segments[:, 1] == 0] = np.nan
        return np.concatenate(
            [
                _ratio(weights @ matches.num_correct, weights @ matches.num_frames)[:, None],
                _ratio(weights @ matches.edit, weights.sum(axis=1))[:, None],
                f1,
            ],
            axis=1,
        )

    def counts(self, matches: SegmentedVideos) -> dict[str, int]:
        """Videos, frames, annotated and predicted segments."""
        predicted, annotated = matches.num_segments.sum(axis=0).tolist()
        frames = int(matches.num_frames.sum())
        return {"videos": len(matches.video_ids), "frames": frames, "instances": annotated, "predictions": predicted}

    def _require_own(self, matches: SegmentedVideos) -> None:
        super()._require_own(matches)
        if matches.tiou_thresholds != self.tiou_thresholds:
            raise ValueError(
                f"matched at {matches.tiou_thresholds}, not at {self.tiou_thresholds}; match the {self._kind} again"
            )


def _check_lengths(found: FrameLabels, truth: FrameLabels, index: IntArray) -> None:
    if (index < 0).any():
        video = truth.video_ids[int(np.flatnonzero(index < 0)[0])]
        raise ValueError(
            f"predictions: video '{video}' has none ({int((index < 0).sum())} such videos of {len(index)}); predict "
            "every annotated video, or score a subset"
        )
    own, real = np.diff(found.first_frame)[index], np.diff(truth.first_frame)
    if (own != real).any():
        v = int(np.flatnonzero(own != real)[0])
        raise ValueError(
            f"predictions: video '{truth.video_ids[v]}' has {own[v]} labels for {real[v]} annotated frames "
            f"({int((own != real).sum())} such videos); predict every frame, at the annotations' rate"
        )


def _ratio(above: FloatArray, below: FloatArray) -> FloatArray:
    """Element by element, NaN for a division by zero."""
    below = np.broadcast_to(below, above.shape)
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)
