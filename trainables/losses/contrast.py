"""The contrast score of a segment: hot inside, rising at its start, falling at its end, cold just outside.

Source: CleanNet (Liu et al., ICCV 2019), 3.3.2, Eqs. 8 to 13. Differs: means over an index range are integrals over a
continuous axis (:mod:`trainables.layers.integral`), which gives segment ends between snippets a value and a gradient.

Letters: S sequences, T snippets, n segments of a sequence.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.layers.integral import mean_between


@dataclass(frozen=True)
class ContrastParts:
    """The three scores of segments, each (S, n): ``action`` s_a, ``start`` s_s, ``end`` s_e."""

    action: Tensor
    start: Tensor
    end: Tensor


def contrast_parts(
    cas_probs: Tensor, edges: Tensor, start: Tensor, end: Tensor, *, ratio: float = 0.25, min_region: float = 0.0
) -> ContrastParts:
    """Eqs. 8 to 11 with r = ``ratio`` (the paper: 1/4) and w the length of a segment.

    s_a is the mean score over [start + r w, end - r w), s_s the mean edgeness over [start - r w, start + r w) minus the
    mean score over [start - r w, start), s_e the same at the end with the edgeness negated.

    Args:
        cas_probs: (S, T) in [0, 1], 0 at padding; outside [0, T) it counts as 0.
        edges: (S, T) of :func:`trainables.layers.edgeness.edgeness`.
        start: (S, n) in snippets.
        end: (S, n), >= start.
        ratio: r, up to 1/2.
        min_region: every region is widened about its middle to at least so many snippets.

    Returns:
        The scores; gradient reaches the ends, and the sequences unless they are detached.
    """
    rim = ratio * (end - start)

    def mean(sequence: Tensor, low: Tensor, high: Tensor) -> Tensor:
        grow = 0.5 * (min_region - (high - low)).clamp(min=0.0)
        return mean_between(sequence, low - grow, high + grow)

    return ContrastParts(
        action=mean(cas_probs, start + rim, end - rim),
        start=mean(edges, start - rim, start + rim) - mean(cas_probs, start - rim, start),
        end=-mean(edges, end - rim, end + rim) - mean(cas_probs, end, end + rim),
    )


def contrast_score(parts: ContrastParts, *, w_edge: float = 1.0) -> Tensor:
    """Eq. (12): s = s_a + w_edge (s_s + s_e) / 2, in [-2, 2] for ``w_edge`` = 1."""
    return parts.action + w_edge * 0.5 * (parts.start + parts.end)


def margin_loss(scores: Tensor, chosen: Tensor, *, margin: float) -> Tensor:
    """Eq. (13): mean of max(margin - s, 0) over the chosen segments, 0 where there is none.

    Args:
        scores: any shape.
        chosen: the same shape, bool.
        margin: m; from 2 on it never saturates.
    """
    short = torch.where(chosen, (margin - scores).clamp(min=0.0), 0.0)
    return short.sum() / chosen.sum().clamp(min=1)
