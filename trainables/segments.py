"""One-dimensional geometry of segments in numpy. Snippet t covers the half-open cell [t, t + 1)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

#: Floor of denominators: a pair of empty segments has tIoU 0, not NaN.
_TINY = float(np.finfo(np.float64).tiny)


def check_segments(segments: FloatArray, *, what: str) -> None:
    """Refuse segments that end before they start, or are not finite.

    Args:
        segments: (N, 2) start, end.
        what: name of the array in the complaint.

    Raises:
        ValueError: names the first bad row and its values.
    """
    if segments.ndim != 2 or segments.shape[1] != 2:
        raise ValueError(f"{what}: expected shape (N, 2), got {segments.shape}")
    bad = ~np.isfinite(segments).all(axis=1) | (segments[:, 1] < segments[:, 0])
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        start, end = segments[row]
        raise ValueError(f"{what}: row {row} is [{start}, {end}]; a segment is finite and ends after its start")


def paired_tiou(a: FloatArray, b: FloatArray) -> FloatArray:
    """Temporal intersection over union of paired segments.

    Args:
        a: (..., 2) start, end.
        b: (..., 2), broadcast against ``a``.

    Returns:
        (...) in [0, 1]; 0 where both are empty.
    """
    inter = np.minimum(a[..., 1], b[..., 1]) - np.maximum(a[..., 0], b[..., 0])
    inter = np.maximum(inter, 0.0)
    union = (a[..., 1] - a[..., 0]) + (b[..., 1] - b[..., 0]) - inter
    result: FloatArray = inter / np.maximum(union, _TINY)
    return result


def tiou_matrix(pred: FloatArray, gt: FloatArray) -> FloatArray:
    """tIoU of every pair.

    Args:
        pred: (N, 2) start, end.
        gt: (M, 2) same unit.

    Returns:
        (N, M).
    """
    return paired_tiou(pred[:, None, :], gt[None, :, :])


def seconds_to_snippets(seconds: FloatArray, snippet_seconds: float) -> FloatArray:
    """Times on the snippet axis; a time that is a whole number of snippets gives that whole number.

    Args:
        seconds: any shape.
        snippet_seconds: seconds that one snippet covers.
    """
    position = np.asarray(seconds, np.float64) / snippet_seconds
    whole = np.rint(position)
    snapped: FloatArray = np.where(np.abs(position - whole) < 1e-6 * np.maximum(1.0, np.abs(whole)), whole, position)
    return snapped
