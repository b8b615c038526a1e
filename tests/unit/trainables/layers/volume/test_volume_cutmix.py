"""Volume CutMix against the published examples and a loop over columns."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from volume_reference import clip01, slow_mask, slow_mix

from trainables.layers.volume.clips import Clips
from trainables.layers.volume.cutmix import soft_border, view_border, volume_cutmix_view, volume_cutmix_window
from trainables.layers.volume.placement import Placement


def placed(n1: int, n2: int, r: int) -> Placement:
    return Placement(torch.tensor([n1]), torch.tensor([n2]), torch.tensor([r]))


def columns(first: float, n: int, width: int, label: int, seconds: float = 0.0) -> Clips:
    """Column x of frame t has the value first + x + seconds t."""
    picture = first + torch.arange(float(width)) + seconds * torch.arange(float(n))[:, None]
    return Clips.of(picture[None, None, :, None], torch.eye(2)[label].expand(n, 2)[None])


BORDERS = [
    (8, 0.25, 0.75, [1, 1, 1, 1, 1, 0.75, 0.25, 0], 0.75),
    (8, 0.25, 0.5, [1, 1, 1, 0.75, 0.25, 0, 0, 0], 0.5),
    (8, 0.25, 0.05, [0.45, 0, 0, 0, 0, 0, 0, 0], 0.05625),
    (8, 0.25, 1.0, [1] * 8, 1.0),
    (8, 0.25, 0.0, [0] * 8, 0.0),
    (7, 0.25, 0.5, [1, 1, 1, 0.5, 0, 0, 0], 0.5),
    (8, 0.0, 0.05, [0.4, 0, 0, 0, 0, 0, 0, 0], 0.05),
]


@pytest.mark.parametrize(("width", "band", "a", "mask", "area"), BORDERS)
def test_examples_of_the_border(width: int, band: float, a: float, mask: list[float], area: float) -> None:
    found = soft_border(torch.tensor([a], dtype=torch.float64), width, band)[0]
    assert found.tolist() == pytest.approx(mask, abs=1e-12)
    assert float(found.mean()) == pytest.approx(area)


AREAS = [
    (16, (12, 12, 4), [1, 1, 1, 1, 0.9051, 0.7894, 0.6736, 0.5579, 0.4630, 0.3472, 0.2315, 0.1157, 0, 0, 0, 0]),
    (224, (12, 12, 4), [1, 1, 1, 1, 0.8890, 0.7779, 0.6668, 0.5556, 0.4445, 0.3334, 0.2223, 0.1111, 0, 0, 0, 0]),
    (
        224,
        (16, 8, 4),
        [1, 1, 1, 1, 0.6668, 0.4445, 0.2223, 0.0312, 0.2223, 0.4445, 0.6668, 0.8890, 1, 1, 1, 1],
    ),
]


@pytest.mark.parametrize(("width", "place", "areas"), AREAS)
def test_areas_of_the_release(width: int, place: tuple[int, int, int], areas: list[float]) -> None:
    first, second = columns(0, 16, width, 0), columns(100, 16, width, 1)
    mixed = volume_cutmix_window(first, second, placed(*place), width=16, variant="release")
    assert mixed.frame_labels[0, :, 0].tolist() == pytest.approx(areas, abs=6e-5)
    assert mixed.frame_labels[0].sum(1).tolist() == pytest.approx([1.0] * 16)


@st.composite
def windows(draw: st.DrawFn) -> tuple[int, int, int, int, int]:
    n1, n2 = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    r = draw(st.integers(0, n1))
    return n1, n2, r, max(n1, n2 + r) + draw(st.integers(0, 2)), draw(st.sampled_from([4, 7, 16]))


@settings(max_examples=40)
@given(windows(), st.sampled_from(["paper", "release"]), st.sampled_from([0.0, 0.125, 0.25]), st.booleans())
def test_a_moving_border_as_a_loop_over_columns(
    case: tuple[int, int, int, int, int], variant: Any, band: float, mirrored: bool
) -> None:
    n1, n2, r, total, width = case
    generator = torch.Generator().manual_seed(n1 + 10 * n2)
    clips, parts = [], []
    for n in (n1, n2):
        video, labels = (
            torch.rand(1, 2, n + 1, 2, width, generator=generator),
            torch.rand(1, n + 1, 3, generator=generator),
        )
        video[:, :, n:], labels[:, n:] = float("nan"), float("nan")
        clips.append(Clips.of(video, labels, torch.tensor([n])))
        parts.append((video[0, :, :n], labels[0, :n]))
    mixed = volume_cutmix_window(
        clips[0], clips[1], placed(n1, n2, r), width=total, variant=variant, band_frac=band,
        mirror=torch.tensor([mirrored]),
    )  # fmt: skip
    expected = slow_mix(
        *parts, n1, n2, r, total,
        lambda t, x: slow_mask(t, width - 1 - x if mirrored else x, n1, n2, r, width, band, variant),
    )  # fmt: skip
    assert torch.allclose(mixed.video[0], expected[0], atol=1e-5)
    assert torch.allclose(mixed.frame_labels[0], expected[1], atol=1e-5)
    whole = (torch.arange(total) < max(n1, n2 + r)).float()
    assert torch.allclose(mixed.weights.sum(0)[0], whole, atol=1e-5)


@pytest.mark.parametrize(("variant", "middle"), [("paper", [0.75, 0.25]), ("release", [2 / 3, 1 / 3])])
def test_the_mask_of_two_views(variant: Any, middle: list[float]) -> None:
    mask = view_border(16, 0.125, variant)
    assert mask.tolist() == pytest.approx([1.0] * 7 + middle + [0.0] * 7)
    assert float(mask.mean()) == pytest.approx(0.5)


def test_pictures_pan_behind_the_views() -> None:
    first, second = columns(0, 8, 16, 0), columns(100, 8, 16, 1)
    mixed = volume_cutmix_view(first, second)
    assert torch.equal(mixed.frame_labels, torch.full((1, 8, 2), 0.5))
    shifts = mixed.video[0, 0, :, 0, 0]
    assert shifts.tolist() == [0, 0, 1, 2, 3, 4, 5, 6]
    left, right = mixed.video[0, 0, 4, 0, :7], mixed.video[0, 0, 4, 0, 9:]
    assert left.tolist() == [float(x) for x in range(3, 10)], "columns 0 to 8 show 3 to 11, two of them in the band"
    assert right.tolist() == [100.0 + x for x in range(6, 13)], "columns 7 to 15 show 4 to 12"
    assert float(mixed.video[0, 0, 4, 0, 7]) == pytest.approx(0.75 * 10 + 0.25 * 104)


def test_frames_of_the_release() -> None:
    first, second = columns(0, 16, 16, 0), columns(100, 16, 16, 1)
    frames = volume_cutmix_view(first, second, variant="release").video[0, 0, :, 0]
    for t, start, middle, end in ((0, 0, (40.3333, 74.6667), 109), (8, 3, (41.3333, 73.6667), 106)):
        expected = [*range(start, start + 7), *middle, *range(end, end + 7)]
        assert frames[t].tolist() == pytest.approx(expected, abs=1e-4)


def test_the_published_size_pans_over_98_columns() -> None:
    mixed = volume_cutmix_view(columns(0, 16, 224, 0), columns(0, 16, 224, 1))
    expected = [0, 6, 12, 18, 24, 30, 36, 42, 49, 55, 61, 67, 73, 79, 85, 91]
    assert mixed.video[0, 0, :, 0, 0].tolist() == expected


@settings(max_examples=40)
@given(
    st.integers(1, 6), st.integers(1, 6), st.integers(4, 24), st.sampled_from([0.0, 0.125, 0.25, 0.5]),
    st.sampled_from(["opposite", "same"]), st.sampled_from(["paper", "release"]),
)  # fmt: skip
def test_views_as_a_loop_over_columns(n1: int, n2: int, width: int, band: float, pan: str, variant: Any) -> None:
    generator = torch.Generator().manual_seed(width)
    videos = [torch.rand(1, 1, 6, 1, width, generator=generator) for _ in range(2)]
    for video, n in zip(videos, (n1, n2), strict=True):
        video[:, :, n:] = float("nan")
    labels = torch.eye(2)[:, None].expand(2, 6, 2)
    first, second = (
        Clips.of(v, labels[i : i + 1], torch.tensor([n])) for i, (v, n) in enumerate(zip(videos, (n1, n2), strict=True))
    )
    mixed = volume_cutmix_view(first, second, variant=variant, band_frac=band, pan=pan)  # type: ignore[arg-type]
    total = min(n1, n2)
    if variant == "paper":
        visible = int(width * (1 + band) / 2)
        reach = width - visible
        mask = [clip01(0.5 + (width / 2 - (x + 0.5)) / max(1.0, band * width)) for x in range(width)]
    else:
        visible, reach = max(9 * width // 16, -(-width // 2)), 7 * width // 16
        hidden = width - visible
        mask = [1 - clip01((x + 1 - hidden) / (2 * visible - width + 1)) for x in range(width)]
    for t in range(total):
        shift = t * reach // total
        for x in range(width):
            value = 0.0
            if mask[x] > 0:
                assert 0 <= x + shift < width, "what is seen is in the picture"
                value += mask[x] * float(videos[0][0, 0, t, 0, x + shift])
            if mask[x] < 1:
                source = x - shift if pan == "opposite" else x - (width - visible) + shift
                if pan == "opposite":
                    assert 0 <= source < width
                value += (1 - mask[x]) * float(videos[1][0, 0, t, 0, min(max(source, 0), width - 1)])
            assert float(mixed.video[0, 0, t, 0, x]) == pytest.approx(value, abs=1e-5)
    assert mixed.num_frames.tolist() == [total]
    assert not mixed.video[:, :, total:].any()
    assert torch.equal(mixed.frame_labels[0, :total], torch.full((total, 2), 0.5))


def test_features_have_no_columns_to_cut() -> None:
    narrow, features = torch.zeros(1, 1, 4, 2, 3), torch.zeros(1, 1, 4)
    for video in (narrow, features):
        clips = Clips.of(video, torch.ones(1, 4, 1))
        with pytest.raises(ValueError, match="needs frames .* with W of at least 4"):
            volume_cutmix_view(clips, clips)
        with pytest.raises(ValueError, match="needs frames .* with W of at least 4"):
            volume_cutmix_window(clips, clips, placed(4, 4, 0), width=4)
