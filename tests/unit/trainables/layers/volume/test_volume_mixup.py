"""Volume MixUp against the published examples and a loop over frames."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from volume_reference import slow_mix, slow_weight

from trainables.layers.volume.clips import Clips
from trainables.layers.volume.mixup import volume_mixup
from trainables.layers.volume.placement import Placement, crossfade


def placed(n1: int, n2: int, r: int) -> Placement:
    return Placement(torch.tensor([n1]), torch.tensor([n2]), torch.tensor([r]))


def clip(first: float, n: int, label: int) -> Clips:
    """Frame t has the value first + t."""
    return Clips.of((first + torch.arange(float(n))).reshape(1, 1, n), torch.eye(2)[label].expand(n, 2)[None])


FADES = [
    ("paper", (6, 6, 2, 8), [1, 1, 0.75, 0.5, 0.25, 0, 0, 0], [10, 11, 14, 17, 20, 23, 24, 25]),
    ("release", (6, 6, 2, 8), [1, 1, 0.8, 0.6, 0.4, 0.2, 0, 0], [10, 11, 13.6, 16.2, 18.8, 21.4, 24, 25]),
    ("paper", (8, 4, 2, 8), [1, 1, 0.5, 0, 0.5, 1, 1, 1], [10, 11, 16, 21, 18, 15, 16, 17]),
    ("release", (8, 4, 2, 8), [1, 1, 0.4, 0, 0.4, 0.8, 1, 1], [10, 11, 16.8, 21, 18.8, 16.6, 16, 17]),
    ("paper", (6, 4, 2, 6), [1, 1, 0.75, 0.5, 0.25, 0], None),
    ("paper", (4, 4, 4, 8), [1, 1, 1, 1, 0, 0, 0, 0], None),
    ("release", (4, 4, 4, 8), [1, 1, 1, 1, 0, 0, 0, 0], None),
    ("paper", (8, 8, 0, 8), [0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0], None),
    ("release", (12, 12, 4, 16), [1.0] * 4 + [k / 9 for k in range(8, 0, -1)] + [0.0] * 4, None),
]


@pytest.mark.parametrize(("variant", "place", "weights", "frames"), FADES)
def test_published_examples(
    variant: Any, place: tuple[int, int, int, int], weights: list[float], frames: list[float] | None
) -> None:
    n1, n2, r, total = place
    assert crossfade(placed(n1, n2, r), total, variant)[0].tolist() == pytest.approx(weights, abs=1e-12)
    mixed = volume_mixup(clip(10, n1, 0), clip(20, n2, 1), placed(n1, n2, r), width=total, variant=variant)
    assert mixed.frame_labels[0, :, 0].tolist() == pytest.approx(weights, abs=1e-6)
    assert mixed.frame_labels[0, :, 1].tolist() == pytest.approx([1 - a for a in weights], abs=1e-6)
    if frames is not None:
        assert mixed.video[0, 0].tolist() == pytest.approx(frames, abs=1e-5)


def test_every_second_weight_is_the_papers_figure() -> None:
    shown = crossfade(placed(12, 12, 4), 16, "release")[0, 2::2]
    assert [round(a, 2) for a in shown.tolist()] == [1, 0.89, 0.67, 0.44, 0.22, 0, 0]


def test_the_release_leaves_both_clips_in_their_own_time() -> None:
    first, second = clip(10, 8, 0), clip(20, 8, 1)
    mixed = volume_mixup(first, second, placed(6, 6, 2), width=8, variant="release", shift_content=False)
    assert mixed.video[0, 0, 6:].tolist() == [26, 27]
    with pytest.raises(ValueError, match="clip 2 must have the frames that are shown; n1 = 6, n2 = 6, r = 2"):
        volume_mixup(first, clip(20, 6, 1), placed(6, 6, 2), width=8, shift_content=False)


def test_the_ramp_can_be_bent() -> None:
    straight, bent = (crossfade(placed(6, 6, 2), 8, "paper", gamma=g)[0] for g in (1.0, 2.0))
    assert bent.tolist() == pytest.approx([1, 1, 0.9, 0.5, 0.1, 0, 0, 0])
    assert torch.equal(crossfade(placed(6, 6, 2), 8, "paper", gamma=1.0)[0], straight)


@st.composite
def placements(draw: st.DrawFn) -> tuple[int, int, int, int]:
    n1, n2 = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    r = draw(st.integers(0, n1))
    return n1, n2, r, max(n1, n2 + r) + draw(st.integers(0, 3))


def random_clip(
    n: int, padding: int, seed: int, shape: tuple[int, ...] = (1, 1)
) -> tuple[Clips, tuple[Tensor, Tensor]]:
    """A clip whose labels sum to 1, with unreadable frames behind it; and its real part."""
    generator = torch.Generator().manual_seed(seed)
    video = torch.rand(1, 2, n + padding, *shape, generator=generator)
    labels = torch.rand(1, n + padding, 3, generator=generator).softmax(2)
    real = video[0, :, :n].clone(), labels[0, :n].clone()
    video[:, :, n:], labels[:, n:] = float("nan"), float("nan")
    return Clips.of(video, labels, torch.tensor([n])), real


@given(placements(), st.sampled_from(["paper", "release"]), st.booleans(), st.integers(0, 2))
def test_as_a_loop_over_frames(place: tuple[int, int, int, int], variant: Any, shift: bool, padding: int) -> None:
    n1, n2, r, total = place
    first, one = random_clip(n1, padding, 1)
    second, two = random_clip(n2 + (0 if shift else r), padding, 2)
    kept = first.video.clone(), second.video.clone()
    mixed = volume_mixup(first, second, placed(n1, n2, r), width=total, variant=variant, shift_content=shift)
    video, labels = slow_mix(
        one, two, n1, n2, r, total, lambda t, x: slow_weight(t, n1, n2, r, variant), shift_content=shift
    )
    assert torch.allclose(mixed.video[0], video, atol=1e-6)
    assert torch.allclose(mixed.frame_labels[0], labels, atol=1e-6)
    end = max(n1, n2 + r)
    assert mixed.num_frames.tolist() == [end]
    assert torch.allclose(mixed.frame_labels[0].sum(1), (torch.arange(total) < end).float(), atol=1e-5)
    assert torch.equal(mixed.weights.sum(0)[0].round(decimals=5), (torch.arange(total) < end).float())
    assert mixed.visible[:, 0].sum(1).tolist() == [n1, n2]
    assert torch.equal(kept[0].nan_to_num(), first.video.nan_to_num()), "the inputs stay"
    assert torch.equal(kept[1].nan_to_num(), second.video.nan_to_num())


@given(placements(), st.sampled_from(["paper", "release"]))
def test_a_clip_with_itself_in_its_own_time_is_itself(place: tuple[int, int, int, int], variant: Any) -> None:
    n1, n2, r, _ = place
    total = max(n1, n2 + r)
    own, (video, labels) = random_clip(total, 0, 3)
    mixed = volume_mixup(own, own, placed(n1, n2, r), width=total, variant=variant, shift_content=False)
    assert torch.allclose(mixed.video[0], video, atol=1e-6)
    assert torch.allclose(mixed.frame_labels[0], labels, atol=1e-6)


@pytest.mark.parametrize(
    ("place", "width", "rule"),
    [
        ((0, 2, 0), 8, "n1 and n2"),
        ((3, 2, 4), 8, "r must be"),
        ((4, 4, 2), 5, "at most T = 5"),
        ((7, 2, 0), 8, "clip 1 must"),
    ],
)
def test_placements_with_holes_or_missing_frames_are_refused(
    place: tuple[int, int, int], width: int, rule: str
) -> None:
    with pytest.raises(ValueError, match=rule):
        volume_mixup(clip(0, 6, 0), clip(0, 6, 1), placed(*place), width=width)


def test_features_keep_their_type_and_weights_their_precision() -> None:
    half = Clips.of(torch.full((1, 1, 7), 256.0, dtype=torch.bfloat16), torch.ones(1, 7, 1))
    mixed = volume_mixup(half, half, placed(7, 7, 0), width=7)
    assert mixed.video.dtype == torch.bfloat16
    assert mixed.video.unique().tolist() == [256.0], "weights of 1/7 are no bfloat16 numbers"
