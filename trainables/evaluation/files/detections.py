"""Detections from a file, whoever wrote it: ActivityNet result JSON, THUMOS'14 text, Parquet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from trainables.detections import Detections
from trainables.evaluation.files.activitynet_json import read_activitynet_json
from trainables.evaluation.files.parquet import read_parquet
from trainables.evaluation.files.rows import Rows
from trainables.evaluation.files.thumos_text import read_thumos_text

#: Class id of a label that is none of the classes, where the reader is told to mark it.
UNKNOWN_LABEL = -1

READERS: dict[str, Callable[[Path], Rows]] = {
    ".json": read_activitynet_json,
    ".parquet": read_parquet,
    ".txt": read_thumos_text,
}


def read_detections(
    path: Path,
    class_names: Sequence[str],
    *,
    on_unknown_label: Literal["error", "mark"] = "error",
    on_reversed_segment: Literal["error", "keep"] = "error",
) -> Detections:
    """Read detections as we or other tools write them; the suffix tells the format.

    Args:
        path: ``.json`` (ActivityNet results), ``.txt`` (THUMOS'14) or ``.parquet``.
        class_names: K names.
        on_unknown_label: refuse a label outside the classes, or give it the id :data:`UNKNOWN_LABEL`, so that the
            protocol can leave the detection out and count it.
        on_reversed_segment: refuse a detection that ends before it starts, or leave it to the protocol.

    Raises:
        ValueError: not such a file, or a bad row; file and row are named in the file's own terms.
    """
    if path.suffix not in READERS:
        raise ValueError(f"{path}: detections are read from {', '.join(READERS)} files")
    rows = READERS[path.suffix](path)
    ids = {name: i for i, name in enumerate(class_names)}
    labels = np.asarray([ids.get(name, UNKNOWN_LABEL) for name in rows.labels], np.int64)
    rules = [
        (np.isfinite(rows.segments_s).all(axis=1), "a time is not finite"),
        (np.isfinite(rows.scores), "the score is not finite"),
    ]
    if on_reversed_segment == "error":
        ordered = ~(rows.segments_s[:, 1] < rows.segments_s[:, 0])
        rules.insert(1, (ordered, "it ends before it starts (miss or swap: on_reversed_segment)"))
    if on_unknown_label == "error":
        rules.append((labels != UNKNOWN_LABEL, f"the label is none of the {len(ids)} classes (drop: on_unknown_label)"))
    for holds, complaint in rules:
        if not holds.all():
            row = int(np.flatnonzero(~holds)[0])
            raise ValueError(f"{path}: {rows.describe(row)}: {complaint}; {int((~holds).sum())} such rows")
    return Detections(rows.video_ids, rows.video, rows.segments_s, labels, rows.scores)
