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

    def left(self, strength: Tensor) -> Tensor:
        """True where a candidate can still be picked.

        Scores only fall and a pick is the highest, so a candidate below ``min_score`` may as well stay: nothing that
        is picked afterwards would have been weakened by it.
        """
        least = torch.tensor(self.min_score, dtype=strength.dtype, device=strength.device)
        return (strength >= (least.log() if self.in_logs else least)) & (strength > self.gone)


class Candidates:
    """What is left of every group, in the order of the rows.

    Args:
        segments: (N, 2) start, end.
        scores: (N,).
        rows: (D, G) candidates of each group.
        real: (D, G) False where ``rows`` is padding.
        rule: how they weaken.
    """

    def __init__(self, segments: Tensor, scores: Tensor, rows: Tensor, real: Tensor, rule: Rule) -> None:
        self._rule = rule
        self._rows = rows
        self._start, self._end = segments[:, 0][rows], segments[:, 1][rows]
        # a floor here saves one of the union for every pair
        self._length = (self._end - self._start).clamp_(min=torch.finfo(segments.dtype).tiny)
        score = torch.where(real, scores[rows], 0.0)
        self._strength = score.log_() if rule.in_logs else score
        self._set_width(len(rows))

    def _set_width(self, width: int) -> None:
        self._tiou, self._work = torch.empty_like(self._strength), torch.empty_like(self._strength)
        self._first_most = torch.arange(width, 0, -1, dtype=self._strength.dtype, device=self._rows.device)[:, None]

    def tidy(self) -> bool:
        """Move what is left together where that is little; False where nothing is."""
        left = self._rule.left(self._strength)
        width = int(left.sum(dim=0).max())
        if 0 < width <= _CROWDED * len(left):
            place = torch.where(left, left.cumsum(dim=0) - 1, width)  # the others share a place that is cut off

            def moved(values: Tensor, fill: float) -> Tensor:
                return values.new_full((width + 1, values.shape[1]), fill).scatter_(0, place, values)[:width]

            self._start, self._end = moved(self._start, 0.0), moved(self._end, 0.0)
            self._length, self._rows = moved(self._length, 1.0), moved(self._rows, 0)
            self._strength = moved(self._strength, self._rule.gone)
            self._set_width(width)
        return width > 0

    def pick(self, rows: Tensor, strength: Tensor) -> None:
        """Take the strongest of every group, of equals the earliest, and weaken the others.

        Args:
            rows: (1, G), receives the row picked; any where nothing is left.
            strength: (1, G), receives its strength.
        """
        torch.amax(self._strength, dim=0, keepdim=True, out=strength)
        # several times faster than an argmax, which looks at one element at a time
        self._work.copy_(self._strength).eq_(strength).mul_(self._first_most)
        at = (len(self._work) - self._work.amax(dim=0, keepdim=True)).long()
        torch.gather(self._rows, 0, at, out=rows)
        start, end = self._start.gather(0, at), self._end.gather(0, at)
        self._measure(start, end)
        self._weaken(end - start)
        self._strength.scatter_(0, at, self._rule.gone)

    def _measure(self, start: Tensor, end: Tensor) -> None:
        """tIoU of everything with the pick of its group."""
        tiou, work = self._tiou, self._work
        torch.minimum(self._end, end, out=tiou)
        torch.maximum(self._start, start, out=work)
        tiou.sub_(work).relu_()
        torch.add(self._length, end - start, out=work)
        tiou.div_(work.sub_(tiou))

    def _weaken(self, length: Tensor) -> None:
        """Apply the decay; ``length`` (1, G) is that of the picks."""
        rule, tiou = self._rule, self._tiou
        if rule.decay == "gaussian":
            self._strength.addcmul_(tiou, tiou, value=-1.0 / rule.sigma)
            return
        near = self._work.copy_(tiou).ge_(rule.tiou_threshold + rule.threshold_slope * length)
        if rule.decay == "hard":
            factor = near.neg_().add_(1.0)
        elif rule.decay == "linear":
            factor = tiou.mul_(near).neg_().add_(1.0)
        else:
            factor = tiou.mul_(near).square_().div_(-rule.sigma).exp_()
        self._strength.mul_(factor)


def pick_all(
    segments: Tensor, scores: Tensor, rows: Tensor, real: Tensor, rule: Rule, max_num: int | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Every pick of every group of a block.

    Args:
        segments: (N, 2) start, end, checked.
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
    candidates = Candidates(segments, scores, rows, real, rule)
    picked, strength = rows.new_zeros(picks, num_groups), scores.new_full((picks, num_groups), rule.gone)
    for k in range(picks):
        if k % _LOOK_EVERY == 0 and not candidates.tidy():
            break
        candidates.pick(picked[k : k + 1], strength[k : k + 1])
    valid = rule.left(strength)
    return picked, strength.exp_() if rule.in_logs else strength, valid
