"""Sizes, crops and ranges, against OpenCV and the published constants."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.backbones import preprocess
from trainables.backbones.preprocess import Preprocess


def _image(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (2, height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("source", "target"), [((240, 320), (128, 171)), ((60, 80), (112, 112)), ((50, 31), (17, 40))])
def test_resizing_is_opencvs(interpolation: str, source: tuple[int, int], target: tuple[int, int]) -> None:
    cv2 = pytest.importorskip("cv2", reason="OpenCV is the reference of the resizing")
    flag = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}[interpolation]
    frames = _image(*source)
    ours = Preprocess(target, 1, (0.0,) * 3, (1.0,) * 3, interpolation=interpolation).resize(frames)
    exact = np.stack([cv2.resize(frame.astype(np.float32), target[::-1], interpolation=flag) for frame in frames])
    assert np.abs(ours - np.clip(exact, 0, 255)).max() <= 0.505  # half a grey value, and float32 coordinates
    # on grey values OpenCV interpolates with fixed-point weights
    theirs = np.stack([cv2.resize(frame, target[::-1], interpolation=flag) for frame in frames])
    assert np.abs(ours.astype(int) - theirs.astype(int)).max() <= 1


def test_many_frames_are_resized_as_each_alone() -> None:
    frames = np.random.default_rng(1).integers(0, 256, (70, 9, 12, 2), dtype=np.uint8)
    resize = Preprocess((6, 7), 4, (0.0,) * 2, (1.0,) * 2).resize
    together = resize(frames)
    assert together.shape == (70, 6, 7, 2)
    assert all(np.array_equal(together[i : i + 1], resize(frames[i : i + 1])) for i in range(70))


@settings(max_examples=60)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 40))
def test_the_shorter_side_gets_its_length_and_the_aspect_stays(height: int, width: int, side: int) -> None:
    resized = Preprocess(side, 1, (0.0,) * 3, (1.0,) * 3).resize(np.zeros((1, height, width, 3), np.uint8))
    assert min(resized.shape[1:3]) == side
    assert abs(resized.shape[1] * width - resized.shape[2] * height) <= 0.5 * max(height, width)


def test_a_frame_of_the_right_size_is_left_alone() -> None:
    frames = _image(128, 171)
    assert preprocess.C3D_RGB.resize(frames) is frames


@settings(max_examples=60)
@given(st.integers(1, 30), st.integers(0, 30), st.integers(0, 30))
def test_the_crop_is_in_the_centre(crop: int, extra_height: int, extra_width: int) -> None:
    height, width = crop + extra_height, crop + extra_width
    rows, columns = np.mgrid[:height, :width]
    frames = np.stack([rows, columns], axis=-1)[None].astype(np.uint8)
    cut = Preprocess((height, width), crop, (0.0,) * 2, (1.0,) * 2).centre_crop(frames)
    assert cut.shape == (1, crop, crop, 2)
    assert tuple(cut[0, 0, 0]) == (extra_height // 2, extra_width // 2)
    assert tuple(cut[0, -1, -1]) == (extra_height // 2 + crop - 1, extra_width // 2 + crop - 1)


@pytest.mark.parametrize(
    ("name", "pixel", "expected"),
    [
        # red, green, blue in; the network's order out
        ("C3D_RGB", (10, 20, 30), (30 - 90, 20 - 98, 10 - 102)),
        ("TSN_RGB", (10, 20, 30), (30 - 104, 20 - 117, 10 - 128)),
        ("TSN_FLOW", (128, 255), (0, 127)),
        ("I3D_RGB", (0, 255, 51), (-1.0, 1.0, 51 / 255 * 2 - 1)),
        ("I3D_FLOW", (128, 0), (128 / 255 * 2 - 1, -1.0)),
        ("AFSD_RGB", (0, 255, 51), (-1.0, 1.0, 51 / 255 * 2 - 1)),
        ("X3D_M_RGB", (0, 255, 51), (-2.0, (1 - 0.45) / 0.225, (0.2 - 0.45) / 0.225)),
    ],
)
def test_published_ranges(name: str, pixel: tuple[int, ...], expected: tuple[float, ...]) -> None:
    values = getattr(preprocess, name).normalise(torch.tensor([pixel], dtype=torch.uint8))
    assert values.dtype == torch.float32
    assert values[0].tolist() == pytest.approx(expected, abs=1e-5)


def test_no_motion_is_nearly_nothing_for_i3d() -> None:
    value = preprocess.I3D_FLOW.normalise(torch.tensor([128, 128], dtype=torch.uint8))
    assert value.tolist() == pytest.approx([0.0039216] * 2, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "size", "crop"),
    [
        ("C3D_RGB", (128, 171), 112),
        ("I3D_RGB", 256, 224),
        ("AFSD_FLOW", (112, 112), 96),
        ("X3D_S_RGB", 182, 160),
        ("X3D_M_RGB", 256, 224),
        ("X3D_L_RGB", 356, 312),
        ("TSN_FLOW", (256, 340), 224),
    ],
)
def test_published_sizes(name: str, size: object, crop: int) -> None:
    assert (getattr(preprocess, name).size, getattr(preprocess, name).crop) == (size, crop)


def test_another_crop_keeps_the_field_of_view() -> None:
    assert preprocess.C3D_RGB.scaled(56).size == (64, 86)
    assert preprocess.I3D_RGB.scaled(112).size == 128
    assert preprocess.I3D_RGB.scaled(224) == preprocess.I3D_RGB
    assert preprocess.AFSD_RGB.scaled(1).size == (1, 1)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="crop: 0 must be 1 or more"):
        preprocess.I3D_RGB.scaled(0)
    with pytest.raises(ValueError, match="2 channels, the network takes 3"):
        preprocess.I3D_RGB.normalise(torch.zeros(4, 4, 2, dtype=torch.uint8))
    with pytest.raises(ValueError, match="0 x 5 pixels"):
        preprocess.I3D_RGB.resize(np.zeros((1, 0, 5, 3), np.uint8))
