"""Which segments count (III-E, steps 1 to 3), for training and at test."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.losses.oic import OicMode, oic_loss


@dataclass(frozen=True)
class Candidates:
    """The best anchor at each position that passed the thresholds.

    Attributes:
        sequence: (n,) row of the sequences the candidate belongs to.
        position: (n,) sample.
        anchor: (n,) index.
        oic: (n,) loss.
        ends: (n, 2) start, end in samples, clipped to the sequence.
    """

    sequence: Tensor
    position: Tensor
    anchor: Tensor
    oic: Tensor
    ends: Tensor


@torch.no_grad()
def select(
    cas_probs: Tensor,
    segments: Tensor,
    *,
    cas_thr: float,
    oic_keep: float,
    gamma: float,
    outer_min: float,
    oic_mode: OicMode = "continuous",
    log_prior: Tensor | None = None,
) -> Candidates:
    """Steps 1-3: positions with enough CAS, the anchor with the lowest OIC loss there, those below the keep threshold.

    Args:
        cas_probs: (S, T) sequences in [0, 1].
        segments: (S, M, T, 2) segments of every anchor at every position, in samples.
        cas_thr: least CAS of a position.
        oic_keep: largest OIC loss.
        gamma: rim as a share of the length.
        outer_min: least rim, samples.
        oic_mode: of the loss.
        log_prior: (S, M, T) logarithm of how likely each segment is beforehand: the anchor of a position is then the
            one with the highest (1 - OIC loss) times that likelihood. The keep threshold acts on the loss alone.
    """
    sequence, position = torch.nonzero(cas_probs >= cas_thr, as_tuple=True)
    ends = segments[sequence, :, position]  # (n, M, 2)
    counts = torch.bincount(sequence, minlength=len(cas_probs))
    width = int(counts.max()) if len(sequence) else 0
    if width == 0:
        empty = torch.zeros(0, dtype=torch.long, device=cas_probs.device)
        return Candidates(empty, empty, empty, cas_probs.new_zeros(0), cas_probs.new_zeros(0, 2))
    column = torch.arange(len(sequence), device=sequence.device) - (torch.cumsum(counts, 0) - counts)[sequence]
    padded = cas_probs.new_zeros(len(cas_probs), width, *ends.shape[1:])
    padded[..., 1] = 1.0  # padding is an ordinary segment, never looked at
    padded[sequence, column] = ends
    flat = padded.flatten(1, 2)
    loss = oic_loss(cas_probs, flat[..., 0], flat[..., 1], gamma=gamma, outer_min=outer_min, mode=oic_mode)
    loss = loss.reshape(len(cas_probs), width, -1)[sequence, column]  # (n, M)
    has_length = ends[..., 1] > ends[..., 0]
    rank = loss
    if log_prior is not None:
        rank = -(1.0 - loss).clamp(min=torch.finfo(loss.dtype).tiny).log() - log_prior[sequence, :, position]
    anchor = rank.masked_fill(~has_length, float("inf")).argmin(dim=1)
    best = loss.masked_fill(~has_length, float("inf")).gather(1, anchor[:, None])[:, 0]
    kept = best <= oic_keep
    return Candidates(sequence[kept], position[kept], anchor[kept], best[kept], ends[kept, anchor[kept]])
