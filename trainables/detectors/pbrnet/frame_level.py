"""FGD: features of single frames, where they say that an action starts or ends, and how far off a segment's ends are.

Letters: B inputs, C channels, T cells, F = 8 T frames, s cells in height and width, N segments.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.detectors.pbrnet.pyramids import same_conv


class BoundaryOffset(nn.Module):
    """Offset of one end of a segment from three frames around it: r before, at, and r after.

    A convolution over three gathered frames is the sum of its three slices' responses, each gathered at its own frame:
    no segment's features are copied. Frames outside the clip count as zeros, as in Qinying-Liu/PBRNet:network.py.

    Args:
        width: C.
        space: s.
    """

    def __init__(self, *, width: int, space: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(width, 1, (3, space, space))

    def forward(self, x: Tensor, frame: Tensor, reach: Tensor) -> Tensor:
        """Offsets in lengths of the segments.

        Args:
            x: (B, C, F, s, s) frame features.
            frame: (B, N) int64 frame of the end.
            reach: (B, N) int64 r.

        Returns:
            (B, N).
        """
        slices = self.conv.weight[0].transpose(0, 1).unsqueeze(2)  # (3, C, 1, s, s)
        responses = F.conv3d(x, slices).flatten(2)  # (B, 3, F)
        at = frame[:, None] + reach[:, None] * torch.tensor([-1, 0, 1], device=x.device)[:, None]  # (B, 3, N)
        inside = (at >= 0) & (at < responses.shape[2])
        gathered = responses.gather(2, at.clamp(0, responses.shape[2] - 1))
        offsets: Tensor = torch.where(inside, gathered, 0.0).sum(dim=1)
        return offsets if self.conv.bias is None else offsets + self.conv.bias


class FrameModule(nn.Module):
    """Frame features from a branch and the finest refined map; boundary logits of every frame.

    Args:
        branch: frame features of the input.
        width: C.
        space: s.
    """

    def __init__(self, branch: nn.Module, *, width: int, space: int) -> None:
        super().__init__()
        self.branch = branch
        self.upwards = nn.ModuleList(nn.ConvTranspose3d(width, width, (2, 1, 1), stride=(2, 1, 1)) for _ in range(3))
        self.mix = same_conv(width, width, space)
        self.boundaries = nn.Conv3d(width, 2, (3, space, space), padding=(1, 0, 0))
        self.start_offset = BoundaryOffset(width=width, space=space)
        self.end_offset = BoundaryOffset(width=width, space=space)

    def forward(self, source: Tensor, refined: Tensor) -> tuple[Tensor, Tensor]:
        """Frame features (B, C, F, s, s) and logits (B, 2, F) of start and end.

        Args:
            source: what the branch reads.
            refined: (B, C, T, s, s) the finest refined map.
        """
        y = refined
        for k, up in enumerate(self.upwards):
            y = up(y) if k == len(self.upwards) - 1 else torch.relu(up(y))
        x = torch.relu(self.mix(torch.relu(self.branch(source) + y)))
        return x, self.boundaries(x).flatten(2)

    def offsets(self, x: Tensor, segments: Tensor) -> Tensor:
        """(B, N, 2) offsets of segments that start and end in the middle of a frame, in their lengths.

        Args:
            x: (B, C, F, s, s) frame features.
            segments: (B, N, 2) start, end in frames.
        """
        start, end = segments.floor().long().unbind(-1)
        reach = torch.div(end - start, 8, rounding_mode="floor")
        return torch.stack([self.start_offset(x, start, reach), self.end_offset(x, end, reach)], dim=-1)
