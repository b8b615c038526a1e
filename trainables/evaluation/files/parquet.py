"""Detections as Parquet, one row each: ``video_id, start_s, end_s, label, score``. Nothing is rounded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trainables.detections import Detections
from trainables.evaluation.files.rows import Rows, label_names
from trainables.files import replacing

_COLUMNS = pa.schema(
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("start_s", pa.float64(), nullable=False),
        pa.field("end_s", pa.float64(), nullable=False),
        pa.field("label", pa.string(), nullable=False),
        pa.field("score", pa.float64(), nullable=False),
    ],
)


def write_detections_parquet(path: Path, found: Detections, class_names: Sequence[str]) -> None:
    """Write one row a detection, in one step; videos without detections are kept in the metadata.

    Raises:
        ValueError: detections that no reader would take.
    """
    names = label_names(found, class_names)
    owner = [found.video_ids[v] for v in found.video.tolist()]
    columns = [owner, found.segments_s[:, 0], found.segments_s[:, 1], names, found.scores]
    metadata = {"video_ids": json.dumps(list(found.video_ids))}
    arrays = [pa.array(column, field.type) for column, field in zip(columns, _COLUMNS, strict=True)]
    table = pa.table(arrays, schema=_COLUMNS.with_metadata(metadata))
    with replacing(path) as scratch:
        pq.write_table(table, scratch)


def read_parquet(path: Path) -> Rows:
    """Rows of such a file.

    Raises:
        ValueError: another file, or other columns.
    """
    try:
        table = pq.read_table(path)
        metadata = table.schema.metadata or {}
        table = table.select(_COLUMNS.names).cast(_COLUMNS)
    except (pa.ArrowException, KeyError) as error:
        raise ValueError(f"{path}: not a Parquet file of {', '.join(_COLUMNS.names)} ({error})") from error
    owner = table["video_id"].to_pylist()
    ids = {name: i for i, name in enumerate(dict.fromkeys([*json.loads(metadata.get(b"video_ids", b"[]")), *owner]))}
    return Rows(
        video_ids=tuple(ids),
        video=np.asarray([ids[name] for name in owner], np.int64),
        segments_s=np.stack([table["start_s"].to_numpy(), table["end_s"].to_numpy()], axis=1),
        labels=table["label"].to_pylist(),
        scores=table["score"].to_numpy(),
        place=lambda row: f"row {row}",
    )
