"""Ranks of items that stand group after group."""

from __future__ import annotations

import numpy as np

from trainables.detections import IntArray


def count_up(lengths: IntArray) -> IntArray:
    """0, 1, ... anew for every length: [2, 3] -> [0, 1, 0, 1, 2]."""
    ends = np.cumsum(lengths)
    result: IntArray = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - lengths, lengths)
    return result
