"""Classification against distributions over classes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """-(1 / M) sum_j l_j . log softmax(t_j), and how far it is above its least value, the labels' mean entropy.

    Source: Three Birds Eq. (6).

    Args:
        logits: (M, K) t.
        targets: (M, K) l, rows sum to 1; M at least 1.

    Returns:
        two scalars in nats; the second is the mean Kullback-Leibler divergence of the predictions from the labels.
    """
    loss = F.cross_entropy(logits, targets)
    return loss, loss - torch.special.entr(targets).sum(dim=1).mean()
