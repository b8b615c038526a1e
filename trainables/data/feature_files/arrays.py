"""Arrays out of feature files: .npy, .npz, .h5/.hdf5, .csv, .mat, Arrow/Feather and Parquet, as they are stored.

Nothing here executes what a file holds: pickled objects are refused. What the axes mean is decided in
:mod:`trainables.data.feature_files.layout`.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.io
from scipy.io.matlab import MatReadError

Array = npt.NDArray[Any]

_DAMAGED = (
    ValueError, OSError, EOFError, NotImplementedError, TypeError, KeyError, zipfile.BadZipFile, zlib.error,
    pa.ArrowException, MatReadError,
)  # fmt: skip

#: An element of a MATLAB cell array, counted from 0.
_CELL = re.compile(r"(?P<name>\w+)\[(?P<index>\d+)\]")


def read_array(path: Path, key: str | None = None) -> Array:
    """The array of a file.

    Args:
        path: its ending decides how it is read.
        key: name of the array where a file may hold several (.npz, .h5, .hdf5, .mat; ``name[3]`` is element 3 of a
            MATLAB cell array); None = the only one.

    Returns:
        As stored: any shape; .npy files stay memory-mapped.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: its ending is none of ``ENDINGS``, it is damaged, or it does not hold the array; the file is named.
    """
    reader = _reader(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    if key is not None and path.suffix.lower() not in CONTAINER_ENDINGS:
        raise ValueError(f"{path}: a {path.suffix} file holds one array without a name; leave out the name '{key}'")
    try:
        values = reader(path, key)
        if not isinstance(values, np.ndarray):
            raise _ContentError(f"holds a {type(values).__name__}, expected a plain array")
        return values
    except _ContentError as error:
        raise ValueError(f"{path}: {error}") from None
    except _DAMAGED as error:
        raise ValueError(f"{path}: not a readable {path.suffix} file of plain numbers: {error}") from error


def array_names(path: Path) -> tuple[str, ...]:
    """Names of the arrays of a file that may hold several; a MATLAB cell array is named element by element.

    Raises:
        ValueError: its ending is none of ``CONTAINER_ENDINGS``, or it is damaged; the file is named.
    """
    lister = _LISTERS.get(path.suffix.lower())
    if lister is None:
        raise ValueError(f"{path}: no file that holds several arrays; those end in {', '.join(CONTAINER_ENDINGS)}")
    try:
        return lister(path)
    except _DAMAGED as error:
        raise ValueError(f"{path}: not a readable {path.suffix} file: {error}") from error


class _ContentError(Exception):
    """Says what is wrong with a file; the caller adds which one."""


def _reader(path: Path) -> Callable[[Path, str | None], Array]:
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise ValueError(f"{path}: features are in files that end in {', '.join(ENDINGS)}")
    return reader


def _choose(names: Sequence[str], key: str | None) -> str:
    """The name that was asked for, or the only one."""
    shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    if key is not None:
        if key not in names:
            raise _ContentError(f"holds no array '{key}', only: {shown or 'none'}")
        return key
    if len(names) != 1:
        raise _ContentError(f"holds {len(names)} arrays ({shown}); say which one is meant")
    return names[0]


def _read_npy(path: Path, key: str | None) -> Array:
    values: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    return values


def _read_npz(path: Path, key: str | None) -> Array:
    with np.load(path, allow_pickle=False) as archive:
        values: Array = archive[_choose(archive.files, key)]
        return values


def _list_npz(path: Path) -> tuple[str, ...]:
    with np.load(path, allow_pickle=False) as archive:
        return tuple(archive.files)


def _read_h5(path: Path, key: str | None) -> Array:
    with h5py.File(path, "r") as file:
        known = key is not None and isinstance(file.get(key), h5py.Dataset)
        # listing thousands of names for every one that is read would be quadratic
        name = key if known else _choose(_datasets(file), key)
        return np.asarray(file[name])


def _list_h5(path: Path) -> tuple[str, ...]:
    with h5py.File(path, "r") as file:
        return tuple(_datasets(file))


def _datasets(file: Any) -> list[str]:
    names: list[str] = []
    file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    return names


def _read_csv(path: Path, key: str | None) -> Array:
    """Numbers in rows; a first row without any number is a header."""
    with path.open(encoding="utf-8") as stream:
        header = not any(map(_is_number, stream.readline().split(",")))
        if not stream.readline() and header:
            raise _ContentError("holds no row of numbers")
    return np.loadtxt(path, delimiter=",", skiprows=int(header), ndmin=2, comments=None, encoding="utf-8")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _read_mat(path: Path, key: str | None) -> Array:
    cell = _CELL.fullmatch(key or "")
    name = _choose([name for name, _, _ in scipy.io.whosmat(path)], cell["name"] if cell else key)
    values: Array = scipy.io.loadmat(path, variable_names=[name])[name]
    if cell is None:
        return values
    if values.dtype != object or int(cell["index"]) >= values.size:
        raise _ContentError(f"'{name}' is {values.dtype} {values.shape}, it has no cell {cell['index']}")
    element: Array = values.ravel(order="F")[int(cell["index"])]
    return element


def _list_mat(path: Path) -> tuple[str, ...]:
    names: list[str] = []
    for name, shape, kind in scipy.io.whosmat(path):
        names += [f"{name}[{i}]" for i in range(int(np.prod(shape)))] if kind == "cell" else [name]
    return tuple(names)


def _read_arrow(path: Path, key: str | None) -> Array:
    with pa.memory_map(str(path)) as source:
        return _from_table(pa.ipc.open_file(source).read_all())


def _read_parquet(path: Path, key: str | None) -> Array:
    return _from_table(pq.read_table(path))


def _from_table(table: pa.Table) -> Array:
    """A row of the table is a snippet: one column of vectors, or one column a channel. Missing cells become NaN."""
    if table.num_columns == 1 and pa.types.is_nested(table.column(0).type):
        rows = table.column(0).combine_chunks()
        lengths = rows.value_lengths().to_numpy(zero_copy_only=False) if len(rows) else np.zeros(0)
        if rows.null_count or len(set(lengths.tolist())) != 1:
            raise _ContentError(f"the vectors of column '{table.column_names[0]}' are not all of one length")
        values: Array = rows.flatten().to_numpy(zero_copy_only=False)
        return values.reshape(len(rows), -1)
    odd = [f.name for f in table.schema if not (pa.types.is_floating(f.type) or pa.types.is_integer(f.type))]
    if odd or not table.num_columns:
        raise _ContentError(f"expected one column of vectors or columns of numbers, got {odd or 'no column'}")
    return np.column_stack([column.to_numpy() for column in table.columns])


_READERS: dict[str, Callable[[Path, str | None], Array]] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".h5": _read_h5,
    ".hdf5": _read_h5,
    ".csv": _read_csv,
    ".mat": _read_mat,
    ".arrow": _read_arrow,
    ".feather": _read_arrow,
    ".parquet": _read_parquet,
}
_LISTERS: dict[str, Callable[[Path], tuple[str, ...]]] = {
    ".npz": _list_npz,
    ".h5": _list_h5,
    ".hdf5": _list_h5,
    ".mat": _list_mat,
}

#: Endings of the files that are read, and of those that may hold several arrays.
ENDINGS = tuple(_READERS)
CONTAINER_ENDINGS = tuple(_LISTERS)
