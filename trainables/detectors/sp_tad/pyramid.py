"""The temporal feature pyramid, and features of segments of interest read from it.

Letters: B inputs, N segments of each, C channels, L levels, T_l cells of level l, P positions of a segment. Segments
are (start, end) in shares of the clip: [0, 1] is all of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.detectors.sp_tad.settings import Fpn, Soi
from trainables.layers.align_weights import align_weights

#: Levels of the pyramids that have several.
NUM_LEVELS = 4

#: Keeps the logarithm of a length finite, as detectron2's ROIPooler does.
_TINY_LENGTH = 1e-8

#: Where an infinite end is taken to lie: far enough to be nowhere, near enough to reckon with.
_FAR = 1e30


@dataclass(frozen=True)
class Levels:
    """The maps of all levels, fine to coarse, one behind the other.

    Attributes:
        cells: (B, sum T_l, C).
        counts: (L,) int64 T_l.
        strides: (L,) float64 samples of the input that a cell covers.
        num_samples: of the clip, padding included: what 1 stands for in segments.
    """

    cells: Tensor
    counts: Tensor
    strides: Tensor
    num_samples: int

    @classmethod
    def of(cls, maps: Sequence[Tensor], strides: Sequence[float], num_samples: int) -> Levels:
        """(B, C, T_l) maps, side by side."""
        device = maps[0].device
        return cls(
            torch.cat(list(maps), dim=2).transpose(1, 2),
            torch.tensor([x.shape[2] for x in maps], device=device),
            torch.tensor(strides, dtype=torch.float64, device=device),
            num_samples,
        )

    def finest(self) -> Tensor:
        """(B, C, T_0) the first map."""
        return self.cells[:, : int(self.counts[0])].transpose(1, 2)


class Pyramid(nn.Module):
    """Lateral convolutions, a way down from the coarsest sequence, output convolutions.

    Source: 3.1.2 and Table 5; Lin et al. 2017, arXiv:1612.03144, as detectron2 builds it.

    Args:
        kind: "inter": a level of each of three stages, and the last one pooled; "high": the last stage, halved three
            times; "single": the last stage alone.
        channels: of the three stages.
        strides: of the three stages, samples.
        width: C.
        fpn: details.
    """

    def __init__(self, kind: str, *, channels: Sequence[int], strides: Sequence[float], width: int, fpn: Fpn) -> None:
        super().__init__()
        self._kind, self._fpn = kind, fpn
        last = strides[-1]
        self.strides: tuple[float, ...] = {
            "single": (last,),
            "high": tuple(last * 2**level for level in range(NUM_LEVELS)),
            "inter": (*strides, 2 * last),
        }[kind]
        laterals = {
            "single": channels[-1:],
            "high": [channels[-1]] + [width if fpn.high_step == "conv" else channels[-1]] * (NUM_LEVELS - 1),
            "inter": channels,
        }[kind]
        self.lateral = nn.ModuleList(_conv(c, width, fpn.lateral_kernel, fpn.norm) for c in laterals)
        self.output = nn.ModuleList(_conv(width, width, 3, fpn.norm) for _ in laterals if fpn.out_conv)
        if kind == "high" and fpn.high_step == "conv":
            self.steps = nn.ModuleList(_conv(c, width, 3, fpn.norm, stride=2) for c in laterals[:-1])

    def forward(self, sequences: Sequence[Tensor]) -> list[Tensor]:
        """(B, C, T_l) maps, fine to coarse, from (B, C_l, T_l) of the three stages."""
        lateral = [conv(x) for conv, x in zip(self.lateral, self._inputs(sequences), strict=True)]
        for level in reversed(range(len(lateral) - 1)):
            above = lateral[level + 1].repeat_interleave(2, dim=2)[:, :, : lateral[level].shape[2]]
            lateral[level] = lateral[level] + above
        maps = [conv(x) for conv, x in zip(self.output, lateral, strict=True)] if self._fpn.out_conv else lateral
        if self._kind == "inter":
            maps.append(_halved(maps[-1], self._fpn.pool_kernel))
        return maps

    def _inputs(self, sequences: Sequence[Tensor]) -> list[Tensor]:
        if self._kind == "inter":
            return list(sequences)
        found = [sequences[-1]]
        while self._kind == "high" and len(found) < NUM_LEVELS:
            x = found[-1]
            found.append(self.steps[len(found) - 1](x) if self._fpn.high_step == "conv" else _halved(x, 3))
        return found


def _conv(in_channels: int, out_channels: int, kernel: int, norm: str, *, stride: int = 1) -> nn.Module:
    conv = nn.Conv1d(in_channels, out_channels, kernel, stride=stride, padding=kernel // 2)
    nn.init.xavier_uniform_(conv.weight)
    assert conv.bias is not None, "asked for"
    nn.init.zeros_(conv.bias)
    if norm == "none":
        return conv
    return nn.Sequential(conv, nn.GroupNorm(math.gcd(32, out_channels), out_channels))


def _halved(x: Tensor, kernel: int) -> Tensor:
    """Maximum of ``kernel`` cells at every second one."""
    return F.max_pool1d(x, kernel, stride=2, padding=kernel // 3)


def level_of(length: Tensor, num_levels: int) -> Tensor:
    """Level of segments: floor(L - 1 + log2 t), Eq. (1), from 0 to L - 1.

    Args:
        length: any shape, shares of the clip.
        num_levels: L.

    Returns:
        int64, same shape.
    """
    return (
        torch.floor(num_levels - 1 + torch.log2(length.clamp(min=0.0) + _TINY_LENGTH)).clamp(0, num_levels - 1).long()
    )


def expanded(segments: Tensor, eta: float | None) -> Tensor:
    """Segments longer by their length over ``eta`` on both sides; None = as they are."""
    if eta is None:
        return segments
    start, end = segments.unbind(-1)
    extra = (end - start) / eta
    return torch.stack([start - extra, end + extra], dim=-1)


def soi_feats(levels: Levels, segments: Tensor, soi: Soi) -> Tensor:
    """Features of segments of interest, (B, N, 2) -> (B, N, P, C); no gradient to the segments."""
    num_inputs, num_segments = segments.shape[:2]
    # what diverged is said by the losses, not by an index out of range
    own = torch.nan_to_num(segments.detach().double(), posinf=_FAR, neginf=-_FAR).flatten(0, 1)
    weights = _weights(levels, own, expanded(own, soi.expand), soi)
    weights = weights.reshape(num_inputs, num_segments * soi.resolution, -1)
    return (weights @ levels.cells).reshape(num_inputs, num_segments, soi.resolution, -1)


def window_feats(levels: Levels, windows: Tensor, soi: Soi) -> Tensor:
    """Features of any windows as they are, (M, 3) input index, start, end in shares -> (M, P, C)."""
    owner, own = windows[:, 0].long(), windows[:, 1:].detach()
    weights = _weights(levels, own, own, soi)
    rows = [torch.nonzero(owner == k)[:, 0] for k in range(len(levels.cells))]
    parts = [weights[own] @ cells for own, cells in zip(rows, levels.cells, strict=True)]
    return torch.cat(parts)[torch.argsort(torch.cat(rows))]


def _weights(levels: Levels, segments: Tensor, read: Tensor, soi: Soi) -> Tensor:
    """(R, P, sum T_l) see :func:`trainables.layers.align_weights.align_weights`.

    Args:
        levels: maps.
        segments: (R, 2) shares of the clip.
        read: (R, 2) what is read of the map for each.
        soi: settings.
    """
    whose = read if soi.level_from == "expanded" else segments
    level = level_of(whose[:, 1] - whose[:, 0], len(levels.counts))
    first = torch.cumsum(levels.counts, 0) - levels.counts
    cells = read.double() * (levels.num_samples / levels.strides[level])[:, None]
    return align_weights(
        cells,
        first[level],
        levels.counts[level],
        total=levels.cells.shape[1],
        length=soi.resolution,
        mode=soi.mode,
        sampling_ratio=soi.sampling_ratio,
    )
