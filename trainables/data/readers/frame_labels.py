"""50 Salads as the temporal convolutional networks' authors publish it: labels and scores of every step in .mat files.

Source of the form: colincsl/TemporalConvolutionalNetworks:predictions/50Salads. ``Split_k.mat`` holds the test videos
of split k as cells: ``Y`` true labels, ``S`` scores of 18 channels, ``P`` decisions of the classifier behind ``S``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trainables.data.annotations import FaultLog
from trainables.data.readers.raw import Options, RawAnnotations, RawSegment, RawVideo
from trainables.data.readers.source import Source
from trainables.segments import snippets_to_seconds

_MAGIC = b"MATLAB 5.0 MAT-file"
_CELLS = ("Y", "S", "P")
_BACKGROUND = "background"


@dataclass(frozen=True)
class LabelledSteps:
    """One video of a split.

    Attributes:
        video_id: its name in the split list, or ``Split_k_01`` where that list is not there.
        split: name of the file.
        labels: (T,) true classes; 0 = background.
        scores: (T, K) scores of the classes, background included.
        decisions: (T,) classes that a classifier of the scores decided for.
    """

    video_id: str
    split: str
    labels: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64]
    decisions: npt.NDArray[np.int64]


def recognises(source: Source) -> bool:
    """Whether it is such a file, or a folder with some."""
    return bool(_files(source.path))


def read(source: Source, options: Options) -> RawAnnotations:
    """Runs of equal labels as segments. The background is a class like the others, as segmentation scores have it.

    Raises:
        ValueError: a file of another shape; it is named.
    """
    faults = FaultLog()
    step_s = options.seconds_per_step
    videos, num_classes = [], 0
    for path in _files(source.path):
        for steps in read_labelled_steps(path):
            where = f"{path}: video '{steps.video_id}'"
            if not steps.video_id.startswith(steps.split):
                faults.add("video named by its place in the split list", where, "kept, not verifiable from the files")
            if step_s is None:
                faults.add("sampling rate is not stated", where, "one step is taken as 1 s")
            num_classes = max(num_classes, steps.scores.shape[1])
            videos.append(_video(steps, where, 1.0 if step_s is None else step_s))
    return RawAnnotations(videos, tuple(map(_name, range(num_classes))), faults=faults)


def read_labelled_steps(path: Path) -> list[LabelledSteps]:
    """Videos of one file, in its order.

    Raises:
        ValueError: it lacks a variable, shapes do not agree, or a number is not finite or no class.
    """
    from scipy.io import loadmat  # waits until such a file is met
    from scipy.io.matlab import MatReadError

    try:
        content = loadmat(path)
    except (MatReadError, ValueError, OSError, TypeError) as error:
        raise ValueError(f"{path}: not a readable .mat file: {error}") from error
    missing = [name for name in _CELLS if name not in content]
    if missing:
        raise ValueError(f"{path}: has no variable {', '.join(missing)}; expected {', '.join(_CELLS)}")
    labels, scores, decisions = (list(content[name].flat) for name in _CELLS)
    if not len(labels) == len(scores) == len(decisions):
        raise ValueError(f"{path}: Y, S and P hold {len(labels)}, {len(scores)} and {len(decisions)} videos")
    names = _names(path, len(labels))
    return [_steps(path, *cells) for cells in zip(names, labels, scores, decisions, strict=True)]


def _steps(path: Path, video_id: str, labels: Any, scores: Any, decisions: Any) -> LabelledSteps:
    where = f"{path}: video '{video_id}'"
    if scores.ndim != 2 or 0 in scores.shape or not np.isfinite(scores).all():
        raise ValueError(f"{where}: S has shape {scores.shape}, expected (T, K) finite numbers")
    flat = []
    for name, values in (("Y", labels), ("P", decisions)):
        classes = values.ravel()
        if len(classes) != len(scores):
            raise ValueError(f"{where}: {name} has {len(classes)} steps, S {len(scores)}")
        bad = np.flatnonzero(~np.isin(classes, np.arange(scores.shape[1])))
        if bad.size:
            value, count = classes[bad[0]], scores.shape[1]
            raise ValueError(f"{where}, step {bad[0]}: {name} is {value}, expected a class from 0 to {count - 1}")
        flat.append(classes.astype(np.int64))
    return LabelledSteps(video_id, path.stem, flat[0], scores.astype(np.float64), flat[1])


def _video(steps: LabelledSteps, where: str, step_s: float) -> RawVideo:
    borders = np.flatnonzero(np.diff(steps.labels, prepend=-1, append=-1))
    times = snippets_to_seconds(borders, step_s).tolist()
    labels = steps.labels[borders[:-1]].tolist()
    segments = [
        RawSegment(start, end, _name(label), f"{where}, step {step}")
        for start, end, label, step in zip(times[:-1], times[1:], labels, borders[:-1].tolist(), strict=True)
    ]
    return RawVideo(steps.video_id, where, segments, steps.split.lower(), times[-1])


def _name(label: int) -> str:
    return str(label) if label else _BACKGROUND


def _names(path: Path, number: int) -> list[str]:
    """Names in the split list of the data set, which lies in a folder above."""
    for folder in path.parents[:4]:
        split_list = folder / "splits" / path.stem / "test.txt"
        if split_list.is_file():
            names = split_list.read_text(encoding="utf-8").split()
            if len(names) != number:
                raise ValueError(f"{split_list}: has {len(names)} names, {path} {number} videos")
            return names
    return [f"{path.stem}_{k:02d}" for k in range(1, number + 1)]


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if _is_mat(path) else []
    found = [file for depth in ("", "*/", "*/*/") for file in path.glob(f"{depth}Split_*.mat")]
    return sorted(file for file in found if _is_mat(file))


def _is_mat(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(_MAGIC)) == _MAGIC
