"""What the three steps learn, and the losses of each.

Letters: B inputs, N references (anchors, coarse segments, refined segments) of each, F frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.detectors.pbrnet.settings import Match
from trainables.detectors.pbrnet.targets import LEFT_OUT, Instances, assign, boundary_labels
from trainables.layers.offsets import encode_centre_length, encode_ends
from trainables.losses.balanced import balanced_binary_cross_entropy, mined_cross_entropy
from trainables.losses.smooth_l1 import smooth_l1


@dataclass(frozen=True)
class Step:
    """What one of the steps starts from.

    Attributes:
        references: (B, N, 2) start, end in frames; constants.
        background: (B, N) background probability of the step before; 1 where an anchor shows nothing.
    """

    references: Tensor
    background: Tensor


def targets_of(steps: Mapping[str, Step], instances: Instances, match: Match, in_clip: Tensor) -> dict[str, Tensor]:
    """Labels and instances of the references of every step. What is rejected once takes no part in later steps.

    Args:
        steps: cpd, rpd, fgd, in this order.
        instances: of the batch.
        match: thresholds.
        in_clip: (B, F) bool, False = padding.

    Returns:
        ``<step>_labels`` (B, N), ``LEFT_OUT`` where a reference takes no part; ``<step>_matched`` and
        ``<step>_references`` (B, N, 2) frames; ``boundary_labels`` (B, 2, F) bool; ``in_clip``.
    """
    thresholds = {"cpd": match.cpd_tiou, "rpd": match.rpd_tiou, "fgd": match.fgd_tiou}
    labels = boundary_labels(instances, in_clip.shape[1], match.boundary_ratio)
    found = {"boundary_labels": labels, "in_clip": in_clip}
    kept: Tensor | bool = True
    for name, step in steps.items():
        kept = (step.background < match.reject_bg_prob) & kept
        labels, matched = assign(step.references, instances, thresholds[name])
        found |= {f"{name}_labels": labels.where(kept, LEFT_OUT), f"{name}_matched": matched}
        found[f"{name}_references"] = step.references
    return found


def class_loss(terms: Mapping[str, Tensor], name: str) -> Tensor:
    """Positives beside as many of the hardest negatives, over the whole batch."""
    return mined_cross_entropy(terms[f"{name}_logits"].flatten(0, 1), terms[f"{name}_labels"].flatten())


def offset_loss(terms: Mapping[str, Tensor], name: str) -> Tensor:
    """Mean smooth L1 over the positives that take part, and over both offsets."""
    positive = terms[f"{name}_labels"] > 0
    encode = encode_ends if name == "fgd" else encode_centre_length
    target = encode(terms[f"{name}_references"][positive], terms[f"{name}_matched"][positive])
    loss = smooth_l1(terms[f"{name}_offsets"][positive] - target, sigma=1.0)
    return loss.sum() / max(loss.numel(), 1)


def boundary_loss(terms: Mapping[str, Tensor]) -> Tensor:
    """Balanced log loss of the frames that start an action, plus that of those that end one."""
    inside = terms["in_clip"]
    logits, labels = terms["boundary_logits"], terms["boundary_labels"]
    parts = [balanced_binary_cross_entropy(logits[:, k][inside], labels[:, k][inside]) for k in range(2)]
    return torch.stack(parts).sum()
