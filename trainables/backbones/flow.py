"""TV-L1 optical flow as the public two-stream features have it: clipped and stored as grey values."""

from __future__ import annotations

from importlib import import_module
from itertools import pairwise
from types import ModuleType

import numpy as np
import numpy.typing as npt

from trainables.backbones.preprocess import Frames

#: Flow is cut to [-20, 20] pixels a frame.
BOUND_PX = 20.0

Fields = npt.NDArray[np.float32]


def opencv() -> ModuleType:
    """OpenCV with its contributed modules, an optional part of the installation.

    Raises:
        ModuleNotFoundError: it is not installed; the message says what is to be done.
    """
    try:
        cv2 = import_module("cv2")
        # plain OpenCV has no such module
        import_module("cv2.optflow")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "optical flow needs OpenCV with its contributed modules: pip install 'tadtune[flow]'"
        ) from error
    return cv2


def tvl1_flow(frames: Frames) -> Fields:
    """Flow from every frame to the next.

    Source: Zach et al. 2007, "A duality based approach for realtime TV-L1 optical flow", with the default parameters of
    OpenCV's ``DualTVL1OpticalFlow``, as open-mmlab/denseflow:src/dense_flow.cpp uses them. Depends on the version of
    OpenCV in the last digits.

    Args:
        frames: (N, H, W, 3) RGB, N >= 2.

    Returns:
        (N - 1, H, W, 2) x and y in pixels a frame.

    Raises:
        ValueError: fewer than two frames.
        ModuleNotFoundError: see :func:`opencv`.
    """
    if len(frames) < 2:
        raise ValueError(f"frames: {len(frames)}; flow needs two or more")
    cv2 = opencv()
    # cores are shared out among worker processes, not taken by each of them
    cv2.setNumThreads(1)
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    method = cv2.optflow.DualTVL1OpticalFlow_create()
    # no field is the start of the next one's search: a field depends on its two frames alone
    fields = [method.calc(a, b, None) for a, b in pairwise(grey)]
    result: Fields = np.stack(fields)
    return result


def quantise_flow(flow: Fields, *, bound_px: float = BOUND_PX) -> Frames:
    """Flow as grey values: -bound is 0, 0 is 128, bound is 255.

    Source: open-mmlab/denseflow:src/common.cpp, ``convertFlowToImage``: round(255 (v + bound) / (2 bound)), halves to
    the even value.

    Args:
        flow: pixels a frame, any shape.
        bound_px: values beyond are clipped.

    Returns:
        Same shape.
    """
    clipped = np.clip(flow.astype(np.float64), -bound_px, bound_px)
    result: Frames = np.rint(255.0 * (clipped + bound_px) / (2.0 * bound_px)).astype(np.uint8)
    return result
