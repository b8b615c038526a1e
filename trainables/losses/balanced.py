"""Classification losses in which positives and negatives weigh the same, however many there are of each.

A set that is empty adds 0, never NaN, and the graph stays connected. Sets are those of the joint batch where several
processes share it.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from trainables.layers.joint_rows import joint_rows


def mined_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of the positives plus that of as many of the hardest negatives.

    Source: Qinying-Liu/PBRNet:network.py, ``cls_loss``, which is NaN without a positive; here it is 0.

    Args:
        logits: (N, K + 1), background first.
        labels: (N,) int64, 0 = background, classes from 1; rows below 0 take no part.

    Returns:
        scalar.
    """
    taken = labels >= 0
    loss = F.cross_entropy(logits[taken], labels[taken], reduction="none")
    positive = labels[taken] > 0
    positives, negatives = joint_rows(loss[positive]), joint_rows(loss[~positive])
    hardest = negatives.topk(min(len(positives), len(negatives))).values
    return _mean(positives) + _mean(hardest)


def balanced_binary_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Half the mean over the positives plus half the mean over the negatives of the binary log loss.

    Source: BSN (Lin et al. 2018) Eq. (5): with l of all N positive, its weights N / 2l and N / 2(N - l) on sums over
    all N are these two means.

    Args:
        logits: (N,).
        labels: (N,) bool.

    Returns:
        scalar.
    """
    positives, negatives = joint_rows(F.softplus(-logits[labels])), joint_rows(F.softplus(logits[~labels]))
    return 0.5 * (_mean(positives) + _mean(negatives))


def _mean(values: Tensor) -> Tensor:
    return values.sum() / max(len(values), 1)
