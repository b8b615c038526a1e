"""Multi-label mAP over whole videos, as weakly supervised papers and THUMOS' recognition task have it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from trainables.detections import FloatArray, GroundTruth
from trainables.evaluation.checks import check_ground_truth
from trainables.evaluation.precision.average_precision import class_ap
from trainables.evaluation.precision.matches import TRUE_POSITIVE, Matches
from trainables.evaluation.precision.ranking import PlainMap
from trainables.evaluation.protocol import Takes
from trainables.evaluation.video_index import find_videos
from trainables.evaluation.videos.scores import VideoScores, check_video_scores, score_matrix, video_labels


@dataclass(frozen=True)
class MultilabelMap(PlainMap):
    """Mean over classes of plain AP over videos, and top-1 accuracy: the best class is one of the video's classes.

    Source: sujoyp/wtalc-pytorch:classificationMAP.py (the THUMOS recognition script is the same). Differs: double
    precision (there: single); a class without positive video is refused (there: the mean is NaN); equal scores keep the
    order of the annotations. Accuracy is a mean over the videos with a class; of equal scores the first class is best.
    """

    key: ClassVar[str] = "multilabel_map"
    version: ClassVar[str] = "1"
    metrics_doc: ClassVar[str] = "mean over classes of plain AP over videos; share of videos whose best class is true"
    takes: ClassVar[Takes] = "video_scores"

    def metric_names(self) -> tuple[str, ...]:
        """mAP and accuracy."""
        return ("video_map", "top1_accuracy")

    def match(self, found: VideoScores, truth: GroundTruth) -> Matches:
        """Rank the annotated videos.

        Raises:
            ValueError: scores or ground truth that do not fit, a video without a score for every class.
        """
        check_ground_truth(truth)
        check_video_scores(found)
        index, left_out = find_videos(found.video_ids, truth.video_ids, self.on_unknown_video)
        if (index < 0).any():
            video = truth.video_ids[int(np.flatnonzero(index < 0)[0])]
            raise ValueError(
                f"video scores: video '{video}' has none ({int((index < 0).sum())} such videos of {len(index)}); score "
                "every video of the subset"
            )
        scores = score_matrix(found, len(truth.class_names))[index]
        return self._matches(
            truth.video_ids, truth.class_names, np.arange(len(index)), scores, video_labels(truth), left_out
        )

    def _resample(self, matches: Matches, weights: FloatArray) -> FloatArray:
        mean = self._mean(class_ap(matches, weights, self.rule)[:, :, 0])
        own = weights * matches.num_gt.any(axis=1)
        number = own.sum(axis=1)
        accuracy = np.divide(own @ _best_is_true(matches), number, out=np.full(len(own), np.nan), where=number > 0)
        return np.stack([mean, accuracy], axis=1)


def _best_is_true(matches: Matches) -> FloatArray:
    """(V,) 1 where the best-scored class of a video is one of its classes."""
    order = np.lexsort((matches.label, -matches.score, matches.video))
    best = order[np.unique(matches.video[order], return_index=True)[1]]
    result: FloatArray = (matches.outcome[best, 0] == TRUE_POSITIVE).astype(np.float64)
    return result
