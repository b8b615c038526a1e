"""Frame scores from files: a folder of .npz, one a video; one Parquet file; Charades' text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trainables.detections import FloatArray, FrameScores
from trainables.evaluation.checks import BoolArray
from trainables.evaluation.files.charades_text import read_charades_localization
from trainables.evaluation.files.npz import load_npz
from trainables.files import replacing


def read_frame_scores(path: Path, class_names: Sequence[str]) -> FrameScores:
    """Read scores of frames or points.

    Args:
        path: a folder of ``.npz``, a ``.parquet``, or a ``.txt`` (Charades localisation).
        class_names: K names; columns without names are in this order.

    Raises:
        ValueError: not such files, or a bad one; file and row are named.
    """
    if path.is_dir():
        return read_frame_npz(path, class_names)
    if path.suffix == ".parquet":
        return read_frame_parquet(path, class_names)
    if path.suffix == ".txt":
        return read_charades_localization(path, len(class_names))
    raise ValueError(f"{path}: frame scores are read from a folder of .npz, from .parquet and .txt (Charades) files")


def read_frame_npz(folder: Path, class_names: Sequence[str]) -> FrameScores:
    """Scores of files ``<video>.npz`` with ``scores`` (n, K), and if wanted ``times_s`` (n,) and ``class_names`` (K,).

    Args:
        folder: of the files, whose names without suffix are the videos' ids.
        class_names: K names.

    Raises:
        ValueError: no such file, arrays of another name, shape or kind, other class names, scores or times that are not
            finite, or times in some files only; file and frame are named.
    """
    paths = sorted(folder.glob("*.npz"))
    if not paths:
        raise ValueError(f"{folder}: holds no .npz file; expected one a video")
    arrays = [_load_npz(path, class_names) for path in paths]
    timed = [times is not None for _, times in arrays]
    if any(timed) and not all(timed):
        raise ValueError(f"{paths[timed.index(False)]}: has no 'times_s', which {paths[timed.index(True)].name} has")
    return FrameScores(
        video_ids=tuple(path.stem for path in paths),
        first_frame=np.cumsum([0, *(len(scores) for scores, _ in arrays)]),
        scores=np.concatenate([scores for scores, _ in arrays]),
        times_s=np.concatenate([times for _, times in arrays if times is not None]) if any(timed) else None,
    )


def _load_npz(path: Path, class_names: Sequence[str]) -> tuple[FloatArray, FloatArray | None]:
    arrays = load_npz(path)
    unknown = sorted(set(arrays) - {"scores", "times_s", "class_names"})
    if "scores" not in arrays or unknown:
        raise ValueError(f"{path}: holds {', '.join(arrays)}; expected 'scores', and perhaps 'times_s', 'class_names'")
    own = arrays.get("class_names")
    if own is not None and tuple(own.tolist()) != tuple(class_names):
        raise ValueError(f"{path}: 'class_names' are not those of the annotations, in their order: {own.tolist()}")
    scores, times = arrays["scores"], arrays.get("times_s")
    for name, values in (("scores", scores), ("times_s", times)):
        if values is not None and values.dtype.kind not in "fiu":
            raise ValueError(f"{path}: '{name}' holds {values.dtype}, not numbers")
    if scores.ndim != 2 or scores.shape[1] != len(class_names):
        raise ValueError(f"{path}: 'scores' has shape {scores.shape}; expected (frames, {len(class_names)})")
    if times is not None and times.shape != (len(scores),):
        raise ValueError(f"{path}: 'times_s' has shape {times.shape} for {len(scores)} frames")
    _require(path, np.isfinite(scores).all(axis=1), "frame {}: a score is not finite")
    if times is not None:
        _require(path, np.isfinite(times), "frame {}: its time is not finite")
    return scores.astype(np.float64), None if times is None else times.astype(np.float64)


def read_frame_parquet(path: Path, class_names: Sequence[str]) -> FrameScores:
    """Scores of one row a frame: ``video_id``, ``frame`` (from 0), ``time_s`` if wanted, and a column for every class.

    Args:
        path: the file; rows in any order.
        class_names: K names of columns.

    Raises:
        ValueError: another file, other columns, a value that is not finite, a frame that is missing or there twice; row
            or frame are named.
    """
    try:
        table = pq.read_table(path)
    except pa.ArrowException as error:
        raise ValueError(f"{path}: not a Parquet file ({error})") from error
    timed = [name for name in ("time_s",) if name in table.column_names]
    kinds = {"video_id": pa.string(), "frame": pa.int64(), **dict.fromkeys([*timed, *class_names], pa.float64())}
    missing, unknown = set(kinds) - set(table.column_names), set(table.column_names) - set(kinds)
    if missing or unknown:
        raise ValueError(
            f"{path}: needs columns video_id, frame and one for each of {len(class_names)} classes; missing "
            f"{sorted(missing)}, unknown {sorted(unknown)}"
        )
    schema = pa.schema([pa.field(name, kind, nullable=False) for name, kind in kinds.items()])
    try:
        table = table.select(schema.names).cast(schema)
    except (pa.ArrowException, ValueError) as error:
        raise ValueError(f"{path}: a column holds other values than frame scores do ({error})") from error
    values = np.stack([table[name].to_numpy() for name in [*timed, *class_names]], axis=1)
    _require(path, np.isfinite(values).all(axis=1), "row {}: a value is not finite")
    ids, video = np.unique(np.asarray(table["video_id"].to_pylist(), object).astype(str), return_inverse=True)
    frame = table["frame"].to_numpy()
    order = np.lexsort((frame, video))
    number = np.bincount(video, minlength=len(ids))
    first = np.cumsum([0, *number.tolist()])
    expected = np.arange(len(order)) - np.repeat(first[:-1], number)
    wrong = np.flatnonzero(frame[order] != expected)
    if len(wrong):
        at = int(wrong[0])
        raise ValueError(
            f"{path}: video '{ids[video[order[at]]]}' has frame {frame[order[at]]} where {expected[at]} is due; frames "
            "count from 0, each is there once"
        )
    values = values[order]
    return FrameScores(
        video_ids=tuple(ids.tolist()),
        first_frame=first,
        scores=values[:, len(timed) :],
        times_s=values[:, 0] if timed else None,
    )


def write_frame_parquet(path: Path, found: FrameScores, class_names: Sequence[str]) -> None:
    """Write what :func:`read_frame_parquet` reads, in one step.

    Raises:
        ValueError: a class is named like another column, or scores that do not fit the classes.
    """
    number = np.diff(found.first_frame)
    columns = {
        "video_id": pa.array(np.repeat(np.asarray(found.video_ids, object), number), pa.string()),
        "frame": pa.array(np.arange(len(found.scores)) - np.repeat(found.first_frame[:-1], number), pa.int64()),
    }
    if found.times_s is not None:
        columns["time_s"] = pa.array(found.times_s, pa.float64())
    taken = sorted(set(class_names) & {"video_id", "frame", "time_s"})
    if taken:
        raise ValueError(f"{path}: a class is named '{taken[0]}', which is a column of its own; rename the class")
    columns |= {name: pa.array(scores, pa.float64()) for name, scores in zip(class_names, found.scores.T, strict=True)}
    with replacing(path) as scratch:
        pq.write_table(pa.table(columns), scratch, compression="zstd")


def _require(path: Path, holds: BoolArray, complaint: str) -> None:
    """Refuse the file at the first row where a rule does not hold; its number goes into the complaint."""
    if not holds.all():
        row = int(np.flatnonzero(~holds)[0])
        raise ValueError(f"{path}: {complaint.format(row)}; {int((~holds).sum())} such rows")
