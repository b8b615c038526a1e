"""Where the features of every video are: a folder with one file a video, or one file that holds all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from trainables.data.feature_files.arrays import CONTAINER_ENDINGS, ENDINGS, array_names, read_array
from trainables.data.feature_files.layout import Layout, to_features
from trainables.data.schema import Features

_ID = "{video_id}"


@dataclass(frozen=True)
class FeatureFiles:
    """One stream of features.

    Attributes:
        path: folder with a file a video, or a single file (.h5, .hdf5, .npz, .mat) that holds an array a video.
        name: name of a video's file without its ending, or of its array; ``{video_id}`` stands for the id.
        key: array within each file of a folder, or cell array of a .mat file with ``cells``; None = the only one.
        layout: order of the stored axes; None = the axis of length ``channels`` is C.
        channels: C; None = whatever is there, which needs ``layout``.
        cells: for one .mat file with a cell array: the video of each cell, in order.

    Raises:
        ValueError: a name without the video's id, or neither a layout nor channels.
    """

    path: Path
    name: str = _ID
    key: str | None = None
    layout: Layout | None = None
    channels: int | None = None
    cells: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if _ID not in self.name:
            raise ValueError(f"name: '{self.name}' must hold {_ID}, for videos have different names")
        if self.layout is None and self.channels is None:
            raise ValueError(f"{self.path}: give the layout (tc or ct) or the number of channels")


class Place(NamedTuple):
    """Where one video's array is."""

    path: Path
    key: str | None

    def __str__(self) -> str:
        return f"{self.path}" if self.key is None else f"{self.path}: array '{self.key}'"


@dataclass(frozen=True)
class Located:
    """The videos that were found.

    Attributes:
        places: by video id; a video without features is not in it.
        unused: number of feature files (or arrays) that no video asked for.
    """

    places: dict[str, Place]
    unused: int


def locate(files: FeatureFiles, video_ids: Iterable[str]) -> Located:
    """Find every video's array; nothing is read yet.

    Args:
        files: the stream.
        video_ids: of the videos wanted.

    Raises:
        FileNotFoundError: there is no such folder or file.
        ValueError: a video has files with two endings, or a file's cells are not as many as their names.
    """
    if files.path.is_dir():
        found = _folder(files.path, files.key)
        names = {video_id: files.name.replace(_ID, video_id) for video_id in video_ids}
    elif files.path.is_file():
        found = _container(files)
        names = {v: v if files.cells else files.name.replace(_ID, v) for v in video_ids}
    else:
        raise FileNotFoundError(f"{files.path}: no such folder or file of features")
    places = {}
    for video_id, name in names.items():
        own = found.get(name, [])
        if len(own) > 1:
            twice = " and ".join(place.path.name for place in own)
            raise ValueError(f"{files.path}: video '{video_id}' has {twice}; keep one of them")
        if own:
            places[video_id] = own[0]
    return Located(places, sum(map(len, found.values())) - len(set(places.values())))


def read_features(files: FeatureFiles, place: Place) -> Features:
    """Features of one video, checked.

    Returns:
        (T, C) float32.

    Raises:
        ValueError: see :func:`read_array` and :func:`to_features`.
    """
    values = read_array(place.path, place.key)
    return to_features(values, where=str(place), layout=files.layout, channels=files.channels)


def _folder(folder: Path, key: str | None) -> dict[str, list[Place]]:
    found: dict[str, list[Place]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in ENDINGS and path.is_file():
            found.setdefault(path.stem, []).append(Place(path, key))
    return found


def _container(files: FeatureFiles) -> dict[str, list[Place]]:
    if files.path.suffix.lower() not in CONTAINER_ENDINGS:
        raise ValueError(
            f"{files.path}: one file of all videos ends in {', '.join(CONTAINER_ENDINGS)}; for others give their folder"
        )
    names = array_names(files.path)
    if files.cells:
        return _cells(files, names)
    if files.key is not None:
        raise ValueError(
            f"{files.path}: 'key' names the array within each file of a folder; in one file of all videos use 'name'"
        )
    return {name: [Place(files.path, name)] for name in names}


def _cells(files: FeatureFiles, names: Sequence[str]) -> dict[str, list[Place]]:
    """Cells by the names given for them."""
    own = [name for name in names if name.endswith("]") and files.key in (None, name.partition("[")[0])]
    if len(own) != len(files.cells):
        raise ValueError(
            f"{files.path}: {len(own)} cells in '{files.key or 'all cell arrays'}', {len(files.cells)} names of videos"
        )
    if len(set(files.cells)) != len(files.cells):
        raise ValueError(f"{files.path}: two cells have the name of one video")
    return {video_id: [Place(files.path, name)] for video_id, name in zip(files.cells, own, strict=True)}
