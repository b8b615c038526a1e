"""Non-maximum suppression in one dimension, over many groups at once, with deterministic ties.

Class-wise: one group for each video and class; class-agnostic: one group for each video.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.layers.greedy import Decay, Rule, pick_all
from trainables.layers.groups import Groups
from trainables.layers.tiou import check_segments, is_within

__all__ = ["Decay", "suppress"]


@torch.no_grad()
def suppress(
    segments: Tensor,
    scores: Tensor,
    group: Tensor,
    *,
    decay: Decay,
    tiou_threshold: float | None = None,
    threshold_slope: float = 0.0,
    sigma: float | None = None,
    min_score: float = 0.0,
    max_num: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Pick the best remaining segment M of every group, weaken the others, repeat.

    With v the tIoU of another segment and M, its score is multiplied by

    * "hard": 0 where v >= ``tiou_threshold``;
    * "linear": 1 - v where v >= ``tiou_threshold`` (Soft-NMS, Bodla et al. 2017, arXiv:1704.04503, Section 3);
    * "gaussian": exp(-v^2 / ``sigma``), whatever v (the same section);
    * "truncated_gaussian": exp(-v^2 / ``sigma``) where v >= ``tiou_threshold`` + ``threshold_slope`` * length of M.
      With slope 0 this is KT-MGFN Eq. (7), read with v = threshold included; with a slope it is the thresholded decay
      of wzmsltw/BSN-boundary-sensitive-network:Post_processing.py.

    A segment whose score is 0, or below ``min_score``, at the beginning or after a decay, is dropped. The next M is
    chosen by decayed scores; of equal ones the earlier row.

    Args:
        segments: (N, 2) start, end, any one unit.
        scores: (N,) not negative.
        group: (N,) integers; only segments of one group see each other.
        decay: see above.
        tiou_threshold: see above; needed by all but "gaussian", which has none.
        threshold_slope: per unit of ``segments``.
        sigma: width of the Gaussian decays.
        min_score: see above.
        max_num: picks of each group, None = all.

    Returns:
        (n,) rows kept and (n,) their decayed scores, in pick order within a group, groups ascending. Scores have the
        wider dtype of ``segments`` and ``scores``, at least single precision.

    Raises:
        ValueError: a bad segment or score (first bad row is named), shapes that differ, a value that is missing.
    """
    rule = _checked_rule(decay, tiou_threshold, threshold_slope, sigma, min_score)
    if max_num is not None and max_num < 1:
        raise ValueError(f"max_num: {max_num} must be at least 1; None keeps all")
    _check_rows(segments, scores, group)
    dtype = torch.promote_types(torch.promote_types(segments.dtype, scores.dtype), torch.float32)
    segments, scores = segments.to(dtype), scores.to(dtype)
    groups = Groups.of(group)
    if groups.order is not None:
        segments, scores = segments[groups.order], scores[groups.order]
    start, end = (column.contiguous() for column in segments.unbind(dim=1))
    # a group has at most as many picks as rows, so its picks find room where its rows were; the last place is for waste
    kept = torch.full((len(scores) + 1,), -1, device=scores.device)
    final = scores.new_empty(len(scores) + 1)
    for members, depth in groups.blocks():
        rows, strength, valid = pick_all(start, end, scores, *groups.positions(members, depth), rule, max_num)
        step = torch.arange(len(rows), device=rows.device)[:, None]
        place = torch.where(valid, groups.first[members] + step, len(scores)).flatten()
        kept.scatter_(0, place, rows.flatten())
        final.scatter_(0, place, strength.flatten())
    picked = torch.nonzero(kept[:-1] >= 0)[:, 0]
    kept, final = kept.index_select(0, picked), final.index_select(0, picked)
    return kept if groups.order is None else groups.order[kept], final


def _checked_rule(
    decay: Decay, tiou_threshold: float | None, threshold_slope: float, sigma: float | None, min_score: float
) -> Rule:
    if decay not in ("hard", "linear", "gaussian", "truncated_gaussian"):
        raise ValueError(f"decay: {decay!r} must be hard, linear, gaussian or truncated_gaussian")
    if decay == "gaussian" and (tiou_threshold is not None or threshold_slope):
        raise ValueError("decay: gaussian acts at every tIoU; truncated_gaussian is the one with a threshold")
    if decay != "gaussian" and (tiou_threshold is None or not tiou_threshold >= 0.0):
        raise ValueError(f"tiou_threshold: {tiou_threshold} must be 0 or more for decay {decay}")
    if "gaussian" in decay and (sigma is None or not sigma > 0.0):
        raise ValueError(f"sigma: {sigma} must be above 0 for decay {decay}")
    if not 0.0 <= threshold_slope < float("inf"):
        raise ValueError(f"threshold_slope: {threshold_slope} must be 0 or more")
    if not min_score >= 0.0:
        raise ValueError(f"min_score: {min_score} must be 0 or more")
    return Rule(decay, tiou_threshold or 0.0, threshold_slope, sigma or 1.0, min_score)


def _check_rows(segments: Tensor, scores: Tensor, group: Tensor) -> None:
    check_segments(segments, what="segments")
    if scores.shape != segments.shape[:1] or group.shape != segments.shape[:1]:
        raise ValueError(
            f"scores {tuple(scores.shape)} and group {tuple(group.shape)} must have one value for each of the "
            f"{len(segments)} segments"
        )
    if not is_within(scores, 0.0):
        row = int(torch.nonzero(~((scores >= 0) & torch.isfinite(scores)))[0])
        raise ValueError(f"scores: row {row} is {float(scores[row])}; a score is finite and not negative")
