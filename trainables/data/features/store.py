"""The feature store: one folder of Arrow files, written whole or not at all, read through a memory map.

::

    manifest.json     format, class names, feature dim, offset of the features, file sizes, builder, excluded videos,
                      digest of the contents
    videos.arrow      one row a video
    segments.arrow    one row a segment
    features.arrow    one row a snippet, all videos one after another, one uncompressed batch

A video's features are a view into the map, so that all processes on a node share one copy. Feature t of a video covers
the seconds from (offset + t) to (offset + t + 1) times the video's ``snippet_seconds``: its time is the middle.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import shutil
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa

from trainables.data.schema import (
    SEGMENT_SCHEMA,
    VIDEO_SCHEMA,
    Features,
    Segment,
    Video,
    check_class_names,
    check_video,
    feature_schema,
)

__all__ = ["FORMAT", "FeatureStore", "Segment", "Video", "read_manifest", "write_store"]

FORMAT = 1
_FILES = ("videos.arrow", "segments.arrow", "features.arrow")
_DIGEST_BYTES = 1 << 24


def write_store(
    folder: Path,
    videos: Iterable[Video],
    class_names: Sequence[str],
    builder: Mapping[str, Any],
    *,
    offset_snippets: float = 0.0,
    excluded: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Write a store beside its place, then move it there in one step.

    Args:
        folder: of the store; must not exist.
        videos: its videos; taken one at a time, so that they never need to be in memory together.
        class_names: K names.
        builder: name and settings of what made it, for the manifest; read after the last video, so that a builder may
            count while it makes them.
        offset_snippets: time at which feature 0 of every video begins to count, in snippets.
        excluded: videos that belong to the data set but are not stored, with the reason.

    Returns:
        Digest of the contents.

    Raises:
        ValueError: a video that cannot be stored; it is named.
        FileExistsError: the store is there already, or another process was faster.
    """
    check_class_names(class_names)
    if not math.isfinite(offset_snippets):
        raise ValueError(f"offset_snippets: {offset_snippets} must be a finite number")
    if folder.exists():
        raise FileExistsError(_exists(folder))
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = folder.parent / f".{folder.name}.{uuid.uuid4().hex}.tmp"
    scratch.mkdir()
    try:
        feat_dim = _write_tables(scratch, videos, len(class_names))
        manifest = {
            "format": FORMAT,
            "class_names": list(class_names),
            "feat_dim": feat_dim,
            "offset_snippets": offset_snippets,
            "sizes": {name: (scratch / name).stat().st_size for name in _FILES},
            "builder": dict(builder),
            "excluded": dict(excluded),
        }
        manifest["digest"] = _digest(_Contents(scratch, manifest))
        (scratch / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True), encoding="utf-8")
        for name in (*_FILES, "manifest.json"):
            _sync(scratch / name)
        _move(scratch, folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return str(manifest["digest"])


def _write_tables(scratch: Path, videos: Iterable[Video], num_classes: int) -> int:
    """Write the three files; C."""
    video_rows: list[dict[str, Any]] = []
    segment_rows: list[dict[str, Any]] = []
    seen: set[str] = set()
    feat_dim = offset = 0
    raw = scratch / "features.raw"
    with raw.open("wb") as stream:
        for video in videos:
            feat_dim = feat_dim or video.features.shape[-1]
            check_video(video, feat_dim=feat_dim, num_classes=num_classes)
            if video.video_id in seen:
                raise ValueError(f"video '{video.video_id}' is there twice")
            seen.add(video.video_id)
            stream.write(np.ascontiguousarray(video.features).data)
            video_rows.append(video.row(offset))
            segment_rows += video.segment_rows()
            offset += len(video.features)
    if not video_rows:
        raise ValueError("a data set without videos")
    _write_batch(scratch / "videos.arrow", pa.RecordBatch.from_pylist(video_rows, VIDEO_SCHEMA))
    _write_batch(scratch / "segments.arrow", pa.RecordBatch.from_pylist(segment_rows, SEGMENT_SCHEMA))
    schema = feature_schema(feat_dim)
    with pa.memory_map(str(raw)) as source:
        flat = pa.Array.from_buffers(pa.float32(), offset * feat_dim, [None, source.read_buffer()])
        column = pa.FixedSizeListArray.from_arrays(flat, type=schema.field(0).type)
        _write_batch(scratch / "features.arrow", pa.record_batch([column], schema=schema))
    raw.unlink()
    return feat_dim


def _write_batch(path: Path, batch: pa.RecordBatch) -> None:
    options = pa.ipc.IpcWriteOptions(compression=None, allow_64bit=True)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _move(scratch: Path, folder: Path) -> None:
    try:
        scratch.rename(folder)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
            raise FileExistsError(_exists(folder)) from error
        raise
    _sync(folder.parent)


def _exists(folder: Path) -> str:
    return f"{folder} is there already; remove it to build it anew, or choose another name"


class _Contents:
    """The files of a folder, mapped and checked against a manifest."""

    def __init__(self, folder: Path, manifest: Mapping[str, Any]) -> None:
        for name in _FILES:
            path, size = folder / name, manifest["sizes"][name]
            actual = path.stat().st_size if path.is_file() else 0
            if actual != size:
                raise ValueError(f"{path}: {actual} bytes, the manifest says {size}; remove {folder} and build it anew")
        feat_dim = int(manifest["feat_dim"])
        self.class_names = tuple(manifest["class_names"])
        # a store of an earlier version says nothing: its features begin with the video
        self.offset_snippets = float(manifest.get("offset_snippets", 0.0))
        self.videos: list[dict[str, Any]] = _read_batch(folder / "videos.arrow", VIDEO_SCHEMA).to_pylist()
        self.segments: list[dict[str, Any]] = _read_batch(folder / "segments.arrow", SEGMENT_SCHEMA).to_pylist()
        column = _read_batch(folder / "features.arrow", feature_schema(feat_dim)).column(0)
        self.features: Features = column.values.to_numpy(zero_copy_only=True).reshape(-1, feat_dim)


def _read_batch(path: Path, schema: pa.Schema) -> pa.RecordBatch:
    try:
        # the buffers keep the map open as long as they are needed
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        if not reader.schema.equals(schema):
            raise ValueError(
                f"{path}: its columns are not those this version reads; remove {path.parent} and build it anew"
            )
        return reader.get_batch(0)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path}: not readable: {error}; remove {path.parent} and build it anew") from error


