"""Average recall of class-agnostic proposals at average numbers of them, AR@AN, and the area under that curve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from trainables.config import param
from trainables.detections import Detections, FloatArray, GroundTruth, IntArray
from trainables.evaluation.checks import check_detections, check_ground_truth
from trainables.evaluation.detection.detection_map import ACTIVITYNET_GRID
from trainables.evaluation.detection.groups import pair_up
from trainables.evaluation.exclusion import keep_videos, without_videos
from trainables.evaluation.protocol import ScoringProtocol, Takes
from trainables.evaluation.ranks import count_up
from trainables.evaluation.video_index import find_videos
from trainables.segments import paired_tiou

#: Points of the curve, i = 1 ... 100 hundredths of the maximum average number.
_POINTS = np.arange(1, 101)

#: Average numbers that papers print; those that are points of the curve become metrics.
_PRINTED = (1, 5, 10, 50, 100, 200, 500, 1000)


@dataclass(frozen=True)
class ProposalHits:
    """Which instances the best proposals of each video reach; V videos with n proposals each.

    Attributes:
        protocol: key and version.
        tiou_thresholds: of the recalls.
        video_ids: V ids, all with instances.
        num_proposals: (V,) n.
        num_gt: (V,) instances.
        hits: (sum of n + 1,) of each video, instances that its 0, 1, ... n best proposals reach, all thresholds.
        warnings: what was counted instead of refused.
    """

    protocol: str
    tiou_thresholds: tuple[float, ...]
    video_ids: tuple[str, ...]
    num_proposals: IntArray
    num_gt: IntArray
    hits: IntArray
    warnings: Mapping[str, int]


@dataclass(frozen=True)
class ArAn(ScoringProtocol[ProposalHits]):
    """AR@AN: recall of the best proposals, mean over tIoU thresholds; labels are not looked at.

    AN is an average: a video with more proposals may use more. An instance is recalled by any used proposal with
    tIoU >= threshold; one proposal may recall several. ``ar_an_auc`` is the area under the curve from its first to its
    last point, divided by the last AN, as a fraction (the official script prints 100 times that).

    Source: activitynet/ActivityNet:Evaluation/eval_proposal.py, in its order of operations, for ``int`` cuts off and a
    last bit decides. Differs: equal scores keep the order of the file (the official order depends on NumPy's build) and
    are counted; without any proposal all values are 0 (there: a division by zero).
    """

    key: ClassVar[str] = "ar_an"
    version: ClassVar[str] = "1"
    metrics_doc: ClassVar[str] = (
        "average recall, over tIoU thresholds, of class-agnostic proposals at an average number a video; area under "
        "the curve"
    )
    takes: ClassVar[Takes] = "proposals"

    tiou_thresholds: tuple[float, ...] = param(
        ACTIVITYNET_GRID,
        "tIoU thresholds of the average recall",
        source="activitynet/ActivityNet:Evaluation/eval_proposal.py",
    )
    max_average_number: int | None = param(
        100,
        "largest average number of proposals a video; None = as many as there are",
        source="ActivityNet challenge 2017, temporal action proposals",
    )
    on_unknown_video: Literal["error", "drop"] = param(
        "error", "proposals on videos that are not in the ground truth: refuse, or leave out and count"
    )
    exclude_videos: tuple[str, ...] = param(
        (), "videos left out of both sides, for instance ActivityNet's blocked ones; their number and digest are kept"
    )

    def __post_init__(self) -> None:
        if not self.tiou_thresholds or not all(0 < t <= 1 for t in self.tiou_thresholds):
            raise ValueError(f"tiou_thresholds: {self.tiou_thresholds} must be one or more values in (0, 1]")
        if self.max_average_number is not None and self.max_average_number < 1:
            raise ValueError(f"max_average_number: {self.max_average_number} must be 1 or more, or None")
        self._check_choice("on_unknown_video", ("error", "drop"))

    def metric_names(self) -> tuple[str, ...]:
        """``ar_an_n`` for the usual numbers n that are points of the curve (``ar_an_all``: the last one), the area."""
        names = [f"ar_an_{number}" for number in self._printed] or ["ar_an_all"]
        return (*names, "ar_an_auc")

    @property
    def _printed(self) -> dict[int, int]:
        """Average number -> index of its point."""
        largest = self.max_average_number
        if largest is None:
            return {}
        on_curve = (n for n in _PRINTED if n <= largest and 100 * n % largest == 0)
        return {n: 100 * n // largest - 1 for n in on_curve}

    def match(self, found: Detections, truth: GroundTruth) -> ProposalHits:
        """Rank the proposals of each video and see which instances they reach.

        Raises:
            ValueError: proposals or ground truth that cannot be scored; the first bad row is named.
        """
        check_detections(found)
        check_ground_truth(truth)
        found, truth, excluded = without_videos(found, truth, self.exclude_videos)
        check_ground_truth(truth)
        find_videos(found.video_ids, truth.video_ids, self.on_unknown_video)
        annotated = np.bincount(truth.video, minlength=len(truth.video_ids)) > 0
        truth = keep_videos(truth, annotated)
        place = {video_id: i for i, video_id in enumerate(truth.video_ids)}
        video = np.asarray([place.get(v, -1) for v in found.video_ids], np.int64)[found.video]
        order = np.flatnonzero(video >= 0)
        order = order[np.lexsort((-found.scores[order], video[order]))]
        video, scores = video[order], found.scores[order]
        number = np.bincount(video, minlength=len(place))
        warnings = {
            **excluded,
            "proposals_on_other_videos_left_out": len(found.video) - len(video),
            "videos_without_instances_left_out": int((~annotated).sum()),
            "videos_without_proposals": int((number == 0).sum()),
            "tied_scores": int(((np.diff(scores) == 0) & (np.diff(video) == 0)).sum()),
        }
        return ProposalHits(
            protocol=self._identity,
            tiou_thresholds=self.tiou_thresholds,
            video_ids=truth.video_ids,
            num_proposals=number,
            num_gt=np.bincount(truth.video, minlength=len(place)),
            hits=_hits(video, found.segments_s[order], number, truth, self.tiou_thresholds),
            warnings={name: count for name, count in warnings.items() if count},
        )

    def _resample(self, matches: ProposalHits, weights: FloatArray) -> FloatArray:
        values = [self._curve_values(matches, weight) for weight in weights]
        return np.asarray(values, np.float64).reshape(len(weights), len(self.metric_names()))

    def _curve_values(self, matches: ProposalHits, weight: FloatArray) -> FloatArray:
        """(M,) the printed points and the area under the curve."""
        average_number, recall = self.curve(matches, weight)
        points = list(self._printed.values()) or [-1]
        area = np.trapezoid(recall, average_number) / average_number[-1] if average_number[-1] > 0 else recall[-1]
        return np.asarray([*recall[points], area])

    def curve(self, matches: ProposalHits, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
        """AN and AR of the 100 points of the curve.

        Args:
            matches: of this protocol.
            weight: (V,) multiplicity of each video.

        Returns:
            (100,) average numbers of proposals, (100,) average recalls; NaN where no instance has weight.
        """
        number, num_videos, total = matches.num_proposals, weight.sum(), float(weight @ matches.num_proposals)
        num_gt = float(weight @ matches.num_gt)
        if num_gt == 0 or total == 0:
            return np.zeros(len(_POINTS)), np.full(len(_POINTS), 0.0 if num_gt else np.nan)
        largest = total / num_videos if self.max_average_number is None else self.max_average_number
        ratio = largest * num_videos / total
        kept = np.minimum((number * ratio).astype(np.int64), number)
        num_kept = float(weight @ kept)
        if num_kept == 0:
            return np.zeros(len(_POINTS)), np.zeros(len(_POINTS))
        fraction = _POINTS / 100.0 * (largest * num_videos / num_kept)
        used = np.minimum((kept[:, None] * fraction).astype(np.int64), kept[:, None])  # (V, 100)
        first = np.cumsum(number + 1) - (number + 1)
        recall = weight @ matches.hits[first[:, None] + used] / (num_gt * len(self.tiou_thresholds))
        return fraction * (num_kept / num_videos), recall

    def counts(self, matches: ProposalHits) -> dict[str, int]:
        """Videos with instances, instances, proposals on them."""
        return {
            "videos": len(matches.video_ids),
            "instances": int(matches.num_gt.sum()),
            "predictions": int(matches.num_proposals.sum()),
        }

    def _require_own(self, matches: ProposalHits) -> None:
        super()._require_own(matches)
        if matches.tiou_thresholds != self.tiou_thresholds:
            raise ValueError(
                f"matched at {matches.tiou_thresholds}, not at {self.tiou_thresholds}; match the {self._kind} again"
            )


def _hits(
    video: IntArray, segments_s: FloatArray, number: IntArray, truth: GroundTruth, thresholds: tuple[float, ...]
) -> IntArray:
    """See :class:`ProposalHits`; proposals come by video and falling score."""
    rank = count_up(number[number > 0])
    pairs = pair_up(video, truth.video)
    tiou = paired_tiou(segments_s[pairs.detection], truth.segments_s[pairs.segment])
    first = np.cumsum(number + 1) - (number + 1)  # place of each video's 0
    gained = np.zeros(int((number + 1).sum()), np.int64)
    for threshold in thresholds:
        reaches = tiou >= threshold
        best = np.full(len(truth.video), len(video))
        np.minimum.at(best, pairs.segment[reaches], rank[pairs.detection[reaches]])
        reached = np.flatnonzero(best < len(video))
        np.add.at(gained, first[truth.video[reached]] + best[reached] + 1, 1)
    total = np.cumsum(gained)
    result: IntArray = total - np.repeat(total[first], number + 1)
    return result
