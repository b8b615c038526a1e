"""Knowledge transfer (KT-MGFN III-D): pooled features of untrimmed videos are drawn to those of trimmed clips."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from trainables.layers.joint_rows import joint_rows, of_first
from trainables.losses.mmd import Kernel, mean_squared_distance, mmd2
from trainables.records import Batch

Scope = Literal["class", "batch"]

_NO_CLIP = "knowledge transfer: the data set has no trimmed clip to learn from"


class TransferLoss(nn.Module):
    """What a classifier saw in trimmed clips, and how far a batch of untrimmed videos is from it.

    Letters: N clips, P pooled vectors a video (one per stage and branch), W width, K classes.

    Args:
        num_trimmed: clips drawn per class and step.
        kernel: of the discrepancy.
        scope: clips against videos of the same class, or of the whole batch.
    """

    def __init__(self, *, num_trimmed: int, kernel: Kernel, scope: Scope) -> None:
        super().__init__()
        self._num_trimmed = num_trimmed
        self._kernel: Kernel = kernel
        self._scope = scope
        self.bank: Tensor
        self.labels: Tensor
        self.register_buffer("bank", torch.zeros(0, 0, 0))
        self.register_buffer("labels", torch.zeros(0, 0))

    def fill(self, pooled: Tensor, labels: Tensor) -> None:
        """Take the reference.

        Args:
            pooled: (N, P, W) of the trimmed clips.
            labels: (N, K) multi-hot.

        Raises:
            ValueError: there is no clip.
        """
        if not len(pooled):
            raise ValueError(_NO_CLIP)
        self.bank, self.labels = pooled.detach(), labels.detach()

    def fill_from(self, clips: Iterable[Batch], pool: Callable[[Batch], Tensor]) -> None:
        """Take the reference from batches of trimmed clips.

        Args:
            clips: with their labels.
            pool: (B, P, W) of a batch.

        Raises:
            ValueError: there is no clip, or a batch without labels.
        """
        pooled, labels = [], []
        for batch in clips:
            if batch.video_labels is None:
                raise ValueError("knowledge transfer: needs the labels of the trimmed clips; the batch has none")
            pooled.append(pool(batch))
            labels.append(batch.video_labels)
        if not pooled:
            raise ValueError(_NO_CLIP)
        self.fill(torch.cat(pooled), torch.cat(labels))

    def forward(self, pooled: Tensor, video_labels: Tensor) -> Tensor:
        """Squared MMD between clips and videos, mean over the classes of the batch that have clips, and over P.

        The batch is the joint one where several processes share it. The clips are drawn from torch's global generator,
        the first process's. The bandwidth is the mean squared distance over all vectors
        of the step: with one clip and one video of a class, its own would make the value a constant.

        Args:
            pooled: (B, P, W), with gradient.
            video_labels: (B, K).
        """
        if not len(self.bank):
            raise ValueError("knowledge transfer: the bank is empty; it is filled before the first loss")
        bank = self.bank.to(pooled)
        pooled, video_labels = joint_rows(pooled), joint_rows(video_labels)
        drawn = self._draw(video_labels)
        if not drawn:
            return pooled.sum() * 0.0
        sources = [bank[rows].transpose(0, 1) for rows, _ in drawn]  # (P, n, W)
        targets = [pooled[videos].transpose(0, 1) for _, videos in drawn]
        everything = torch.cat([torch.cat(sources, dim=1), pooled.transpose(0, 1)], dim=1)
        bandwidth = mean_squared_distance(everything)
        if self._scope == "batch":
            sources, targets = [torch.cat(sources, dim=1)], [pooled.transpose(0, 1)]
        values = [
            mmd2(source, target, bandwidth=bandwidth, kernel=self._kernel)
            for source, target in zip(sources, targets, strict=True)
        ]
        return torch.stack(values).mean()

    def _draw(self, video_labels: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Clips and videos of each class of the batch, as rows; classes without clips are passed over."""
        drawn = []
        for label in torch.nonzero(video_labels.sum(dim=0) > 0)[:, 0].tolist():
            rows = torch.nonzero(self.labels[:, label] > 0)[:, 0]
            if len(rows):
                rows = rows[of_first(torch.randperm(len(rows))[: self._num_trimmed]).to(rows.device)]
                drawn.append((rows, torch.nonzero(video_labels[:, label] > 0)[:, 0]))
        return drawn

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        """The size of the bank is known only once it is filled: what is loaded decides."""
        for name in ("bank", "labels"):
            if f"{prefix}{name}" in state_dict:
                setattr(self, name, torch.empty_like(state_dict[f"{prefix}{name}"]))
        super()._load_from_state_dict(state_dict, prefix, *rest)
