"""Arrays of an ``.npz`` file; pickled objects are never loaded."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


def load_npz(path: Path) -> dict[str, npt.NDArray[Any]]:
    """All arrays by name.

    Raises:
        ValueError: not such a file, or an array of Python objects.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            return {name: content[name] for name in content.files}
    except (ValueError, OSError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: not an .npz file of plain arrays ({error})") from error
