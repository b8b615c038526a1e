"""Charades' two official scores: 25 points in time of every video, and whole videos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from trainables.detections import FloatArray, FrameScores, GroundTruth
from trainables.evaluation.checks import check_ground_truth
from trainables.evaluation.frames.labels import (
    CHARADES_POINTS,
    charades_times,
    frame_times,
    label_points,
    nearest_frames,
)
from trainables.evaluation.frames.resampling import at_fps, check_fps, fps_param
from trainables.evaluation.frames.scores import TimedTruth, check_frame_scores, check_timed_truth
from trainables.evaluation.precision.average_precision import class_ap
from trainables.evaluation.precision.item_precision import item_ap
from trainables.evaluation.precision.matches import Matches
from trainables.evaluation.precision.ranking import PlainMap, mean_by_positives
from trainables.evaluation.protocol import Takes
from trainables.evaluation.video_index import find_videos
from trainables.evaluation.videos.scores import VideoScores, check_video_scores, score_matrix, video_labels


@dataclass(frozen=True)
class FrameMapCharades25(PlainMap):
    """Plain AP over 25 points of every video; a point is positive on the border of a segment, too.

    Three aggregates: ``frame_map_25``, the mean over classes; ``frame_wap_25``, the mean weighted by positive points
    (Charades_v1_localize.m computes both); ``frame_nap_25``, the mean of normalised AP as in the Python evaluator of
    Charades' authors, with 1100 positive and 45000 negative points for every class (after Hoiem et al., ECCV 2012,
    who fix the positives only). Videos without action take part as negatives. Points without scores rank last, in the
    order of the annotations. Of denser scores the frame nearest to each point is taken; ``fps`` makes them dense first.

    Source: Charades_v1_localize.m (piergiaj/tgm-icml19:charades). Differs: a class without positive point is refused
    (there: the mean is NaN).
    """

    key: ClassVar[str] = "frame_map_charades25"
    version: ClassVar[str] = "1"
    metrics_doc: ClassVar[str] = (
        "plain AP over 25 points of each video, start <= t <= end is positive: mean over classes, mean weighted by "
        "positives, mean of normalised AP"
    )
    takes: ClassVar[Takes] = "frame_scores"

    fps: float = fps_param()

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fps(self.fps)

    def metric_names(self) -> tuple[str, ...]:
        """Mean, weighted mean, normalised mean."""
        return ("frame_map_25", "frame_wap_25", "frame_nap_25")

    def match(self, found: FrameScores, truth: TimedTruth) -> Matches:
        """Label and rank 25 points of every annotated video.

        Raises:
            ValueError: scores or ground truth that do not fit.
        """
        check_timed_truth(truth)
        check_frame_scores(found, len(truth.class_names))
        found = at_fps(found, truth, self.fps)
        index, left_out = find_videos(found.video_ids, truth.video_ids, self.on_unknown_video)
        num_videos = len(truth.video_ids)
        scores = np.full((num_videos, CHARADES_POINTS, len(truth.class_names)), -np.inf)
        times = np.stack([charades_times(float(d)) for d in truth.durations_s])
        scored = (index >= 0) & (np.diff(found.first_frame)[index] > 0)
        for v in np.flatnonzero(scored).tolist():
            own = slice(*found.first_frame[index[v] : index[v] + 2].tolist())
            own_times = (
                frame_times(own.stop - own.start, float(truth.durations_s[v]))
                if found.times_s is None
                else found.times_s[own]
            )
            scores[v] = found.scores[own][nearest_frames(own_times, times[v])]
        flat = scores.reshape(num_videos * CHARADES_POINTS, -1)
        first = np.arange(num_videos + 1) * CHARADES_POINTS
        positive = label_points(times.reshape(-1), first, truth.segments, interval="closed")
        warnings = {
            **left_out,
            "videos_without_scores": int((~scored).sum()),
            "points_without_scores": int(np.isneginf(flat).any(axis=1).sum()),
        }
        video = np.repeat(np.arange(num_videos), CHARADES_POINTS)
        return self._matches(truth.video_ids, truth.class_names, video, flat, positive, warnings)

    def _resample(self, matches: Matches, weights: FloatArray) -> FloatArray:
        ap, normalised = item_ap(matches, weights, ("plain", "normalised"))
        weighted = mean_by_positives(ap, weights @ matches.num_gt)
        return np.stack([self._mean(ap), weighted, self._mean(normalised)], axis=1)


@dataclass(frozen=True)
class VideoMapCharades(PlainMap):
    """Multi-label plain AP over videos: mean over classes, and mean weighted by positive videos.

    Source: Charades_v1_classify.m. As there, the scores of videos without any action are never read: such videos rank
    last, and so do videos without scores. Differs: a class without positive video is refused (there: the mean is NaN).
    """

    key: ClassVar[str] = "video_map_charades"
    version: ClassVar[str] = "1"
    metrics_doc: ClassVar[str] = (
        "mean over classes of plain AP over videos, and the mean weighted by positives; videos without action rank last"
    )
    takes: ClassVar[Takes] = "video_scores"

    def metric_names(self) -> tuple[str, ...]:
        """Mean and weighted mean."""
        return ("video_map", "video_wap")

    def match(self, found: VideoScores, truth: GroundTruth) -> Matches:
        """Rank the annotated videos.

        Raises:
            ValueError: scores or ground truth that do not fit, or a video with scores for some classes only.
        """
        check_ground_truth(truth)
        check_video_scores(found)
        index, left_out = find_videos(found.video_ids, truth.video_ids, self.on_unknown_video)
        matrix, positive = score_matrix(found, len(truth.class_names)), video_labels(truth)
        has_action = positive.any(axis=1)
        read = (index >= 0) & has_action
        scores = np.full(positive.shape, -np.inf)
        scores[read] = matrix[index[read]]
        warnings = {
            **left_out,
            "videos_without_scores": int((index < 0).sum()),
            "videos_without_action_ranked_last": int((~has_action).sum()),
        }
        return self._matches(
            truth.video_ids, truth.class_names, np.arange(len(truth.video_ids)), scores, positive, warnings
        )

    def _resample(self, matches: Matches, weights: FloatArray) -> FloatArray:
        ap = class_ap(matches, weights, "plain")[:, :, 0]
        return np.stack([self._mean(ap), mean_by_positives(ap, weights @ matches.num_gt)], axis=1)
