"""What a frame-level detector is made of."""

from __future__ import annotations

from torch import nn


class FrameNetwork(nn.Module):
    """Base of the networks.

    ``forward`` takes (B, C, T) features or (B, 3, T, H, W) frames, and the (B, T) mask of what is real, and gives
    (B, K, S) logits. Where S is not T they are resampled, which takes inputs without padding.
    """

    def renew_classes(self) -> None:
        """Draw the layers that are of the classes anew; the rest stays."""
        raise TypeError(f"{type(self).__name__} does not say which of its layers are of the classes")
