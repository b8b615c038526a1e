"""What is done to each clip of a batch, as data. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Mix:
    """A clip meets another one of its batch.

    Attributes:
        partner: row of the other clip, which may be the clip itself.
        partner_first: the other clip is the one that lies at time 0.
        n1: frames of the clip at time 0.
        n2: frames of the clip that comes in.
        r: time at which it comes in, in frames.
    """

    partner: int
    partner_first: bool
    n1: int
    n2: int
    r: int


@dataclass(frozen=True)
class Cut:
    """Two clips side by side.

    Attributes:
        mode: what moves: the pictures or the border.
        mix: which clips, and when ("view": both all the time).
        mirror: the clip at time 0 is on the right ("window").
    """

    mode: Literal["view", "window"]
    mix: Mix
    mirror: bool = False


@dataclass(frozen=True)
class ClipPlan:
    """What is done to one clip, in this order; partners are taken as the step before has left them.

    Attributes:
        freeze: start and length of each frozen segment, frames.
        mixup: Volume MixUp, if any.
        cutmix: Volume CutMix, if any.
    """

    freeze: tuple[tuple[int, int], ...] = ()
    mixup: Mix | None = None
    cutmix: Cut | None = None


Plan = tuple[ClipPlan, ...]


def plan_to_data(plan: Plan) -> list[dict[str, Any]]:
    """Plain lists, dictionaries and numbers, for JSON."""
    return [asdict(clip) for clip in plan]


def plan_from_data(data: Sequence[Mapping[str, Any]]) -> Plan:
    """The inverse of :func:`plan_to_data`, also after JSON has made lists of tuples."""
    return tuple(_clip(clip) for clip in data)


def _clip(data: Mapping[str, Any]) -> ClipPlan:
    cut = data["cutmix"]
    return ClipPlan(
        freeze=tuple((int(start), int(length)) for start, length in data["freeze"]),
        mixup=None if data["mixup"] is None else Mix(**data["mixup"]),
        cutmix=None if cut is None else Cut(cut["mode"], Mix(**cut["mix"]), cut["mirror"]),
    )
