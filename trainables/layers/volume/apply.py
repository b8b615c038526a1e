"""Carrying out a plan on a batch of clips."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from trainables.layers.volume.clips import Clips
from trainables.layers.volume.cutmix import volume_cutmix_view, volume_cutmix_window
from trainables.layers.volume.freeze import volume_freeze
from trainables.layers.volume.mixup import volume_mixup
from trainables.layers.volume.placement import Placement
from trainables.layers.volume.plan import Cut, Mix, Plan
from trainables.layers.volume.settings import Cutmix, Mixup


def with_background(frame_labels: Tensor) -> Tensor:
    """(B, T, K) -> (B, T, K + 1): a further column, for frames that stand still; nothing has it yet."""
    return F.pad(frame_labels, (0, 1))


def apply_plan(clips: Clips, plan: Plan, *, vm: Mixup, vc: Cutmix, background: int | None = None) -> Clips:
    """Freeze, then cross-fade, then cut; partners are taken as the step before has left them.

    Args:
        clips: B of them; they are left as they are.
        plan: of the same B.
        vm: how cross-fades look; what was drawn of it is in the plan.
        vc: how cuts look.
        background: column of the labels that frozen frames have; None = they have no label at all.

    Raises:
        ValueError: a plan of another number of clips, or one that does not fit them.
    """
    if len(plan) != len(clips):
        raise ValueError(f"plan: it is of {len(plan)} clips, the batch has {len(clips)}")
    clips = _freeze(clips, plan, background)

    def mixup(first: Clips, second: Clips, placement: Placement, rows: Tensor) -> Clips:
        width = first.video.shape[2]
        return volume_mixup(
            first, second, placement, width=width, variant=vm.variant, gamma=vm.gamma, shift_content=vm.shift_content
        )

    def window(first: Clips, second: Clips, placement: Placement, rows: Tensor) -> Clips:
        mirror = torch.tensor([cuts[row].mirror for row in rows.tolist()], device=rows.device)
        return volume_cutmix_window(
            first, second, placement, width=first.video.shape[2], variant=vc.variant, band_frac=vc.band_frac,
            mirror=mirror, shift_content=vc.shift_content,
        )  # fmt: skip

    def view(first: Clips, second: Clips, placement: Placement, rows: Tensor) -> Clips:
        return volume_cutmix_view(first, second, variant=vc.variant, band_frac=vc.band_frac, pan=vc.pan)

    clips = _mix(clips, {row: clip.mixup for row, clip in enumerate(plan) if clip.mixup is not None}, mixup)
    cuts: dict[int, Cut] = {row: clip.cutmix for row, clip in enumerate(plan) if clip.cutmix is not None}
    before = clips
    for mode, carry_out in (("window", window), ("view", view)):
        mixes = {row: cut.mix for row, cut in cuts.items() if cut.mode == mode}
        clips = _mix(clips, mixes, carry_out, partners=before)
    return clips


def _freeze(clips: Clips, plan: Plan, background: int | None) -> Clips:
    """Clips with as many segments go together."""
    for number in sorted({len(clip.freeze) for clip in plan} - {0}):
        rows = [row for row, clip in enumerate(plan) if len(clip.freeze) == number]
        index = torch.tensor(rows, device=clips.num_frames.device)
        segments = torch.tensor([plan[row].freeze for row in rows], device=index.device)
        frozen = volume_freeze(clips.rows(index), segments[..., 0], segments[..., 1], background=background)
        clips = clips.with_rows(index, frozen)
    return clips


def _mix(
    clips: Clips,
    mixes: Mapping[int, Mix],
    carry_out: Callable[[Clips, Clips, Placement, Tensor], Clips],
    *,
    partners: Clips | None = None,
) -> Clips:
    """The rows of ``mixes`` mixed with their partners.

    Args:
        clips: all.
        mixes: row -> its mix.
        carry_out: clip 1, clip 2, where they lie, and their rows -> the mixture.
        partners: where clips are taken from, None = ``clips``.
    """
    if not mixes:
        return clips
    source, device = partners or clips, clips.num_frames.device
    own = torch.tensor(list(mixes), device=device)
    other = torch.tensor([mix.partner for mix in mixes.values()], device=device)
    swapped = torch.tensor([mix.partner_first for mix in mixes.values()], device=device)
    n1, n2, r = (torch.tensor([getattr(m, name) for m in mixes.values()], device=device) for name in ("n1", "n2", "r"))
    first = source.rows(torch.where(swapped, other, own))
    second = source.rows(torch.where(swapped, own, other))
    return clips.with_rows(own, carry_out(first, second, Placement(n1, n2, r), own))