def _digest(contents: _Contents) -> str:
    """sha256 of the values, not of the files: the same whatever version of Arrow wrote them."""
    tables = [list(contents.class_names), contents.features.shape[1], contents.videos, contents.segments]
    if contents.offset_snippets:
        tables.append(contents.offset_snippets)
    state = hashlib.sha256(json.dumps(tables, sort_keys=True).encode())
    values = contents.features.reshape(-1).astype("<f4", copy=False)
    for start in range(0, values.size, _DIGEST_BYTES // 4):
        state.update(values[start : start + _DIGEST_BYTES // 4].data)
    return state.hexdigest()


class FeatureStore:
    """A store opened for reading.

    Args:
        folder: of the store.

    Raises:
        FileNotFoundError: there is no store.
        ValueError: its files do not fit its manifest.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = read_manifest(folder)
        self._contents = _Contents(folder, self.manifest)

    @property
    def class_names(self) -> tuple[str, ...]:
        """K names."""
        return self._contents.class_names

    @property
    def feat_dim(self) -> int:
        """C."""
        return int(self._contents.features.shape[1])

    @property
    def videos(self) -> list[dict[str, Any]]:
        """Rows of ``VIDEO_SCHEMA``."""
        return self._contents.videos

    @property
    def segments(self) -> list[dict[str, Any]]:
        """Rows of ``SEGMENT_SCHEMA``, in the order of the videos."""
        return self._contents.segments

    @property
    def excluded(self) -> dict[str, str]:
        """Videos of the data set that are not in the store, with the reason: what a report has to show."""
        return dict(self.manifest.get("excluded", {}))

    def start_s(self, index: int) -> float:
        """Time at which feature 0 of the video at this index begins to count, seconds."""
        return self._contents.offset_snippets * float(self.videos[index]["snippet_seconds"])

    def features(self, index: int) -> Features:
        """(L, C) read-only view of the features of the video at this index."""
        row = self.videos[index]
        return self._contents.features[row["feature_offset"] : row["feature_offset"] + row["num_snippets"]]

    def remarks(self) -> tuple[str, ...]:
        """Videos that were left out when the store was made, by reason."""
        by_reason: dict[str, list[str]] = {}
        for video_id, reason in self.excluded.items():
            by_reason.setdefault(reason, []).append(video_id)
        return tuple(
            f"{len(ids)} videos left out, {reason}: {', '.join(ids[:5])}{', ...' if len(ids) > 5 else ''}"
            for reason, ids in by_reason.items()
        )

    def verify(self) -> bool:
        """Whether the contents still have the digest they were written with; reads everything."""
        return _digest(self._contents) == self.manifest["digest"]


def read_manifest(folder: Path) -> dict[str, Any]:
    """Manifest of a store.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged or of another format.
    """
    path = folder / "manifest.json"
    if not path.is_file():
        raise FileNotFoundError(f"no feature store at {folder}")
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not readable: {error}; remove {folder} and build it anew") from error
    if manifest.get("format") != FORMAT:
        raise ValueError(
            f"{path}: format {manifest.get('format')}, this version reads {FORMAT}; remove {folder} and build it anew"
        )
    return manifest
