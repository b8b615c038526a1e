"""The two pyramids: coarse segments on the way down, refined ones on the way up.

Letters: B inputs, C channels, T_l cells of level l, s cells of the map in height and in width, n_l anchors of a cell,
N anchors of all levels, K1 classes with background. Every map is (B, C, T_l, s, s); s = 1 where there is no space.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from trainables.detectors.pbrnet.anchors import ANCHOR_FRAMES


def same_conv(in_channels: int, out_channels: int, space: int, *, stride: int = 1) -> nn.Conv3d:
    """3 x 3 x 3 convolution that keeps the map's height and width; 3 x 1 x 1 where there is no space."""
    extent = 3 if space > 1 else 1
    return nn.Conv3d(
        in_channels, out_channels, (3, extent, extent), stride=(stride, 1, 1), padding=(1, extent // 2, extent // 2)
    )


class LevelHeads(nn.Module):
    """Offsets and class logits of the anchors of one level, from a convolution over all of the space.

    Args:
        width: C.
        space: s.
        num_anchors: n_l.
        num_logits: K1.
    """

    def __init__(self, *, width: int, space: int, num_anchors: int, num_logits: int) -> None:
        super().__init__()
        kernel, padding = (3, space, space), (1, 0, 0)
        self.offsets = nn.Conv3d(width, 2 * num_anchors, kernel, padding=padding)
        self.logits = nn.Conv3d(width, num_logits * num_anchors, kernel, padding=padding)
        self._num_logits = num_logits

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T_l n_l, 2) and (B, T_l n_l, K1), cell by cell."""
        return _by_anchor(self.offsets(x), 2), _by_anchor(self.logits(x), self._num_logits)


def _by_anchor(x: Tensor, size: int) -> Tensor:
    """(B, n size, T_l, 1, 1) -> (B, T_l n, size)."""
    return x.flatten(2).transpose(1, 2).reshape(len(x), -1, size)


class Fusion(nn.Module):
    """A level on the way up: its coarse map and the refined map of the level above, at twice the length.

    Args:
        width: C.
        space: s.
        top: there is no level above.
    """

    def __init__(self, *, width: int, space: int, top: bool) -> None:
        super().__init__()
        self.lateral = same_conv(width, width, space)
        self.upwards = None if top else nn.ConvTranspose3d(width, width, (2, 1, 1), stride=(2, 1, 1))
        self.mix = same_conv(width, width, space)

    def forward(self, coarse: Tensor, above: Tensor | None) -> Tensor:
        """(B, C, T_l, s, s) from a map of its shape and one of half its length."""
        x = self.lateral(coarse)
        if self.upwards is not None:
            x = x + self.upwards(above)
        return torch.relu(self.mix(torch.relu(x)))


def _level_heads(width: int, space: int, num_logits: int) -> nn.ModuleList:
    return nn.ModuleList(
        LevelHeads(width=width, space=space, num_anchors=len(lengths), num_logits=num_logits)
        for lengths in ANCHOR_FRAMES
    )


def _join(parts: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    offsets, logits = zip(*parts, strict=True)
    return torch.cat(offsets, dim=1), torch.cat(logits, dim=1)


class CoarsePyramid(nn.Module):
    """CPD: six levels, each half as long as the one before.

    Source: Qinying-Liu/PBRNet:network.py.

    Args:
        channels: of the shared map.
        width: C.
        space: s.
        num_logits: K1.
    """

    def __init__(self, *, channels: int, width: int, space: int, num_logits: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            same_conv(width if level else channels, width, space, stride=2 if level else 1)
            for level in range(len(ANCHOR_FRAMES))
        )
        self.heads = _level_heads(width, space, num_logits)

    def forward(self, x: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
        """Maps of all levels, fine to coarse; (B, N, 2) offsets and (B, N, K1) logits of the anchors."""
        maps: list[Tensor] = []
        for level in self.levels:
            x = torch.relu(level(x))
            maps.append(x)
        offsets, logits = _join([head(x) for head, x in zip(self.heads, maps, strict=True)])
        return maps, offsets, logits


class RefinedPyramid(nn.Module):
    """RPD: from the coarsest level back to the finest.

    Source: Qinying-Liu/PBRNet:network.py.

    Args:
        width: C.
        space: s.
        num_logits: K1.
    """

    def __init__(self, *, width: int, space: int, num_logits: int) -> None:
        super().__init__()
        last = len(ANCHOR_FRAMES) - 1
        self.levels = nn.ModuleList(
            Fusion(width=width, space=space, top=level == last) for level in range(len(ANCHOR_FRAMES))
        )
        self.heads = _level_heads(width, space, num_logits)

    def forward(self, coarse: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """The finest map; (B, N, 2) offsets and (B, N, K1) logits, in the order of the anchors."""
        found: list[tuple[Tensor, Tensor]] = []
        x: Tensor | None = None
        for level in reversed(range(len(self.levels))):
            x = self.levels[level](coarse[level], x)
            found.append(self.heads[level](x))
        assert x is not None, "there are levels"
        offsets, logits = _join(found[::-1])
        return x, offsets, logits
