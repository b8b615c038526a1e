"""Drawing a plan: from uniform numbers, and from nothing else.

Every clip has its own row of numbers, and what is drawn of it depends on that row; but for its partners, who are sought
among the clips of the batch by all their rows together.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from trainables.layers.volume.plan import ClipPlan, Cut, Mix, Plan
from trainables.layers.volume.settings import KINDS, MAX_SEGMENTS, Freeze, Kind, Scheme

#: Which uniform number is for what: chances, lengths and starts of frozen segments, a partner and where both lie.
_SWITCHES = slice(0, 3)
_KIND = 3
_FREEZE = slice(4, 4 + 2 * MAX_SEGMENTS)
_MIXUP = slice(_FREEZE.stop, _FREEZE.stop + 5)
_CUTMIX = slice(_MIXUP.stop, _MIXUP.stop + 5)
_MODE = _CUTMIX.stop
_MIRROR = _MODE + 1

#: Uniform numbers that a clip takes.
NUM_DRAWS = _MIRROR + 1


class _Pairs(NamedTuple):
    """Every clip's :class:`Mix`; (B,) each."""

    partner: Tensor
    partner_first: Tensor
    n1: Tensor
    n2: Tensor
    r: Tensor

    def of(self, row: int) -> Mix:
        values = [value[row].item() for value in self]
        return Mix(int(values[0]), bool(values[1]), *map(int, values[2:]))


def draw_plan(uniform: Tensor, num_frames: Tensor, scheme: Scheme) -> Plan:
    """What is done to each clip. A clip that is too short to be frozen is not.

    Args:
        uniform: (B, ``NUM_DRAWS``) float64 in [0, 1), the only randomness.
        num_frames: (B,) int64 frames of each clip.
        scheme: which augmentations there are, and how they are drawn.
    """
    uniform, count = uniform.cpu().double(), num_frames.cpu()
    on = _applied(uniform, scheme)
    freezes = _segments(uniform[:, _FREEZE], count, scheme.vf)
    mixes = _pairs(uniform[:, _MIXUP], count, scheme.vm.min_len_frac)
    left = torch.where(on["vm"], torch.minimum(count, count[mixes.partner]), count)
    windows = _pairs(uniform[:, _CUTMIX], left, scheme.vc.min_len_frac)
    views = _whole(windows.partner, left)
    viewed = uniform[:, _MODE] < {"view": 1.0, "random": 0.5, "window": 0.0}[scheme.vc.mode]
    mirrored = uniform[:, _MIRROR] < scheme.vc.mirror

    def cut(row: int) -> Cut:
        return Cut("view", views.of(row)) if viewed[row] else Cut("window", windows.of(row), bool(mirrored[row]))

    return tuple(
        ClipPlan(
            freeze=freezes[row] if on["vf"][row] else (),
            mixup=mixes.of(row) if on["vm"][row] else None,
            cutmix=cut(row) if on["vc"][row] else None,
        )
        for row in range(len(count))
    )


def _applied(uniform: Tensor, scheme: Scheme) -> dict[Kind, Tensor]:
    """(B,) bool of each kind."""
    chances = uniform[:, _SWITCHES] < scheme.p_apply
    kind = (uniform[:, _KIND] * len(scheme.kinds)).long()
    if scheme.granularity == "iteration":
        chances, kind = chances[:1].expand_as(chances), kind[:1].expand_as(kind)
    on = {}
    for place, name in enumerate(KINDS):
        here = chances[:, place] & (name in scheme.kinds)
        chosen = kind == scheme.kinds.index(name) if name in scheme.kinds else here
        on[name] = here & chosen if scheme.combine == "one_of" else here
    return on


def _integer(uniform: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Whole numbers from ``low`` to ``high``, both included, all as likely."""
    return low + (uniform * (high - low + 1)).long()


def _segments(uniform: Tensor, count: Tensor, settings: Freeze) -> list[tuple[tuple[int, int], ...]]:
    """Start and length of the frozen segments of every clip; none of a clip that is too short."""
    clips: list[tuple[tuple[int, int], ...]] = [()] * len(count)
    for pair in range(settings.num_segments):
        one, two = uniform[:, 2 * pair], uniform[:, 2 * pair + 1]
        start, length, enough = (_paper if settings.variant == "paper" else _release)(one, two, count, settings)
        for row in enough.nonzero()[:, 0].tolist():
            clips[row] += ((int(start[row]), int(length[row])),)
    return clips


def _paper(one: Tensor, two: Tensor, count: Tensor, settings: Freeze) -> tuple[Tensor, Tensor, Tensor]:
    """First the start, such that the least length fits, then the length; and which clips are long enough."""
    least = torch.full_like(count, settings.m_min)
    most = torch.floor(count * settings.m_max_frac).long().minimum(count // settings.num_segments).maximum(least)
    start = _integer(one, torch.zeros_like(count), (count - least).clamp(min=0))
    return start, _integer(two, least, torch.minimum(most, count - start)), count >= least


def _release(one: Tensor, two: Tensor, count: Tensor, settings: Freeze) -> tuple[Tensor, Tensor, Tensor]:
    """First the length, below half the clip, then the start; and which clips are long enough."""
    most = (count // 2 - 1).minimum(count // settings.num_segments)
    length = _integer(one, torch.ones_like(count), most.clamp(min=1))
    return _integer(two, torch.zeros_like(count), count - length), length, most >= 1


def _pairs(uniform: Tensor, count: Tensor, min_share: float) -> _Pairs:
    """A permutation of the clips, and for each pair two lengths and starts.

    The earlier start moves to 0 and the later end to the end of the mixture, which is as long as the shorter clip. Each
    length is at least half of it, rounded up, so that there is no hole.
    """
    partner = uniform[:, 0].argsort(stable=True)
    total = torch.minimum(count, count[partner])
    least = torch.ceil(total * min_share).long().clamp(min=1)
    own, other = (_integer(uniform[:, k], least, total) for k in (1, 3))
    own_start = _integer(uniform[:, 2], torch.zeros_like(total), total - own)
    other_start = _integer(uniform[:, 4], torch.zeros_like(total), total - other)
    partner_first = other_start < own_start
    early, late = torch.where(partner_first, other, own), torch.where(partner_first, own, other)
    r = torch.maximum(own_start, other_start)
    ends_late = r + late > early
    n1 = torch.where(ends_late, early, total)
    n2 = torch.where(ends_late, total - r, late)
    return _Pairs(partner, partner_first, n1, n2, r)


def _whole(partner: Tensor, count: Tensor) -> _Pairs:
    """Both clips from the beginning to the end of the shorter one."""
    total = torch.minimum(count, count[partner])
    return _Pairs(partner, torch.zeros_like(total, dtype=torch.bool), total, total, torch.zeros_like(total))
