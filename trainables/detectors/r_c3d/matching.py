"""Candidates against the annotated segments of their input, all inputs at once.

Letters: B inputs, N candidates and G segments of the input that has most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.detectors.r_c3d.anchors import half_open
from trainables.layers.input_draws import uniform_of_inputs
from trainables.layers.tiou import paired_tiou
from trainables.records import SegmentTargets


@dataclass(frozen=True)
class PaddedTargets:
    """Annotated segments of a batch.

    Attributes:
        segments: (B, G, 2) float64 start, end in samples; G is at least 1.
        labels: (B, G) int64 classes from 1, 0 = background is none of them.
        real: (B, G) False where a row is padding.
    """

    segments: Tensor
    labels: Tensor
    real: Tensor

    @classmethod
    def of(cls, targets: Sequence[SegmentTargets], device: torch.device) -> PaddedTargets:
        """From one entry per input."""
        width = max(1, *(len(t.labels) for t in targets))
        segments = torch.zeros(len(targets), width, 2, dtype=torch.float64, device=device)
        labels = torch.zeros(len(targets), width, dtype=torch.long, device=device)
        real = torch.zeros(len(targets), width, dtype=torch.bool, device=device)
        for row, target in enumerate(targets):
            count = len(target.labels)
            segments[row, :count] = target.segments_grid.double()
            labels[row, :count] = target.labels + 1
            real[row, :count] = True
        return cls(segments, labels, real)


def tiou_with_targets(candidates: Tensor, targets: PaddedTargets, *, inclusive: bool) -> Tensor:
    """(B, N, G) tIoU, 0 with padding.

    Args:
        candidates: (N, 2) or (B, N, 2) start, end in samples.
        targets: of the batch.
        inclusive: see :mod:`trainables.detectors.r_c3d.anchors`.
    """
    ours = half_open(candidates.double(), inclusive=inclusive)
    theirs = half_open(targets.segments, inclusive=inclusive)
    return paired_tiou(ours[..., :, None, :], theirs[:, None]) * targets.real[:, None]


def random_subset(among: Tensor, count: Tensor) -> Tensor:
    """(B, N) True for ``count`` random members of each row, for all where there are fewer.

    The choice of a row depends on its own members alone (:func:`trainables.layers.input_draws.uniform_of_inputs`).

    Args:
        among: (B, N) bool, the members.
        count: (B,) at most so many.
    """
    key = torch.full(among.shape, 2.0, dtype=torch.float64, device=among.device)
    key[among] = uniform_of_inputs(among.sum(dim=1)).to(among.device)
    rank = key.argsort(dim=1).argsort(dim=1)
    return among & (rank < count[:, None])


def pad_rows(rows: Tensor, owner: Tensor, num_inputs: int) -> tuple[Tensor, Tensor]:
    """Rows of several inputs side by side.

    Args:
        rows: (R, ...).
        owner: (R,) int64 input of each, ascending.
        num_inputs: B.

    Returns:
        (B, P, ...) with zeros behind the rows of an input, and (B, P) True where there is a row; P is at least 1.
    """
    counts = torch.bincount(owner, minlength=num_inputs)
    place = torch.arange(len(owner), device=owner.device) - (counts.cumsum(0) - counts)[owner]
    width = max(1, int(counts.max()))
    padded = rows.new_zeros(num_inputs, width, *rows.shape[1:])
    padded[owner, place] = rows
    return padded, torch.arange(width, device=owner.device) < counts[:, None]
