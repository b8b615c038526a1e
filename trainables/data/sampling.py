"""From L snippets of a video to the T samples a detector reads, and back to seconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Positions = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sampled:
    """Positions on the snippet axis that make one input.

    Attributes:
        positions: (n,) source positions; whole numbers unless interpolated.
        start_snippets: snippet coordinate of sample coordinate 0.
        snippets_per_sample: how many snippets one sample covers.
    """

    positions: Positions
    start_snippets: float
    snippets_per_sample: float


def sparse(num_snippets: int, length: int, generator: np.random.Generator) -> Sampled:
    """One random snippet of each of ``length`` equal parts; parts may be shorter than a snippet.

    Source: KT-MGFN III-E. Part j is [j L / T, (j + 1) L / T); the draw u in it gives snippet min(floor(u), L - 1).
    """
    draws: Positions = (np.arange(length) + generator.random(length)) * num_snippets / length
    return Sampled(np.minimum(np.floor(draws), num_snippets - 1), 0.0, num_snippets / length)


def uniform(num_snippets: int, length: int) -> Sampled:
    """The snippet at the centre of each of ``length`` equal parts: floor((j + 1/2) L / T)."""
    positions = np.floor((2.0 * np.arange(length) + 1.0) * num_snippets / (2 * length)).astype(np.float64)
    return Sampled(positions, 0.0, num_snippets / length)


def rescale(num_snippets: int, length: int) -> Sampled:
    """Linear interpolation with end points aligned: sample j sits at j (L - 1) / (T - 1).

    A sample's cell is centred on its snippet's centre, so coordinate x lies at 1/2 + (x - 1/2) (L - 1) / (T - 1).
    """
    if length == 1:
        return Sampled(np.array([(num_snippets - 1) / 2]), 0.0, float(num_snippets))
    step = (num_snippets - 1) / (length - 1)
    positions = (np.arange(length) * step).astype(np.float64)
    return Sampled(positions, 0.5 - 0.5 * step, step)


def native(num_snippets: int) -> Sampled:
    """Every snippet."""
    return Sampled(np.arange(num_snippets, dtype=np.float64), 0.0, 1.0)


def windows(num_snippets: int, length: int, stride: int) -> list[Sampled]:
    """Sliding windows: offsets 0, stride, ... and the last possible one; a single short one for a short video."""
    last = max(num_snippets - length, 0)
    offsets = sorted({*range(0, last + 1, stride), last})
    return [Sampled(np.arange(o, min(o + length, num_snippets), dtype=np.float64), float(o), 1.0) for o in offsets]


def take(features: npt.NDArray[np.float32], sampled: Sampled) -> npt.NDArray[np.float32]:
    """(n, C) features at the positions, interpolated between snippets where they are not whole."""
    low = np.floor(sampled.positions).astype(np.int64)
    share = (sampled.positions - low).astype(np.float32)[:, None]
    if not share.any():
        return features[low]
    high = np.minimum(low + 1, len(features) - 1)
    mixed: npt.NDArray[np.float32] = features[low] * (1 - share) + features[high] * share
    return mixed
