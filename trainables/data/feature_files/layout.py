"""What a stored array means: axes, numbers, streams. Out comes (T, C) float32, or one error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from trainables.data.schema import Features

#: Order of the stored axes: T snippets, C channels.
Layout = Literal["tc", "ct"]

_TYPES = (np.float16, np.float32, np.float64)


def to_features(
    values: npt.NDArray[Any], *, where: str, layout: Layout | None = None, channels: int | None = None
) -> Features:
    """Features of one video in one stream.

    Args:
        values: (T, C), (C, T), or (C,) for a single snippet; float16, float32 or float64 of either byte order.
        where: file (and name of the array) for the complaint.
        layout: order of the axes; None = the axis of length ``channels`` is C.
        channels: C; None = whatever is there, which needs ``layout``.

    Returns:
        (T, C) contiguous float32, a copy unless that is what is stored.

    Raises:
        ValueError: names the file, the shape and the rule, or the first snippet with a number that is NaN, infinite,
            or infinite once it is float32.
    """
    if values.dtype.newbyteorder("=") not in _TYPES:
        raise ValueError(f"{where}: holds {values.dtype}, features are float16, float32 or float64")
    matrix = values[None] if values.ndim == 1 else values
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise ValueError(f"{where}: shape {values.shape}, expected (T, C), (C, T), or (C,) for a single snippet")
    if values.ndim == 1:
        layout = "tc"
    if _layout(matrix.shape, values.shape, where, layout, channels) == "ct":
        matrix = matrix.T
    with np.errstate(over="ignore"):
        features: Features = np.ascontiguousarray(matrix, np.float32)
    bad = ~np.isfinite(features).all(axis=1)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise ValueError(
            f"{where}: snippet {row} of {len(features)} (counted from 0) holds a number that is not finite in float32; "
            f"{int(bad.sum())} snippets do; extract them anew or leave the video out"
        )
    return features


def _layout(
    shape: tuple[int, ...], stored: tuple[int, ...], where: str, layout: Layout | None, channels: int | None
) -> Layout:
    """The order of the axes of a matrix."""
    if layout is not None and layout not in get_args(Layout):
        raise ValueError(f"layout: '{layout}' is none of {', '.join(get_args(Layout))}")
    if layout is not None:
        found = shape[1] if layout == "tc" else shape[0]
        if channels is not None and found != channels:
            raise ValueError(
                f"{where}: shape {stored} has {found} channels in the layout '{layout}', {channels} expected"
            )
        return layout
    if channels is None:
        raise ValueError(f"{where}: shape {stored} does not tell (T, C) from (C, T); give the layout or the channels")
    if shape[0] == shape[1] == channels:
        raise ValueError(f"{where}: both axes of {stored} have {channels} entries; give the layout")
    if channels not in shape:
        raise ValueError(f"{where}: no axis of {stored} has the {channels} channels expected")
    return "tc" if shape[1] == channels else "ct"


def join_streams(parts: Sequence[Features], names: Sequence[str], *, where: str, tolerance: int) -> Features:
    """Streams of one video side by side (RGB, then flow), cut to the shortest.

    Args:
        parts: (T_i, C_i) each, in the order of the channels to come.
        names: of the streams, for the complaint.
        where: the video, for the complaint.
        tolerance: most snippets by which lengths may differ.

    Returns:
        (min T_i, sum C_i); the T_i tell the caller how much was cut.

    Raises:
        ValueError: lengths differ by more; all of them are named.
    """
    lengths = [len(part) for part in parts]
    if max(lengths) - min(lengths) > tolerance:
        said = ", ".join(f"{name} {length}" for name, length in zip(names, lengths, strict=True))
        raise ValueError(
            f"{where}: streams have different numbers of snippets ({said}), at most {tolerance} of difference is "
            "allowed; extract them alike, or raise the tolerance"
        )
    if len(parts) == 1:
        return parts[0]
    return np.concatenate([part[: min(lengths)] for part in parts], axis=1)
