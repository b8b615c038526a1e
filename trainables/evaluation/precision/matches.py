"""Detections matched to ground truth, once: everything a score or a bootstrap over videos needs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from trainables.detections import FloatArray, IntArray
from trainables.evaluation.checks import BoolArray, within
from trainables.files import replacing

#: Outcome of a detection at a threshold.
TRUE_POSITIVE, FALSE_POSITIVE, IGNORED = 1, 0, -1

Outcomes = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Matches:
    """Matched detections of a set of videos.

    Letters: N detections, H tIoU thresholds, V videos, K classes.

    Attributes:
        protocol: key and version, for instance ``activitynet 1``.
        tiou_thresholds: H values.
        class_names: K names.
        video_ids: V ids.
        label: (N,) class ids, ascending.
        video: (N,) index into ``video_ids``.
        score: (N,) falling within a class; equal scores keep the order of the file.
        outcome: (N, H) true positive 1, false positive 0, ignored -1.
        num_gt: (V, K) annotated segments.
        warnings: what was counted instead of refused, for instance ``tied_scores``.

    Raises:
        ValueError: the arrays do not fit each other or break one of the rules above.
    """

    protocol: str
    tiou_thresholds: tuple[float, ...]
    class_names: tuple[str, ...]
    video_ids: tuple[str, ...]
    label: IntArray
    video: IntArray
    score: FloatArray
    outcome: Outcomes
    num_gt: IntArray
    warnings: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n, h = len(self.label), len(self.tiou_thresholds)
        v, k = len(self.video_ids), len(self.class_names)
        shapes = {"video": (n,), "score": (n,), "outcome": (n, h), "num_gt": (v, k)}
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"matches: {name} has shape {getattr(self, name).shape}, expected {shape}")
        for name, size in (("label", k), ("video", v)):
            _check_all(within(getattr(self, name), size), f"{name} in [0, {size})")
        _check_all(np.isin(self.outcome, (TRUE_POSITIVE, FALSE_POSITIVE, IGNORED)), "outcome 1, 0 or -1")
        step = np.diff(self.label)
        _check_all(step >= 0, "label ascending")
        _check_all((step > 0) | (self.score[1:] <= self.score[:-1]), "score falling within a class")
        hits = np.zeros((k, h), np.int64)
        np.add.at(hits, self.label, self.outcome == TRUE_POSITIVE)
        _check_all(hits <= self.num_gt.sum(axis=0)[:, None], "no more true positives than segments of a class")

    def of_class(self, label: int) -> slice:
        """Rows of one class."""
        low, high = np.searchsorted(self.label, [label, label + 1])
        return slice(int(low), int(high))

    def save(self, path: Path) -> None:
        """Write one Arrow file, in one step."""
        header = {
            "protocol": self.protocol,
            "tiou_thresholds": list(self.tiou_thresholds),
            "class_names": list(self.class_names),
            "video_ids": list(self.video_ids),
            "num_gt": self.num_gt.tolist(),
            "warnings": dict(self.warnings),
        }
        columns: dict[str, Any] = {"label": self.label, "video": self.video, "score": self.score}
        columns |= {f"outcome_{i}": self.outcome[:, i] for i in range(self.outcome.shape[1])}
        table = pa.table({name: pa.array(values) for name, values in columns.items()})
        table = table.replace_schema_metadata({"matches": json.dumps(header)})
        with (
            replacing(path) as scratch,
            pa.OSFile(str(scratch), "wb") as sink,
            pa.ipc.new_file(sink, table.schema) as writer,
        ):
            writer.write_table(table)


def _check_all(holds: BoolArray, rule: str) -> None:
    if not holds.all():
        raise ValueError(f"matches: expected {rule}; broken at index {np.argwhere(~holds)[0].tolist()}")


def join_thresholds(parts: Sequence[Matches]) -> Matches:
    """Matches whose detections differ from threshold to threshold, as one: each ignores the others' detections.

    Args:
        parts: one or more, of one protocol on the same ground truth.

    Raises:
        ValueError: they are not.
    """
    first = parts[0]
    same = ("protocol", "class_names", "video_ids")
    if any(getattr(part, name) != getattr(first, name) for part in parts for name in same):
        raise ValueError("matches: parts of one whole have the same protocol, classes and videos")
    if not all(np.array_equal(part.num_gt, first.num_gt) for part in parts):
        raise ValueError("matches: parts of one whole have the same segments")
    thresholds = [t for part in parts for t in part.tiou_thresholds]
    label, video, score = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("label", "video", "score")
    )
    outcome = np.full((len(label), len(thresholds)), IGNORED, np.int8)
    row = column = 0
    for part in parts:
        height, width = part.outcome.shape
        outcome[row : row + height, column : column + width] = part.outcome
        row, column = row + height, column + width
    order = np.lexsort((-score, label))  # stable: equal scores of a part keep their order
    names = dict.fromkeys(name for part in parts for name in part.warnings)
    return replace(
        first,
        tiou_thresholds=tuple(thresholds),
        label=label[order],
        video=video[order],
        score=score[order],
        outcome=outcome[order],
        warnings={name: max(part.warnings.get(name, 0) for part in parts) for name in names},
    )


def load_matches(path: Path) -> Matches:
    """Inverse of :meth:`Matches.save`.

    Raises:
        ValueError: the file is not one of ours.
    """
    try:
        with pa.OSFile(str(path), "rb") as source:
            table = pa.ipc.open_file(source).read_all()
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path}: not a whole Arrow file ({error}); score the detections again") from error
    metadata = table.schema.metadata or {}
    if b"matches" not in metadata:
        raise ValueError(f"{path}: holds no matches; score the detections again")
    header = json.loads(metadata[b"matches"])
    num_thresholds = len(header["tiou_thresholds"])
    outcome = np.zeros((table.num_rows, num_thresholds), np.int8)
    for i in range(num_thresholds):
        outcome[:, i] = table[f"outcome_{i}"].to_numpy()
    return Matches(
        protocol=header["protocol"],
        tiou_thresholds=tuple(header["tiou_thresholds"]),
        class_names=tuple(header["class_names"]),
        video_ids=tuple(header["video_ids"]),
        label=table["label"].to_numpy(),
        video=table["video"].to_numpy(),
        score=table["score"].to_numpy(),
        outcome=outcome,
        num_gt=np.asarray(header["num_gt"], np.int64).reshape(len(header["video_ids"]), len(header["class_names"])),
        warnings=header["warnings"],
    )
