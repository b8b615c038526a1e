"""Class-agnostic proposals from the files that detections come in; labels are not read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from trainables.detections import Detections
from trainables.evaluation.files.activitynet_json import read_activitynet_json
from trainables.evaluation.files.detections import READERS


def read_proposals(path: Path) -> Detections:
    """Read proposals; the suffix tells the format.

    Args:
        path: ``.json`` (ActivityNet results, ``label`` may be missing), ``.txt`` (THUMOS'14) or ``.parquet``.

    Returns:
        The proposals, all of class 0.

    Raises:
        ValueError: not such a file, or a bad row; file and row are named.
    """
    if path.suffix not in READERS:
        raise ValueError(f"{path}: proposals are read from {', '.join(READERS)} files")
    rows = read_activitynet_json(path, labelled=False) if path.suffix == ".json" else READERS[path.suffix](path)
    rows.require(path, np.asarray(np.isfinite(rows.segments_s).all(axis=1)), "a time is not finite")
    rows.require(path, np.isfinite(rows.scores), "the score is not finite")
    rows.require(path, np.diff(rows.segments_s, axis=1)[:, 0] >= 0, "it ends before it starts")
    labels = np.zeros(len(rows.scores), np.int64)
    return Detections(rows.video_ids, rows.video, rows.segments_s, labels, rows.scores)
