"""One-dimensional geometry of segments in numpy.

Three axes: seconds; *snippets*, where snippet t covers the half-open cell [t, t + 1); and the *grid* of an input's
temporal samples, where sample j covers [j, j + 1) and coordinate 0 lies at ``start_s``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

#: Floor of denominators: a pair of empty segments has tIoU 0, not NaN.
_TINY = float(np.finfo(np.float64).tiny)

#: A coordinate this near to a whole number is that number: far above the rounding of a product of times and rates
#: (1e-10 after a day of 100 snippets a second), far below anything annotated.
_SNAP = 1e-6


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
    """Temporal intersection over union of paired segments; no check, for arrays that were checked as a whole.

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


def paired_giou(a: FloatArray, b: FloatArray) -> FloatArray:
    """Generalised tIoU of paired segments; no check, for arrays that were checked as a whole.

    Source: Rezatofighi et al. 2019, arXiv:1902.09630, Algorithm 1. In one dimension the part of the hull that neither
    segment covers is the gap between them, so this is the tIoU where they touch and -gap / hull where they do not.

    Args:
        a: (..., 2) start, end.
        b: (..., 2), broadcast against ``a``.

    Returns:
        (...) in [-1, 1], -1 only for two empty segments apart; 0 for two empty segments at one place.
    """
    gap = np.maximum(np.maximum(a[..., 0], b[..., 0]) - np.minimum(a[..., 1], b[..., 1]), 0.0)
    hull = np.maximum(a[..., 1], b[..., 1]) - np.minimum(a[..., 0], b[..., 0])
    result: FloatArray = paired_tiou(a, b) - gap / np.maximum(hull, _TINY)
    return result


def giou_matrix(pred: npt.ArrayLike, gt: npt.ArrayLike) -> FloatArray:
    """Generalised tIoU of every pair, see :func:`paired_giou`.

    Args:
        pred: (N, 2) start, end.
        gt: (M, 2) same unit.

    Returns:
        (N, M) in [-1, 1].

    Raises:
        ValueError: a segment ends before it starts, or is not finite (first bad row is named).
    """
    a, b = np.asarray(pred, np.float64), np.asarray(gt, np.float64)
    check_segments(a, what="pred")
    check_segments(b, what="gt")
    return paired_giou(a[:, None, :], b[None, :, :])


def tiou_matrix(pred: npt.ArrayLike, gt: npt.ArrayLike) -> FloatArray:
    """Temporal intersection over union of every pair.

    Args:
        pred: (N, 2) start, end.
        gt: (M, 2) same unit.

    Returns:
        (N, M) in [0, 1]; 0 for a pair of empty segments.

    Raises:
        ValueError: a segment ends before it starts, or is not finite (first bad row is named).
    """
    a, b = np.asarray(pred, np.float64), np.asarray(gt, np.float64)
    check_segments(a, what="pred")
    check_segments(b, what="gt")
    return paired_tiou(a[:, None, :], b[None, :, :])


def clip_segments(segments: FloatArray, low: float, high: float) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Segments cut to [low, high].

    Args:
        segments: (N, 2) start, end.
        low: lower border, same unit.
        high: upper border.

    Returns:
        (N, 2) cut segments, and (N,) True where something of positive length is left.
    """
    cut: FloatArray = np.clip(segments, low, high)
    return cut, cut[:, 1] > cut[:, 0]


def seconds_to_snippets(seconds: npt.ArrayLike, snippet_seconds: float) -> FloatArray:
    """Times on the snippet axis; a time that is a whole number of snippets gives exactly that number.

    Args:
        seconds: any shape.
        snippet_seconds: seconds that one snippet covers.
    """
    return seconds_to_grid(seconds, start_s=0.0, seconds_per_sample=snippet_seconds)


def snippets_to_seconds(snippets: npt.ArrayLike, snippet_seconds: float) -> FloatArray:
    """Times of snippet coordinates, in one rounding: a sum of steps would drift.

    Args:
        snippets: any shape.
        snippet_seconds: seconds that one snippet covers.
    """
    return grid_to_seconds(snippets, start_s=0.0, seconds_per_sample=snippet_seconds)


def seconds_to_grid(seconds: npt.ArrayLike, *, start_s: float, seconds_per_sample: float) -> FloatArray:
    """Times on the grid of an input; a time at a sample's border gives exactly that border.

    Args:
        seconds: any shape.
        start_s: time of grid coordinate 0.
        seconds_per_sample: seconds that one sample covers.

    Raises:
        ValueError: ``seconds_per_sample`` is not a positive number.
    """
    _check_step(seconds_per_sample)
    position = (np.asarray(seconds, np.float64) - start_s) / seconds_per_sample
    whole = np.rint(position)
    snapped: FloatArray = np.where(np.abs(position - whole) < _SNAP, whole, position)
    return snapped


def grid_to_seconds(grid: npt.ArrayLike, *, start_s: float, seconds_per_sample: float) -> FloatArray:
    """Times of grid coordinates; the inverse of :func:`seconds_to_grid`.

    Args:
        grid: any shape.
        start_s: time of grid coordinate 0.
        seconds_per_sample: seconds that one sample covers.

    Raises:
        ValueError: ``seconds_per_sample`` is not a positive number.
    """
    _check_step(seconds_per_sample)
    return np.asarray(grid, np.float64) * seconds_per_sample + start_s


def _check_step(seconds: float) -> None:
    if not 0.0 < seconds < np.inf:
        raise ValueError(f"seconds per sample: {seconds} must be a positive number")
