"""TV-L1 flow on images that move by a known amount, and its grey values."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.backbones.flow import opencv, quantise_flow, tvl1_flow


def _moving(shift: tuple[int, int], count: int = 3) -> np.ndarray:
    """Smooth noise that moves by whole pixels (down, right) from frame to frame, around the border."""
    wave = np.random.default_rng(0).normal(size=(64, 80))
    spectrum = np.fft.fft2(wave) * np.exp(-60 * (np.fft.fftfreq(64)[:, None] ** 2 + np.fft.fftfreq(80) ** 2))
    image = np.fft.ifft2(spectrum).real
    image = (255 * (image - image.min()) / np.ptp(image)).astype(np.uint8)
    frames = [np.roll(image, (shift[0] * i, shift[1] * i), axis=(0, 1)) for i in range(count)]
    return np.repeat(np.stack(frames)[..., None], 3, axis=-1)


@pytest.fixture(autouse=True)
def _needs_opencv() -> None:
    pytest.importorskip("cv2.optflow", reason="optical flow is an optional part of the installation")


@pytest.mark.parametrize("shift", [(0, 2), (1, 0), (-1, 3)])
def test_known_motion_is_found(shift: tuple[int, int]) -> None:
    flow = tvl1_flow(_moving(shift))
    assert flow.shape == (2, 64, 80, 2)
    assert flow.dtype == np.float32
    middle = flow[:, 12:-12, 12:-12]
    assert np.median(middle[..., 0]) == pytest.approx(shift[1], abs=0.1)
    assert np.median(middle[..., 1]) == pytest.approx(shift[0], abs=0.1)


def test_a_field_depends_on_its_two_frames_alone() -> None:
    frames = np.concatenate([_moving((0, 3), 2), _moving((2, 0), 2)])
    together = tvl1_flow(frames)
    for i in range(3):
        assert np.array_equal(together[i : i + 1], tvl1_flow(frames[i : i + 2]))


def test_no_motion_is_the_grey_of_no_motion() -> None:
    assert np.unique(quantise_flow(tvl1_flow(_moving((0, 0), 2)))).tolist() == [128]


@pytest.mark.parametrize(
    ("pixels", "grey"), [(0.0, 128), (20.0, 255), (-20.0, 0), (25.0, 255), (-1e9, 0), (10.0, 191), (1.0, 134)]
)
def test_golden_grey_values(pixels: float, grey: int) -> None:
    # 255 (10 + 20) / 40 = 191.25, 255 (1 + 20) / 40 = 133.875
    assert quantise_flow(np.array([pixels], np.float32)).tolist() == [grey]


@settings(max_examples=200)
@given(st.floats(-30, 30, width=32), st.floats(0.5, 40))
def test_grey_values_against_plain_arithmetic(pixels: float, bound: float) -> None:
    clipped = min(max(pixels, -bound), bound)
    wanted = round(255 * (clipped + bound) / (2 * bound))
    assert quantise_flow(np.array([pixels], np.float32), bound_px=bound).tolist() == [wanted]


def test_one_frame_has_no_flow() -> None:
    with pytest.raises(ValueError, match="1; flow needs two or more"):
        tvl1_flow(_moving((0, 0), 1))


@pytest.mark.parametrize("module", ["cv2", "cv2.optflow"])
def test_a_missing_opencv_is_told_with_the_way_out(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'tadtune\[flow\]'"):
        opencv()
