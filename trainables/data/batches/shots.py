"""Shots of a video, found where neighbouring features differ much, and clips inside them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from trainables.data.schema import Features


def feature_change(features: Features) -> npt.NDArray[np.float64]:
    """Difference of neighbouring features, relative to their size.

    Source: UntrimmedNets (Wang et al. 2017, arXiv:1703.03329), section 3.1, takes the absolute difference of
    histograms of oriented gradients of neighbouring frames. Differs: pre-extracted features stand for the frames, and
    |a - b|_1 / (|a|_1 + |b|_1) makes one threshold fit features of any scale.

    Args:
        features: (L, C).

    Returns:
        (L - 1,) in [0, 1]; 0 between two features that are all zero.
    """
    before, after = features[:-1].astype(np.float64), features[1:].astype(np.float64)
    change = np.abs(after - before).sum(axis=1)
    size = (np.abs(after) + np.abs(before)).sum(axis=1)
    relative: npt.NDArray[np.float64] = np.divide(change, size, out=np.zeros_like(change), where=size > 0)
    return relative


def shot_clips(features: Features, length: int, threshold: float) -> list[tuple[int, int]]:
    """Shots cut into clips one after another.

    Source: UntrimmedNets, section 3.1, shot-based sampling: clips of a fixed length inside each shot, none across two.

    Args:
        features: (L, C), L > 0.
        length: longest clip, snippets; the last clip of a shot may be shorter.
        threshold: a new shot begins where :func:`feature_change` is above it.

    Returns:
        First and last + 1 snippet of each clip, in order; together they are the whole video.
    """
    cuts = np.flatnonzero(feature_change(features) > threshold) + 1
    edges = [0, *cuts.tolist(), len(features)]
    return [(start, min(start + length, end)) for begin, end in pairwise(edges) for start in range(begin, end, length)]
