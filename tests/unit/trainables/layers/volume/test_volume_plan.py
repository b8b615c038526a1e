"""What is drawn, how it is carried out, and that it is data."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.layers.volume.apply import apply_plan, with_background
from trainables.layers.volume.clips import Clips
from trainables.layers.volume.cutmix import volume_cutmix_view
from trainables.layers.volume.draw import NUM_DRAWS, draw_plan
from trainables.layers.volume.freeze import volume_freeze
from trainables.layers.volume.mixup import volume_mixup
from trainables.layers.volume.placement import Placement
from trainables.layers.volume.plan import ClipPlan, Cut, Mix, Plan, plan_from_data, plan_to_data
from trainables.layers.volume.settings import KINDS, Cutmix, Freeze, Mixup, Scheme


def drawn(scheme: Scheme, counts: list[int], seed: int = 0) -> Plan:
    uniform = torch.rand(len(counts), NUM_DRAWS, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return draw_plan(uniform, torch.tensor(counts), scheme)


def kinds_of(clip: ClipPlan) -> tuple[str, ...]:
    return tuple(k for k, there in zip(KINDS, (clip.freeze, clip.mixup, clip.cutmix), strict=True) if there)


def test_paper_freezes_have_every_start_and_for_each_every_length() -> None:
    found = Counter(clip.freeze[0] for clip in drawn(Scheme(("vf",)), [6] * 6000))
    assert found.keys() == {(r, m) for r in range(5) for m in range(2, 7 - r)}
    starts = Counter[int]()
    for (r, m), number in found.items():
        starts[r] += number
        assert number == pytest.approx(6000 / 5 / (5 - r), rel=0.25), (r, m)
    assert all(number == pytest.approx(1200, rel=0.15) for number in starts.values())


def test_freezes_of_the_release_are_shorter_than_half_and_may_be_one_frame() -> None:
    found = Counter(clip.freeze[0] for clip in drawn(Scheme(("vf",), vf=Freeze("release")), [8] * 3000))
    assert found.keys() == {(r, m) for m in range(1, 4) for r in range(9 - m)}
    assert sum(n for (_, m), n in found.items() if m == 1) == pytest.approx(1000, rel=0.15)


@pytest.mark.parametrize("variant", ["paper", "release"])
def test_several_segments_share_the_clip(variant: Any) -> None:
    plan = drawn(Scheme(("vf",), vf=Freeze(variant, num_segments=3, m_min=1)), [10] * 300)
    assert all(len(clip.freeze) == 3 for clip in plan)
    assert {m for clip in plan for _, m in clip.freeze} == {1, 2, 3}
    short = drawn(Scheme(("vf",), vf=Freeze(variant, m_min=4)), [3] * 5)
    assert all(clip.freeze == () for clip in short)
    capped = drawn(Scheme(("vf",), vf=Freeze(m_max_frac=0.3)), [10] * 200)
    assert {clip.freeze[0][1] for clip in capped} == {2, 3}


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 99), st.sampled_from([0.5, 0.7, 1.0]),
    st.sampled_from(["view", "window", "random"]),
)  # fmt: skip
@settings(max_examples=50)
def test_plans_fit_their_clips_and_leave_no_hole(counts: list[int], seed: int, least: float, mode: Any) -> None:
    scheme = Scheme(KINDS, "multi", p_apply=0.7, vm=Mixup(min_len_frac=least), vc=Cutmix(mode=mode))
    plan = drawn(scheme, counts, seed)
    assert plan == drawn(scheme, counts, seed)
    assert plan == plan_from_data(json.loads(json.dumps(plan_to_data(plan))))
    generator = torch.Generator().manual_seed(seed)
    video = torch.rand(len(counts), 1, 9, 1, 4, generator=generator)
    labels = torch.rand(len(counts), 9, 3, generator=generator).softmax(2)
    count = torch.tensor(counts)
    behind = torch.arange(9) >= count[:, None]
    video[behind[:, None, :, None, None].expand_as(video)] = float("nan")
    labels[behind] = float("nan")
    clips = Clips.of(video, with_background(labels), count)
    mixed = apply_plan(clips, plan, vm=scheme.vm, vc=scheme.vc, background=3)
    for row, valid in enumerate(mixed.valid_mask):
        assert torch.isfinite(mixed.video[row][:, valid]).all(), "nothing behind a clip is read"
        sums = mixed.frame_labels[row][valid].sum(1)
        assert torch.allclose(sums, torch.ones_like(sums), atol=1e-5)
        partners = [m.partner for m in (plan[row].mixup, plan[row].cutmix and plan[row].cutmix.mix) if m is not None]
        assert int(valid.sum()) <= min([counts[row], *[counts[p] for p in partners]])
    assert torch.equal(torch.isnan(video), torch.isnan(clips.video)), "the input stays"


def test_mixtures_are_permutations_with_both_ends_covered() -> None:
    plan = drawn(Scheme(("vm",)), [16] * 400)
    mixes = [clip.mixup for clip in plan]
    assert sorted(mix.partner for mix in mixes if mix) == list(range(400))
    assert len({mix.n1 for mix in mixes if mix}) > 4
    for mix in mixes:
        assert mix is not None
        assert max(mix.n1, mix.r + mix.n2) == 16
        assert mix.r <= mix.n1
    assert 0.3 < sum(mix.partner_first for mix in mixes if mix) / 400 < 0.5, "ties go to the clip itself"


def test_schemes_choose_for_each_clip_or_for_the_batch() -> None:
    counts = [8] * 600
    single = drawn(Scheme(("vm",)), counts)
    assert {kinds_of(clip) for clip in single} == {("vm",)}
    one_of = Counter(kinds_of(clip) for clip in drawn(Scheme(KINDS), counts))
    assert one_of.keys() == {("vf",), ("vm",), ("vc",)}
    assert all(number == pytest.approx(200, rel=0.25) for number in one_of.values())
    multi = Counter(kinds_of(clip) for clip in drawn(Scheme(KINDS, "multi", p_apply=0.5), counts))
    assert len(multi) == 8
    assert all(number == pytest.approx(75, rel=0.4) for number in multi.values())
    together = Scheme(KINDS, "multi", "iteration", 0.5)
    per_batch = [{kinds_of(clip) for clip in drawn(together, [8] * 5, seed)} for seed in range(40)]
    assert all(len(found) == 1 for found in per_batch)
    assert len({next(iter(found)) for found in per_batch}) == 8
    rarely = drawn(Scheme(("vf",), p_apply=0.3), counts)
    assert sum(clip.freeze != () for clip in rarely) == pytest.approx(180, rel=0.2)


def test_what_is_drawn_of_a_clip_is_its_own() -> None:
    uniform = torch.rand(6, NUM_DRAWS, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    scheme, count = Scheme(KINDS), torch.full((6,), 12)
    whole = draw_plan(uniform, count, scheme)
    shares = [draw_plan(uniform[rank::2], count[rank::2], scheme) for rank in range(2)]

    def without_partner(clip: ClipPlan) -> ClipPlan:
        mixup = None if clip.mixup is None else replace(clip.mixup, partner=0)
        cutmix = None if clip.cutmix is None else replace(clip.cutmix, mix=replace(clip.cutmix.mix, partner=0))
        return replace(clip, mixup=mixup, cutmix=cutmix)

    for rank, share in enumerate(shares):
        assert [without_partner(c) for c in share] == [without_partner(c) for c in whole[rank::2]]


def test_partners_are_taken_as_the_step_before_has_left_them() -> None:
    generator = torch.Generator().manual_seed(0)
    video, labels = torch.rand(3, 2, 8, 2, 16, generator=generator), torch.eye(4)[:3, None].expand(3, 8, 4).contiguous()
    clips = Clips.of(video, labels)
    freeze, mix = ((2, 3),), Mix(1, False, 8, 8, 0)
    plan = (
        ClipPlan(mixup=mix, cutmix=Cut("view", Mix(2, False, 8, 8, 0))),
        ClipPlan(freeze=freeze),
        ClipPlan(freeze=freeze, mixup=Mix(0, True, 6, 6, 2)),
    )
    found = apply_plan(clips, plan, vm=Mixup(), vc=Cutmix(), background=3)
    rows = [clips.rows(torch.tensor([k])) for k in range(3)]
    segment = torch.tensor([2]), torch.tensor([3])
    frozen = [rows[0], *(volume_freeze(row, *segment, background=3) for row in rows[1:])]

    def place(n1: int, n2: int, r: int) -> Placement:
        return Placement(torch.tensor([n1]), torch.tensor([n2]), torch.tensor([r]))

    one = volume_mixup(frozen[0], frozen[1], place(8, 8, 0), width=8)
    three = volume_mixup(frozen[0], frozen[2], place(6, 6, 2), width=8)
    expected = [volume_cutmix_view(one, three), frozen[1], three]
    for row, own in enumerate(expected):
        assert torch.allclose(found.video[row], own.video[0])
        assert torch.allclose(found.frame_labels[row], own.frame_labels[0])
    assert found.labels.shape[0] == 4
    assert (found.weights[:, 1] > 0).sum().item() == 8, "a clip that meets none has one part"
    assert torch.equal(clips.labels[0], labels)


def test_a_plan_of_another_batch_is_refused() -> None:
    clips = Clips.of(torch.zeros(2, 1, 4), torch.zeros(2, 4, 1))
    with pytest.raises(ValueError, match="it is of 1 clips, the batch has 2"):
        apply_plan(clips, (ClipPlan(),), vm=Mixup(), vc=Cutmix())


def test_kinds_that_are_none_are_refused() -> None:
    for kinds in ((), ("vf", "vf"), ("xx",)):
        with pytest.raises(ValueError, match="must be some of vf, vm, vc"):
            Scheme(kinds)  # type: ignore[arg-type]
