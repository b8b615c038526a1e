"""Frame labels from a folder with one file a video: MS-TCN's texts (annotations and results), or .npz."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainables.evaluation.files.npz import load_npz
from trainables.evaluation.frames.sequences import FrameLabels

_SUFFIXES = ("", ".txt", ".npz")


def read_frame_labels(folder: Path, *, only: Collection[str] | None = None) -> FrameLabels:
    """Read one label a frame of every video.

    A text has one label a line, or, where its first line starts with ``###``, all of them in the second line, separated
    by blanks (yabufarha/ms-tcn's annotations and results). An ``.npz`` has ``labels`` (n,) of text.

    Args:
        folder: of files ``<video>``, ``<video>.txt`` or ``<video>.npz``.
        only: videos to read; None = all.

    Returns:
        The labels; classes are those that occur, in order of their names.

    Raises:
        ValueError: no such folder or video, a file of another shape, or two files of one video; the file is named.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: frame labels are read from a folder with one file a video")
    paths = [p for p in sorted(folder.iterdir()) if p.is_file() and not p.name.startswith(".")]
    other = [path for path in paths if path.suffix not in _SUFFIXES]
    if other or not paths:
        raise ValueError(f"{other[0] if other else folder}: expected files <video>, <video>.txt or <video>.npz")
    by_video: dict[str, Path] = {}
    for path in paths:
        if by_video.setdefault(path.stem, path) != path:
            raise ValueError(f"{path}: video '{path.stem}' is in {by_video[path.stem].name} as well")
    missing = sorted(set(only or ()) - set(by_video))
    if missing:
        raise ValueError(f"{folder}: holds no file of video '{missing[0]}' ({len(missing)} such videos)")
    labels = [
        _read_npz(p) if p.suffix == ".npz" else _read_text(p) for v, p in by_video.items() if only is None or v in only
    ]
    names, ids = np.unique(np.concatenate(labels), return_inverse=True)
    return FrameLabels(
        video_ids=tuple(video for video in by_video if only is None or video in only),
        first_frame=np.cumsum([0, *map(len, labels)]),
        labels=ids.astype(np.int64),
        class_names=tuple(names.tolist()),
    )


def _read_text(path: Path) -> npt.NDArray[np.str_]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a text file ({error})") from error
    if lines and lines[0].startswith("###"):
        if len(lines) < 2 or any(line.strip() for line in lines[2:]):
            raise ValueError(f"{path}: after '{lines[0]}' one line of labels is due, there are {len(lines) - 1}")
        labels = lines[1].split()
    else:
        labels = [line.strip() for line in lines]
        if "" in labels:
            raise ValueError(f"{path}: line {labels.index('') + 1} is empty; expected one label a line")
    if not labels:
        raise ValueError(f"{path}: holds no label")
    return np.asarray(labels)


def _read_npz(path: Path) -> npt.NDArray[np.str_]:
    arrays = load_npz(path)
    labels = arrays.get("labels")
    if labels is None or len(arrays) > 1 or labels.ndim != 1 or labels.dtype.kind != "U" or not len(labels):
        shown = {name: f"{values.dtype} {values.shape}" for name, values in arrays.items()}
        raise ValueError(f"{path}: expected one array 'labels' (frames,) of text, holds {shown}")
    return labels
