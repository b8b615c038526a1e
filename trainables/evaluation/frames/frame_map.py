"""Per-frame mAP over all frames of all videos (MultiTHUMOS; Charades in training logs)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from trainables.config import param
from trainables.detections import FloatArray, FrameScores
from trainables.evaluation.frames.labels import frame_times, label_points
from trainables.evaluation.frames.resampling import at_fps, check_fps, fps_param
from trainables.evaluation.frames.scores import TimedTruth, check_frame_scores, check_timed_truth
from trainables.evaluation.precision.average_precision import class_ap
from trainables.evaluation.precision.matches import Matches
from trainables.evaluation.precision.ranking import PlainMap
from trainables.evaluation.protocol import Takes
from trainables.evaluation.video_index import find_videos


@dataclass(frozen=True)
class FrameMapDense(PlainMap):
    """Mean over classes of plain AP over every frame of every video; a frame is positive strictly inside a segment.

    Source: piergiaj/super-events-cvpr18:apmeter.py and multithumos_i3d_per_video.py. Differs: double precision (there:
    single); equal scores keep the order of the annotated videos and their frames, and are counted. A class without
    positive frame has AP 0 and stays in the mean, as there; PDAN's script leaves it out (``on_empty_class: exclude``).
    Every frame that has scores is a frame here; ``fps`` makes others of them first.
    """

    key: ClassVar[str] = "frame_map_dense"
    version: ClassVar[str] = "1"
    metrics_doc: ClassVar[str] = "mean over classes of plain AP over all frames; start < t < end is positive"
    takes: ClassVar[Takes] = "frame_scores"

    on_empty_class: Literal["error", "zero", "exclude"] = param(
        "zero",
        "classes without any positive frame: refuse, count as AP 0, or leave out of the mean",
        source="piergiaj/super-events-cvpr18:apmeter.py",
    )
    fps: float = fps_param()

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fps(self.fps)

    def metric_names(self) -> tuple[str, ...]:
        """``frame_map``."""
        return ("frame_map",)

    def match(self, found: FrameScores, truth: TimedTruth) -> Matches:
        """Label and rank all frames.

        Raises:
            ValueError: scores or ground truth that do not fit, an annotated video without scores (how many frames it
                has cannot be known), or a frame without.
        """
        check_timed_truth(truth)
        check_frame_scores(found, len(truth.class_names))
        found = at_fps(found, truth, self.fps)
        index, left_out = find_videos(found.video_ids, truth.video_ids, self.on_unknown_video)
        number = np.where(index >= 0, np.diff(found.first_frame)[index], 0)
        if (number == 0).any():
            bare = truth.video_ids[int(np.flatnonzero(number == 0)[0])]
            raise ValueError(
                f"frame scores: video '{bare}' has none ({int((number == 0).sum())} such videos of {len(number)}); "
                "score every video of the subset"
            )
        rows = np.concatenate([np.arange(*found.first_frame[v : v + 2]) for v in index])
        scores = found.scores[rows]
        if np.isneginf(scores).any():
            raise ValueError("frame scores: a frame's scores are minus infinity; this protocol scores every frame")
        if found.times_s is None:
            times = np.concatenate(
                [frame_times(int(n), float(d)) for n, d in zip(number, truth.durations_s, strict=True)]
            )
        else:
            times = found.times_s[rows]
        first = np.concatenate([[0], np.cumsum(number)])
        positive = label_points(times, first, truth.segments, interval="open")
        video = np.repeat(np.arange(len(number)), number)
        return self._matches(truth.video_ids, truth.class_names, video, scores, positive, left_out)

    def _resample(self, matches: Matches, weights: FloatArray) -> FloatArray:
        return self._mean(class_ap(matches, weights, self.rule)[:, :, 0])[:, None]
