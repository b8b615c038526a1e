"""How the parameters of volume augmentations are drawn. Imports no torch.

Source: SSDet and kkahatapitiya/SSDet, where a field says nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trainables.config import param

Kind = Literal["vf", "vm", "vc"]

#: In the order in which they are applied.
KINDS: tuple[Kind, ...] = ("vf", "vm", "vc")

#: What ``Freeze.num_segments`` may be at most.
MAX_SEGMENTS = 3


@dataclass(frozen=True)
class Freeze:
    """Volume Freeze."""

    variant: Literal["paper", "release"] = param(
        "paper", "paper: the start first, then the length; release: a length below half the clip, then the start",
        choices=("paper", "release"), source="Volume Freeze; release: kkahatapitiya/SSDet:x3d.py bg_freeze",
    )  # fmt: skip
    m_min: int = param(
        2, "least length, frames (paper)", symbol="m", search=(1, 4), bounds=(1, None), source="Volume Freeze"
    )
    m_max_frac: float = param(
        1.0, "greatest length as a share of the clip (paper)", search=(0.2, 1.0), bounds=(0.0, 1.0),
        source="Volume Freeze: whatever is left of the clip",
    )  # fmt: skip
    num_segments: int = param(
        1, "segments frozen one after another; each is at most that part of the clip", symbol="S",
        search=(1, MAX_SEGMENTS), bounds=(1, MAX_SEGMENTS), source="the paper tried several, with little gain",
    )  # fmt: skip


@dataclass(frozen=True)
class Mixup:
    """Volume MixUp."""

    variant: Literal["paper", "release"] = param(
        "paper", "the paper's equation of the ramp, or the one of its code and its Fig. 3",
        choices=("paper", "release"), source="Volume MixUp; release: kkahatapitiya/SSDet:x3d.py mixup",
    )  # fmt: skip
    min_len_frac: float = param(
        0.5, "least length of each clip as a share of the mixture; below 0.5 there could be holes",
        search=(0.5, 0.9), bounds=(0.5, 1.0), source="kkahatapitiya/SSDet:x3d.py mixup",
    )  # fmt: skip
    gamma: float = param(
        1.0, "bends the ramp; 1 = straight", symbol="gamma", search=(0.5, 2.0), log=True, bounds=(0.1, 10.0),
        source="ours",
    )  # fmt: skip
    shift_content: bool = param(
        True, "the second clip begins with its own first frame; otherwise it keeps its own time", choices=(True, False),
        source="Volume MixUp; false: kkahatapitiya/SSDet:x3d.py mixup",
    )  # fmt: skip


@dataclass(frozen=True)
class Cutmix:
    """Volume CutMix."""

    mode: Literal["view", "window", "random"] = param(
        "view", "fixed halves with pictures that pan, a border that moves, or either by chance",
        choices=("view", "window", "random"), source="Volume CutMix; kkahatapitiya/SSDet runs view",
    )  # fmt: skip
    variant: Literal["paper", "release"] = param(
        "paper", "of the ramp and of the border's band", choices=("paper", "release"),
        source="Volume CutMix; release: kkahatapitiya/SSDet:x3d.py cutmix_v2, cutmix_v3",
    )  # fmt: skip
    band_frac: float = param(
        0.125, "width of the border's soft band as a share of the columns (paper)", symbol="beta",
        search=(0.0, 0.25), bounds=(0.0, 0.9), source="ours; kkahatapitiya/SSDet has 2 floor(W / 16) columns",
    )  # fmt: skip
    pan: Literal["opposite", "same"] = param(
        "opposite", "how the right view pans beside the left one, which pans to the right (view)",
        choices=("opposite", "same"), source="kkahatapitiya/SSDet:x3d.py cutmix_v2; same: the paper read literally",
    )  # fmt: skip
    mirror: float = param(
        0.0, "probability that the first clip is on the right (window)", bounds=(0.0, 1.0), source="ours"
    )
    min_len_frac: float = param(
        0.5, "least length of each clip as a share of the mixture (window)", search=(0.5, 0.9), bounds=(0.5, 1.0),
        source="kkahatapitiya/SSDet:x3d.py cutmix_v3",
    )  # fmt: skip
    shift_content: bool = param(
        True, "the second clip begins with its own first frame (window)", choices=(True, False),
        source="Volume CutMix; false: kkahatapitiya/SSDet:x3d.py cutmix_v3",
    )  # fmt: skip


@dataclass(frozen=True)
class Scheme:
    """Which augmentations a clip gets.

    Attributes:
        kinds: those that take part.
        combine: one of them by chance for each clip, or each of them by a chance of its own.
        granularity: chances are those of each clip, or of the whole batch together.
        p_apply: chance that an augmentation is applied, once it is its turn.
        vf: how Volume Freeze is drawn.
        vm: Volume MixUp.
        vc: Volume CutMix.
    """

    kinds: tuple[Kind, ...]
    combine: Literal["one_of", "multi"] = "one_of"
    granularity: Literal["clip", "iteration"] = "clip"
    p_apply: float = 1.0
    vf: Freeze = Freeze()
    vm: Mixup = Mixup()
    vc: Cutmix = Cutmix()

    def __post_init__(self) -> None:
        if not self.kinds or set(self.kinds) - set(KINDS) or len(set(self.kinds)) != len(self.kinds):
            raise ValueError(f"kinds: {self.kinds} must be some of {', '.join(KINDS)}, each once")
