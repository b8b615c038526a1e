"""Clips with the labels of their frames, kept apart by the clips that were mixed into them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Clips:
    """A batch of clips, each a mixture of P others (P = 1: nothing was mixed).

    Attributes:
        video: (B, C, T, H, W) frames, or (B, C, T) features, float.
        num_frames: (B,) int64 frames that are real; those behind are never read.
        labels: (P, B, T, K) in [0, 1], of each part.
        weights: (P, B, T) share of each part; they sum to 1 over the parts on real frames, to 0 behind them.
        visible: (P, B, T) bool, where a part is laid.
    """

    video: Tensor
    num_frames: Tensor
    labels: Tensor
    weights: Tensor
    visible: Tensor

    @classmethod
    def of(cls, video: Tensor, frame_labels: Tensor, num_frames: Tensor | None = None) -> Clips:
        """Clips as they come from data.

        Args:
            video: (B, C, T, H, W) or (B, C, T); whole numbers become float32.
            frame_labels: (B, T, K).
            num_frames: (B,), None = all T of each.

        Raises:
            ValueError: shapes that do not fit, or a number of frames outside 1 to T.
        """
        if video.dim() not in (3, 5) or frame_labels.shape[:2] != (video.shape[0], video.shape[2]):
            raise ValueError(
                f"clips: video {tuple(video.shape)} must be (B, C, T) or (B, C, T, H, W), and labels "
                f"{tuple(frame_labels.shape)} (B, T, K) of the same B and T"
            )
        batch, width = frame_labels.shape[:2]
        if num_frames is None:
            num_frames = torch.full((batch,), width, device=video.device)
        bad = ((num_frames < 1) | (num_frames > width)).nonzero()
        if len(bad):
            row = int(bad[0])
            raise ValueError(f"clips: clip {row} has {int(num_frames[row])} frames, it must be from 1 to T = {width}")
        real = torch.arange(width, device=video.device) < num_frames[:, None]
        if not video.is_floating_point():
            video = video.float()
        return cls(video, num_frames, frame_labels[None], real[None].to(frame_labels.dtype), real[None])

    def __len__(self) -> int:
        """B."""
        return len(self.num_frames)

    @property
    def valid_mask(self) -> Tensor:
        """(B, T) bool, True = real."""
        return torch.arange(self.video.shape[2], device=self.video.device) < self.num_frames[:, None]

    @property
    def frame_labels(self) -> Tensor:
        """(B, T, K) labels of the mixture."""
        return (self.weights[..., None] * self.labels).sum(dim=0)

    def rows(self, index: Tensor) -> Clips:
        """Some of the clips: ``index`` (b,) int64."""
        return Clips(
            self.video[index], self.num_frames[index], self.labels[:, index], self.weights[:, index],
            self.visible[:, index],
        )  # fmt: skip

    def frames(self, index: Tensor) -> Clips:
        """Every clip with frame ``index[b, t]`` at t; (B, T') int64. ``num_frames`` stays as it is."""
        own = index[:, None, :, None, None] if self.video.dim() == 5 else index[:, None]
        return replace(
            self,
            video=torch.take_along_dim(self.video, own, dim=2),
            labels=torch.take_along_dim(self.labels, index[None, :, :, None], dim=2),
            weights=torch.take_along_dim(self.weights, index[None], dim=2),
            visible=torch.take_along_dim(self.visible, index[None], dim=2),
        )

    def where(self, mask: Tensor) -> Clips:
        """The same, with labels of no weight outside ``mask`` (B, T)."""
        return replace(self, weights=self.weights * mask, visible=self.visible & mask)

    def with_rows(self, index: Tensor, changed: Clips) -> Clips:
        """These clips with others in the rows ``index`` (b,), which may have more parts."""
        if len(index) == len(self) and torch.equal(index, torch.arange(len(self), device=index.device)):
            return changed
        missing = changed.labels.shape[0] - self.labels.shape[0]
        return Clips(
            video=self.video.index_copy(0, index, changed.video),
            num_frames=self.num_frames.index_copy(0, index, changed.num_frames),
            labels=_more_parts(self.labels, missing).index_copy(1, index, changed.labels),
            weights=_more_parts(self.weights, missing).index_copy(1, index, changed.weights),
            visible=_more_parts(self.visible, missing).index_copy(1, index, changed.visible),
        )


def _more_parts(parts: Tensor, missing: int) -> Tensor:
    """(P, ...) -> (P + missing, ...), those that are missing 0."""
    return torch.cat([parts, parts.new_zeros(missing, *parts.shape[1:])]) if missing else parts
