"""Raw outputs of a split: cut into inputs, kept on the CPU, stored as Parquet."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from trainables.files import replacing
from trainables.records import Batch, Outputs, RawOutput


def collect_raw(outputs: Outputs, batch: Batch, durations_s: Mapping[str, float]) -> list[RawOutput]:
    """One :class:`RawOutput` per input of the batch."""
    tensors = {name: tensor.detach().to("cpu") for name, tensor in outputs.raw.items()}
    lengths = outputs.valid_mask.sum(dim=1).tolist()
    return [
        RawOutput(
            video_id=video_id,
            start_s=float(batch.start_s[i]),
            seconds_per_sample=float(batch.seconds_per_sample[i]),
            num_samples=int(lengths[i]),
            duration_s=durations_s[video_id],
            tensors={name: tensor[i] for name, tensor in tensors.items()},
        )
        for i, video_id in enumerate(batch.video_ids)
    ]


def write_raw(path: Path, raw: Sequence[RawOutput]) -> None:
    """Store raw outputs: one row an input, one list column a tensor, shapes beside them."""
    names = sorted(raw[0].tensors) if raw else []
    columns: dict[str, pa.Array] = {
        "video_id": pa.array([r.video_id for r in raw], pa.string()),
        "start_s": pa.array([r.start_s for r in raw], pa.float64()),
        "seconds_per_sample": pa.array([r.seconds_per_sample for r in raw], pa.float64()),
        "num_samples": pa.array([r.num_samples for r in raw], pa.int64()),
        "duration_s": pa.array([r.duration_s for r in raw], pa.float64()),
    }
    for name in names:
        columns[name] = pa.array([r.tensors[name].float().reshape(-1).numpy() for r in raw], pa.list_(pa.float32()))
        columns[f"{name}.shape"] = pa.array([list(r.tensors[name].shape) for r in raw], pa.list_(pa.int64()))
    table = pa.table(columns).replace_schema_metadata({"tensors": json.dumps(names)})
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as scratch:
        pq.write_table(table, scratch, compression="zstd")


def read_raw(path: Path) -> list[RawOutput]:
    """Inverse of :func:`write_raw`."""
    table = pq.read_table(path)
    names = json.loads(table.schema.metadata[b"tensors"])
    rows = []
    for i in range(table.num_rows):
        tensors = {}
        for name in names:
            values = table[name][i].values.to_numpy(zero_copy_only=False).copy()
            tensors[name] = torch.from_numpy(values).reshape(table[f"{name}.shape"][i].as_py())
        rows.append(
            RawOutput(
                video_id=table["video_id"][i].as_py(),
                start_s=table["start_s"][i].as_py(),
                seconds_per_sample=table["seconds_per_sample"][i].as_py(),
                num_samples=table["num_samples"][i].as_py(),
                duration_s=table["duration_s"][i].as_py(),
                tensors=tensors,
            )
        )
    return rows
