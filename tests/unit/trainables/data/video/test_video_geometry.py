"""Sizes and crops, and which packets may begin a decode."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.data.video.geometry import FrameTransform, frame_layout, random_crop_at, scale_short_side
from trainables.data.video.index import fit_rate
from trainables.data.video.nal import is_instant_refresh
from trainables.data.video.packets import PacketIndex, refresh_frames

SIDES = st.integers(1, 2000)


@given(SIDES, SIDES, st.integers(1, 600))
def test_the_short_side_is_as_asked_and_the_aspect_kept(height: int, width: int, short: int) -> None:
    scaled = scale_short_side(height, width, short)
    assert min(scaled) == short
    assert (scaled[0] <= scaled[1]) == (height <= width) or scaled[0] == scaled[1]
    exact = Fraction(max(height, width) * short, min(height, width))
    assert abs(max(scaled) - exact) <= Fraction(1, 2)


@given(SIDES, SIDES, st.data())
def test_crops_lie_inside(height: int, width: int, data: st.DataObject) -> None:
    crop = (data.draw(st.integers(1, height)), data.draw(st.integers(1, width)))
    fraction = st.floats(0, 1, exclude_max=True)
    layout = frame_layout(height, width, FrameTransform(crop=crop, crop_at=(data.draw(fraction), data.draw(fraction))))
    assert 0 <= layout.top <= height - crop[0]
    assert 0 <= layout.left <= width - crop[1]
    centre = frame_layout(height, width, FrameTransform(crop=crop))
    assert 0 <= height - crop[0] - 2 * centre.top <= 1
    assert (layout.out_height, layout.out_width) == crop
    assert layout.frame_bytes == 3 * crop[0] * crop[1]


def test_random_crops_reach_every_offset_alike() -> None:
    generator = np.random.default_rng(0)
    tops = [
        frame_layout(13, 20, FrameTransform(crop=(10, 10), crop_at=random_crop_at(generator))).top for _ in range(4000)
    ]
    counts = np.bincount(tops, minlength=4)
    assert counts.shape == (4,)
    assert counts.min() > 900


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"short_side": 8, "size": (8, 8)}, "give one of them"),
        ({"size": (0, 8)}, "whole numbers of pixels"),
        ({"crop_at": (0.5, 0.5)}, "needs crop"),
        ({"crop": (2, 2), "crop_at": (0.5, 1.0)}, "numbers in"),
    ],
)
def test_contradictions_are_refused(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        FrameTransform(**arguments)  # type: ignore[arg-type]


def test_units_that_refresh_the_decoder() -> None:
    """Types from ITU-T H.264 and H.265, Table 7-1: 5 is IDR, 1 is not; 19 and 20 are IDR, 21 is CRA."""
    avcc, annex_b = b"\x01\x64\x00\x1f\xff" + bytes(20), b"\x00\x00\x00\x01\x67"

    def sized(*units: bytes) -> bytes:
        return b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)

    sei, idr, other = b"\x06\x05\x04", b"\x65\x88\x80", b"\x41\x9a\x00"
    assert is_instant_refresh("h264", sized(sei, idr), avcc)
    assert not is_instant_refresh("h264", sized(sei, other), avcc)
    assert is_instant_refresh("h264", b"\x00\x00\x00\x01" + sei + b"\x00\x00\x01" + idr, annex_b)
    assert not is_instant_refresh("h264", b"\x00\x00\x00\x01" + sei + b"\x00\x00\x01" + other, None)
    hvcc = b"\x01" + bytes(20) + b"\xff" + bytes(4)
    for kind, refreshes in {19: True, 20: True, 21: False, 1: False}.items():
        assert is_instant_refresh("hevc", sized(bytes([kind << 1, 1, 0])), hvcc) == refreshes
    assert is_instant_refresh("vp9", b"", None)
    assert not is_instant_refresh("h264", b"", avcc)


def _index(pts: list[int], keyframes: list[int], refresh: list[bool] | None = None) -> PacketIndex:
    return PacketIndex(
        codec="h264",
        container="mov",
        pixel_format="yuv420p",
        height=2,
        width=2,
        rotation=0,
        interlaced=False,
        fps=Fraction(25),
        tick_s=0.04,
        last_ticks=1,
        pts=np.asarray(pts),
        num_packets=len(pts),
        keyframes=np.asarray(keyframes),
        refresh=tuple(refresh or [True] * len(keyframes)),
        num_declared=0,
        num_discarded=0,
    )


def test_decoding_starts_at_closed_groups_only() -> None:
    closed = [0, 2, 1, 3, 5, 4]
    assert refresh_frames(_index(closed, [0, 3])).tolist() == [0, 3]
    assert refresh_frames(_index(closed, [0, 3], [True, False])).tolist() == [0]
    leading = [0, 2, 1, 5, 3, 4]  # packet 3 is a keyframe, and 3 and 4 are shown before it
    assert refresh_frames(_index(leading, [0, 3])).tolist() == [0]
    assert refresh_frames(_index([0, 1, 1, 2], [0, 3])).tolist() == [0]


@given(st.permutations(list(range(9))), st.sets(st.integers(0, 8), min_size=1))
def test_closed_groups_by_their_definition(pts: list[int], keys: set[int]) -> None:
    expected = {0} | {
        pts[k] for k in keys if all(p < pts[k] for p in pts[:k]) and all(p > pts[k] for p in pts[k + 1 :])
    }
    assert refresh_frames(_index(pts, sorted(keys))).tolist() == sorted(expected)


def test_rates_of_rounded_times() -> None:
    milliseconds = np.rint(np.arange(500) * 1000 / 30).astype(np.int64)
    assert fit_rate(milliseconds, 0.001, Fraction(30)) == (30, False)
    assert fit_rate(milliseconds, 0.001, Fraction(3635, 121)) == (30, False)
    assert fit_rate(np.arange(500) * 1001, 1 / 30000, Fraction(30000, 1001)) == (Fraction(30000, 1001), False)
    missing = np.delete(milliseconds, 250)
    assert fit_rate(missing, 0.001, Fraction(30))[1]
    assert fit_rate(np.asarray([7]), 0.001, Fraction(30)) == (30, False)
