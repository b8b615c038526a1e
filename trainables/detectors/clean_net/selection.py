"""Which anchors are looked at and how segments are judged (3.3.2 and 3.4), for training and at test.

Letters: S sequences (a video and a class each), M anchors, T snippets.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.detectors.clean_net.config import Contrast
from trainables.layers.edgeness import edgeness
from trainables.layers.snippet_heads import attention_weights
from trainables.losses.contrast import contrast_parts, contrast_score
from trainables.losses.oic import oic_loss

#: Least rim of AutoLoc's score on each side, snippets (zhengshou/AutoLoc:lib/config.py).
OIC_OUTER_MIN = 1.0


def judge(scp: Tensor, valid_mask: Tensor, segments: Tensor, settings: Contrast) -> Tensor:
    """Score of segments; the terms that are switched off change it everywhere (Table 2).

    Both terms: Eq. (12). "action" alone: s_a. "edge" alone: s_s + s_e, without the half. "oic": AutoLoc's score.

    Args:
        scp: (S, T) class scores in [0, 1], 0 at padding.
        valid_mask: (S, T).
        segments: (S, M, T, 2) in snippets.
        settings: of the evaluator.

    Returns:
        (S, M, T); gradient reaches the segments, and the class scores unless they are detached.
    """
    start, end = segments.flatten(1, 2).unbind(dim=-1)
    if settings.terms == ("oic",):
        score = -oic_loss(scp, start, end, gamma=settings.ratio, outer_min=OIC_OUTER_MIN)
        return score.reshape(segments.shape[:3])
    edges = edgeness(scp, valid_mask, window=settings.window, tie=settings.tie)
    parts = contrast_parts(scp, edges, start, end, ratio=settings.ratio, min_region=settings.min_region)
    if settings.terms == ("action",):
        score = parts.action
    elif settings.terms == ("edge",):
        score = parts.start + parts.end
    else:
        score = contrast_score(parts, w_edge=settings.w_edge)
    return score.reshape(segments.shape[:3])


def open_positions(
    scp: Tensor, attention_logits: Tensor, valid_mask: Tensor, *, theta_scp: float, sap_mode: str, theta_sap: float
) -> Tensor:
    """Positions whose anchors are looked at: class score and attention reach their thresholds.

    Args:
        scp: (S, T).
        attention_logits: (S, T).
        valid_mask: (S, T).
        theta_scp: least class score.
        sap_mode: attention as a multiple of its mean over the video ("relative"), as its logit ("raw"), unused ("off").
        theta_sap: least attention.

    Returns:
        (S, T) bool.
    """
    is_open = valid_mask & (scp >= theta_scp)
    if sap_mode == "raw":
        return is_open & (attention_logits >= theta_sap)
    if sap_mode == "relative":
        relative = attention_weights(attention_logits, valid_mask) * valid_mask.sum(dim=1, keepdim=True)
        return is_open & (relative >= theta_sap)
    return is_open


def candidates(scores: Tensor, segments: Tensor, is_open: Tensor, *, per_position_best: bool) -> Tensor:
    """(S, M, T) bool: segments of open positions that have a length; of each position the best only, where asked.

    Args:
        scores: (S, M, T).
        segments: (S, M, T, 2).
        is_open: (S, T).
        per_position_best: of equal scores the shorter anchor, which comes first.
    """
    usable = is_open[:, None] & (segments[..., 1] > segments[..., 0])
    if not per_position_best:
        return usable
    best = scores.masked_fill(~usable, float("-inf")).argmax(dim=1)
    return usable & torch.nn.functional.one_hot(best, scores.shape[1]).movedim(-1, 1).bool()
