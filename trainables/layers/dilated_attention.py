"""The dilated attention layer: every frame attends to itself and to two neighbours, in every channel by itself.

Letters: B videos, C channels, T frames.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

TAPS = 3


class DilatedAttention(nn.Module):
    """(B, C, T) -> (B, C, T).

    Source: Dai et al., "PDAN: Pyramid Dilated Attention Network for Action Detection", WACV 2021; dairui01/PDAN. Frames
    beyond the video have score 0 and take part with the value that their place alone gives.

    Args:
        width: C.
        dilation: frames from one tap to the next.
    """

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self._dilation = dilation
        self.query, self.key, self.value = (nn.Conv1d(width, width, 1, bias=False) for _ in range(3))
        for projection in (self.query, self.key, self.value):
            nn.init.kaiming_normal_(projection.weight, mode="fan_out")
        self.place = nn.Parameter(torch.randn(width, TAPS))

    def forward(self, x: Tensor) -> Tensor:
        """Attend; ``x`` is 0 at padding."""
        keys, values = self._taps(self.key(x)), self._taps(self.value(x))
        weights = torch.softmax(self.query(x)[..., None] * keys, dim=-1)
        return (weights * (values + self.place[:, None])).sum(dim=-1)

    def _taps(self, x: Tensor) -> Tensor:
        """(B, C, T, 3) of (B, C, T): earlier frame, the frame, later frame; 0 beyond the ends."""
        length = x.shape[2]
        padded = F.pad(x, (self._dilation, self._dilation))
        starts = range(0, TAPS * self._dilation, self._dilation)
        return torch.stack([padded[:, :, start : start + length] for start in starts], dim=-1)
