"""The loop of non-maximum suppression over the groups of one block: pick, weaken what overlaps, repeat.

Letters: D candidates side by side, G groups, a column each; P picks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Decay = Literal["hard", "linear", "gaussian", "truncated_gaussian"]

#: Picks between two looks at what is left.
_LOOK_EVERY = 16
#: Candidates move together where at most this share is left: rarer, and dead ones are weakened; more often, and moving
#: them costs more than it saves.
_CROWDED = 0.6


@dataclass(frozen=True)
class Rule:
    """How a pick weakens the others; see :func:`trainables.layers.nms.suppress`."""

    decay: Decay
    tiou_threshold: float
    threshold_slope: float
    sigma: float
    min_score: float

    @property
    def in_logs(self) -> bool:
        """Products of exponentials are kept as sums: one multiplication a pair instead of an exponential."""
        return self.decay == "gaussian"

    @property
    def gone(self) -> float:
        """Strength of a candidate that can no longer be picked."""
        return -math.inf if self.in_logs else 0.0

    def least(self, like: Tensor) -> Tensor:
        """Smallest strength that can still be picked, above ``gone``, as a scalar of the dtype and device of ``like``.

        Scores only fall and a pick is the highest, so a candidate below ``min_score`` may as well stay: nothing that
        is picked afterwards would have been weakened by it.
        """
        least = torch.tensor(self.min_score, dtype=like.dtype, device=like.device)
        if self.in_logs:
            return least.log_().clamp_(min=torch.finfo(like.dtype).min)
        return torch.maximum(least, torch.nextafter(torch.zeros_like(least), torch.ones_like(least)))


class Candidates:
    """What is left of every group, the latest row on top.

    Args:
        start: (N,) of the segments.
        end: (N,).
        scores: (N,).
        rows: (D, G) candidates of each group.
        real: (D, G) False where ``rows`` is padding.
        rule: how they weaken.
    """

    def __init__(self, start: Tensor, end: Tensor, scores: Tensor, rows: Tensor, real: Tensor, rule: Rule) -> None:
        self._rule = rule
        self._rows = rows.flip(0)
        flat = self._rows.flatten()  # index_select copies several times faster than an index of two dimensions
        self._start, self._end, score = (values.index_select(0, flat).view_as(rows) for values in (start, end, scores))
        score.mul_(real.flip(0))
        self._strength = score.log_() if rule.in_logs else score
        self._least = rule.least(score)
        self._prepare()

    def _prepare(self) -> None:
        strength = self._strength
        # a floor here saves one of the union for every pair
        self._length = (self._end - self._start).clamp_(min=torch.finfo(strength.dtype).tiny)
        self._tiou, self._work = torch.empty_like(strength), torch.empty_like(strength)
        self._place = torch.arange(len(strength), dtype=strength.dtype, device=strength.device)[:, None]
        self._at = torch.empty_like(self._rows[:1])
        self._one = strength.new_ones(())

    def tidy(self) -> bool:
        """Move what is left together where that is little; False where nothing is."""
        # zeros and ones of the strength's dtype: comparisons are vectorised into their own dtype only
        width = int(torch.ge(self._strength, self._least, out=self._work).sum(dim=0).max())
        if 0 < width <= _CROWDED * len(self._work):
            left = self._strength >= self._least
            place = left.cumsum(dim=0).sub_(1).masked_fill_(~left, width)  # the others share a place that is cut off

            def moved(values: Tensor, fill: float) -> Tensor:
                return values.new_full((width + 1, values.shape[1]), fill).scatter_(0, place, values)[:width]

            self._start, self._end, self._rows = moved(self._start, 0.0), moved(self._end, 0.0), moved(self._rows, 0)
            self._strength = moved(self._strength, self._rule.gone)
            self._prepare()
        return width > 0

    def pick(self, rows: Tensor, strength: Tensor) -> None:
        """Take the strongest of every group, of equals the earliest, and weaken the others.

        Args:
            rows: (1, G), receives the row picked; any where nothing is left.
            strength: (1, G), receives its strength.
        """
        torch.amax(self._strength, dim=0, keepdim=True, out=strength)
        # the topmost of the strongest, several times faster than an argmax, which takes one element at a time
        torch.eq(self._strength, strength, out=self._work)
        at = self._at.copy_(self._work.mul_(self._place).amax(dim=0, keepdim=True))
        torch.gather(self._rows, 0, at, out=rows)
        self._weaken(self._start.gather(0, at), self._end.gather(0, at))
        self._strength.scatter_(0, at, self._rule.gone)

    def _weaken(self, start: Tensor, end: Tensor) -> None:
        """Apply the decay to what overlaps the picks, (1, G) each."""
        rule, tiou, work = self._rule, self._tiou, self._work
        length = end - start
        torch.minimum(self._end, end, out=tiou)
        torch.maximum(self._start, start, out=work)
        tiou.sub_(work).relu_()
        torch.add(self._length, length, out=work)
        tiou.div_(work.sub_(tiou))
        if rule.decay == "gaussian":
            self._strength.addcmul_(tiou, tiou, value=-1.0 / rule.sigma)
            return
        threshold = rule.tiou_threshold + rule.threshold_slope * length
        if rule.decay == "hard":
            factor = torch.lt(tiou, threshold, out=work)
        elif rule.decay == "linear":
            factor = torch.addcmul(self._one, tiou, torch.ge(tiou, threshold, out=work), value=-1.0, out=work)
        else:
            factor = tiou.mul_(torch.ge(tiou, threshold, out=work)).square_().div_(-rule.sigma).exp_()
        self._strength.mul_(factor)


def pick_all(
    start: Tensor, end: Tensor, scores: Tensor, rows: Tensor, real: Tensor, rule: Rule, max_num: int | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Every pick of every group of a block.

    Args:
        start: (N,) of the segments.
        end: (N,) not before ``start``.
        scores: (N,) not negative.
        rows: (D, G) candidates of each group.
        real: (D, G) False where ``rows`` is padding.
        rule: how a pick weakens the others.
        max_num: picks of a group, None = all.

    Returns:
        (P, G) rows in pick order, (P, G) their final scores, (P, G) False where the group had nothing left.
    """
    depth, num_groups = rows.shape
    picks = depth if max_num is None else min(depth, max_num)
    candidates = Candidates(start, end, scores, rows, real, rule)
    picked, strength = rows.new_zeros(picks, num_groups), scores.new_full((picks, num_groups), rule.gone)
    for k, (row, value) in enumerate(zip(torch.split(picked, 1), torch.split(strength, 1), strict=True)):
        if k % _LOOK_EVERY == 0 and not candidates.tidy():
            break
        candidates.pick(row, value)
    valid = strength >= rule.least(strength)
    return picked, strength.exp_() if rule.in_logs else strength, valid
