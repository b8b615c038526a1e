"""The map that proposals and regions share: here the features as they came."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trainables.records import Batch


def repeat_last(samples: Tensor, lengths: Tensor, multiple_of: int = 1) -> Tensor:
    """Fill what lies behind the real end of each input with its last sample.

    Source: VisionLearningGroup/R-C3D:lib/utils/blob.py (short clips).

    Args:
        samples: (B, C, T, ...).
        lengths: (B,) real samples, at least 1.
        multiple_of: T grows to a multiple of it.

    Returns:
        (B, C, T', ...), the argument itself where nothing is to be filled.
    """
    size = -(-samples.shape[2] // multiple_of) * multiple_of
    if size == samples.shape[2] and bool((lengths == size).all()):
        return samples
    step = torch.arange(size, device=samples.device)
    take = torch.minimum(step, (lengths - 1)[:, None])
    return torch.stack([one.index_select(1, index) for one, index in zip(samples, take, strict=True)])


class FeatureMap(nn.Module):
    """Features as a map of height and width 1.

    Args:
        feat_dim: C.
    """

    samples_per_cell = 1
    spatial = False

    def __init__(self, feat_dim: int) -> None:
        super().__init__()
        self.channels = feat_dim

    def forward(self, batch: Batch) -> Tensor:
        """(B, C, T, 1, 1).

        Raises:
            ValueError: the batch has no features.
        """
        if batch.feats is None:
            raise ValueError("r_c3d reads pre-extracted features; the batch has none")
        return repeat_last(batch.feats, batch.valid_mask.sum(dim=1))[..., None, None]
