"""From L snippets of a video to the T samples a detector reads, and back to the snippet axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainables.config import Sampling
from trainables.data.batches.shots import shot_clips
from trainables.data.schema import Features

Positions = npt.NDArray[np.float64]

#: Samples that are turned at once: with 2,048 channels they stay in the cache between reading and writing.
_TURNED = 64

#: Floats of a cache line.
_LINE = 16


@dataclass(frozen=True)
class Sampled:
    """Positions on the snippet axis that make one input.

    Sample coordinate x (sample j covers [j, j + 1)) is snippet coordinate start_snippets + x snippets_per_sample.

    Attributes:
        positions: (n,) index of the snippet to read; not whole where it is interpolated between two.
        start_snippets: snippet coordinate of sample coordinate 0.
        snippets_per_sample: how many snippets one sample covers.
    """

    positions: Positions
    start_snippets: float
    snippets_per_sample: float


def sparse(num_snippets: int, length: int, generator: np.random.Generator) -> Sampled:
    """One random snippet of each of ``length`` equal parts; parts may be shorter than a snippet (L < T).

    Source: KT-MGFN III-E. Part j is [j L / T, (j + 1) L / T); the draw u in it gives snippet min(floor(u), L - 1).
    """
    part = np.arange(length)
    drawn = np.floor((part + generator.random(length)) * num_snippets / length)
    # the last snippet that begins inside the part: rounding of the sum above may not reach the next one
    last = -(-(part + 1) * num_snippets // length) - 1
    return Sampled(np.minimum(drawn, last), 0.0, num_snippets / length)


def uniform(num_snippets: int, length: int) -> Sampled:
    """The snippet at the centre of each of ``length`` equal parts: floor((j + 1/2) L / T)."""
    positions = (2 * np.arange(length) + 1) * num_snippets // (2 * length)
    return Sampled(positions.astype(np.float64), 0.0, num_snippets / length)


def rescale(num_snippets: int, length: int) -> Sampled:
    """Linear interpolation with end points aligned: sample j sits at j (L - 1) / (T - 1).

    Source: BSN, ``resizeFeature``. Sample j stands for the centre of its snippet, so that sample coordinate x is
    snippet coordinate 1/2 + (x - 1/2) (L - 1) / (T - 1). One snippet or one sample has no two ends to align: every
    sample reads the middle, and they share the whole video.
    """
    if num_snippets == 1 or length == 1:
        return Sampled(np.full(length, (num_snippets - 1) / 2), 0.0, num_snippets / length)
    step = (num_snippets - 1) / (length - 1)
    positions: Positions = np.arange(length) * (num_snippets - 1) / (length - 1)
    return Sampled(positions, 0.5 - 0.5 * step, step)


def native(num_snippets: int, stride: int = 1) -> Sampled:
    """Every snippet, or every ``stride``-th from the first one on."""
    return Sampled(np.arange(0, num_snippets, stride, dtype=np.float64), 0.0, float(stride))


def clip(num_snippets: int, length: int, stride: int, generator: np.random.Generator) -> Sampled:
    """One run of ``length`` samples, ``stride`` snippets apart, that begins at any snippet from which it fits.

    A shorter video is used from its first snippet on, as far as it goes.

    Source: kkahatapitiya/SSDet:charades.py.
    """
    span = length * stride
    start = int(generator.integers(max(num_snippets - span, 0) + 1))
    positions = np.arange(start, min(start + span, num_snippets), stride, dtype=np.float64)
    return Sampled(positions, float(start), float(stride))


def windows(num_snippets: int, length: int, stride: int, *, both_ways: bool = False) -> list[Sampled]:
    """Sliding windows: offsets 0, stride, ... and the last possible one; a single short one for a short video.

    Args:
        num_snippets: L.
        length: T.
        stride: from one window to the next.
        both_ways: also those at last, last - stride, ... where last is the last possible offset.
    """
    last = max(num_snippets - length, 0)
    offsets = sorted({*range(0, last + 1, stride), last, *(range(last, -1, -stride) if both_ways else ())})
    return [_run(offset, min(offset + length, num_snippets)) for offset in offsets]


def shots(features: Features, length: int, threshold: float) -> list[Sampled]:
    """Clips of up to ``length`` snippets one after another, none of them across a change of shot.

    Every feature is read to find the changes, whenever a pass begins.
    """
    return [_run(start, end) for start, end in shot_clips(features, length, threshold)]


def _run(start: int, end: int) -> Sampled:
    """Snippets from ``start`` to before ``end``, one a sample."""
    return Sampled(np.arange(start, end, dtype=np.float64), float(start), 1.0)


def check_sampling(sampling: Sampling) -> None:
    """Refuse a sampling that cannot be carried out.

    Raises:
        ValueError: names the key, the rule and the value.
    """
    kinds = {sampling.train, sampling.test}
    if kinds != {"native"} and sampling.length < 1:
        raise ValueError(f"sampling.length: {sampling.length} must be 1 or more")
    if "window" in kinds and (sampling.window_stride is None or min(sampling.window_stride) < 1):
        raise ValueError(
            f"sampling.window_stride: {sampling.window_stride} must be two strides of 1 or more for 'window'"
        )
    for name in ("keep_ratio", "min_inside", "shot_threshold"):
        if not 0 <= getattr(sampling, name) <= 1:
            raise ValueError(f"sampling.{name}: {getattr(sampling, name)} must be from 0 to 1")
    if sampling.stride < 1 or (sampling.stride > 1 and not kinds <= {"native", "clip"}):
        raise ValueError(f"sampling.stride: {sampling.stride} must be 1 or more, and 1 but for 'native' and 'clip'")
    if not 0 <= sampling.min_target < float("inf"):
        raise ValueError(f"sampling.min_target: {sampling.min_target} must be 0 or more samples")


def sample_video(
    features: Features, sampling: Sampling, *, training: bool, generator: np.random.Generator
) -> list[Sampled]:
    """The inputs of one video: one, or one a window or clip.

    Args:
        features: (L, C); read by "shot" alone.
        sampling: checked by :func:`check_sampling`.
        training: whether ``sampling.train`` or ``sampling.test`` holds.
        generator: for "sparse" and "clip".
    """
    kind = sampling.train if training else sampling.test
    if kind == "shot":
        return shots(features, sampling.length, sampling.shot_threshold)
    return sample_positions(len(features), sampling, training=training, generator=generator)


def sample_positions(
    num_snippets: int, sampling: Sampling, *, training: bool, generator: np.random.Generator
) -> list[Sampled]:
    """As :func:`sample_video`, of a video whose snippets need not be looked at: any kind but "shot"."""
    kind = sampling.train if training else sampling.test
    if kind == "native":
        return [native(num_snippets, sampling.stride)]
    if kind == "clip":
        return [clip(num_snippets, sampling.length, sampling.stride, generator)]
    if kind == "window":
        assert sampling.window_stride is not None, "checked before"
        stride = sampling.window_stride[0 if training else 1]
        return windows(num_snippets, sampling.length, stride, both_ways=training and sampling.both_ways)
    if kind == "sparse":
        return [sparse(num_snippets, sampling.length, generator)]
    if kind == "uniform":
        return [uniform(num_snippets, sampling.length)]
    return [rescale(num_snippets, sampling.length)]


def write(out: npt.NDArray[np.float32], features: Features, sampled: Sampled) -> None:
    """Features at the positions of an input, interpolated between two snippets where a position is not whole.

    Args:
        out: (C, n) to fill, channels first.
        features: (L, C).
        sampled: n positions in [0, L - 1].
    """
    low = np.floor(sampled.positions).astype(np.int64)
    share = (sampled.positions - low).astype(np.float32)[:, None]
    between = bool(share.any())
    neighbours = not between and bool((np.diff(low) == 1).all())
    num_channels = features.shape[1]
    # rows a power of two apart, as channels mostly are, would push each other out of the cache while they are turned
    rows = np.empty((_TURNED, num_channels + _LINE), np.float32)[:, :num_channels]
    for first in range(0, len(low), _TURNED):
        part = slice(first, first + _TURNED)
        own = rows[: len(low[part])]
        if neighbours:
            own[:] = features[low[first] : low[first] + len(own)]
        elif between:
            high = np.minimum(low[part] + 1, len(features) - 1)
            own[:] = features[low[part]] * (1 - share[part]) + features[high] * share[part]
        else:
            own[:] = features[low[part]]
        out[:, part] = own.T
