"""Arrays as JSON values."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def jsonable(values: npt.ArrayLike) -> Any:
    """Nested lists (a number for a scalar) with None for what JSON cannot say: NaN and infinities."""
    array = np.asarray(values, np.float64)
    plain = array.astype(object)
    plain[~np.isfinite(array)] = None
    return plain.tolist()
