"""Ranges of a characteristic that instances are grouped by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from trainables.detections import FloatArray, IntArray

_SIZES = ("XS", "S", "M", "L", "XL")


@dataclass(frozen=True)
class Buckets:
    """Half-open ranges (edge, next edge]; the first also holds its lower edge.

    Attributes:
        edges: B + 1 rising values; infinite ones are allowed at the ends.
        names: B names.

    Raises:
        ValueError: edges that do not rise, or not one name for each range.
    """

    edges: tuple[float, ...]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.edges) != len(self.names) + 1 or not self.names:
            raise ValueError(f"buckets: {len(self.edges)} edges bound {len(self.edges) - 1} ranges, names {self.names}")
        if len(set(self.names)) < len(self.names):
            raise ValueError(f"buckets: names {self.names} repeat")
        if not (np.diff(self.edges) > 0).all():
            raise ValueError(f"buckets: edges {self.edges} must rise")

    def index(self, values: FloatArray) -> IntArray:
        """(n,) bucket of each value; -1 outside the edges and for NaN."""
        edges = np.asarray(self.edges)
        place = np.searchsorted(edges, values, side="left") - 1
        place[values == edges[0]] = 0
        return np.where(place < len(self.names), place, -1)


def quantile_buckets(values: FloatArray) -> Buckets:
    """Up to five buckets of about equally many instances; fewer where values repeat. None of them is empty.

    Args:
        values: (n,), NaN = unknown, left out.

    Raises:
        ValueError: no value is known.
    """
    known = values[~np.isnan(values)]
    if not len(known):
        raise ValueError("buckets: no instance has a value to take quantiles of")
    quantiles = np.quantile(known, np.arange(1, len(_SIZES)) / len(_SIZES), method="inverted_cdf")
    inner = np.unique(quantiles[quantiles < known.max()]).tolist()
    return Buckets((-np.inf, *inner, np.inf), _SIZES[: len(inner) + 1])


def _fifths() -> tuple[float, ...]:
    return tuple(np.linspace(0, 1, 6).tolist())


#: Edges for ActivityNet. Source: Alwassel et al. 2018; HumamAlwassel/DETAD: src/sensitivity_analysis.py.
ACTIVITYNET_BUCKETS: Mapping[str, Buckets] = MappingProxyType(
    {
        "context_size": Buckets(tuple(range(-1, 7)), ("0", "1", "2", "3", "4", "5", "6")),
        "context_distance": Buckets(tuple(range(-1, 4)), ("Inf", "N", "M", "F")),
        "agreement": Buckets(_fifths(), ("XW", "W", "M", "H", "XH")),
        "coverage": Buckets(_fifths(), _SIZES),
        "length_s": Buckets((0, 30, 60, 120, 180, np.inf), _SIZES),
        "num_instances": Buckets((-1, 1, 4, 8, np.inf), _SIZES[:4]),
    }
)

#: Edges for THUMOS'14, same source.
THUMOS14_BUCKETS: Mapping[str, Buckets] = MappingProxyType(
    {
        "coverage": Buckets((0, 0.02, 0.04, 0.06, 0.08, 1), _SIZES),
        "length_s": Buckets((0, 3, 6, 12, 18, np.inf), _SIZES),
        "num_instances": Buckets((-1, 1, 40, 80, np.inf), _SIZES[:4]),
    }
)
