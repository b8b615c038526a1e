"""From frames as a data set hands them out to logits: normalised, and at test every video on its own.

Letters: B inputs, T frames, H and W pixels, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.detectors.frame_level.network import FrameNetwork
from trainables.detectors.x3d.network import FrameX3D


class OnFrames(FrameNetwork):
    """A per-frame network on batches of frames.

    In training a batch goes through as it is. At test a video's answers do not depend on what else is in the batch:
    each is worked on alone, without its padding, in parts where it is long.

    Args:
        inner: normalised (B, 3, T, H, W) -> (B, K, T) logits.
        mean: of red, green and blue, of values in [0, 1].
        std: the same.
        part_length: most frames at once at test. Gates and convolutions do not see beyond a part.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, inner: nn.Module, *, mean: Sequence[float], std: Sequence[float], part_length: int) -> None:
        super().__init__()
        self.inner = inner
        self.part_length = part_length
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(values)[:, None, None, None], persistent=False)

    def forward(self, frames: Tensor, valid_mask: Tensor) -> Tensor:
        """Logits.

        Args:
            frames: (B, 3, T, H, W) from 0 to 255.
            valid_mask: (B, T) True = real; real frames come first.

        Returns:
            (B, K, T); at test 0 behind the end of a video.

        Raises:
            ValueError: frames of another shape.
        """
        if frames.ndim != 5 or frames.shape[1] != 3:
            raise ValueError(f"frames: X3D takes (B, 3, T, H, W), got {tuple(frames.shape)}")
        if self.training:
            return self.of_clips(self.normalised(frames), valid_mask)
        counts = valid_mask.sum(dim=1).tolist()
        found = [self._whole(video[None, :, :count]) for video, count in zip(frames, counts, strict=True)]
        return torch.cat([F.pad(own, (0, frames.shape[2] - own.shape[2])) for own in found])

    def renew_classes(self) -> None:
        """The classifier of X3D; networks of two streams have no pretraining of their own."""
        if not isinstance(self.inner, FrameX3D):
            super().renew_classes()
        else:
            self.inner.fc2.linear.reset_parameters()

    def of_clips(self, frames: Tensor, valid_mask: Tensor) -> Tensor:
        """(B, 3, T, H, W) normalised frames in training, or one part at test -> (B, K, T)."""
        logits: Tensor = self.inner(frames)
        return logits

    def normalised(self, frames: Tensor) -> Tensor:
        """(B, 3, T, H, W) from 0 to 255 -> the same, mean 0 and deviation 1."""
        return (frames.float() / 255 - self.mean) / self.std

    def _whole(self, video: Tensor) -> Tensor:
        """(1, 3, T, H, W) without padding -> (1, K, T)."""
        parts: Sequence[Tensor] = torch.split(video, self.part_length, dim=2)  # type: ignore[no-untyped-call, unused-ignore]
        real = [part.new_ones(1, part.shape[2], dtype=torch.bool) for part in parts]
        return torch.cat(
            [self.of_clips(self.normalised(part), mask) for part, mask in zip(parts, real, strict=True)], dim=2
        )
