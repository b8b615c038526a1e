"""The feature store: one folder of Arrow files, written whole or not at all, read through a memory map.

::

    manifest.json     format, class names, sizes, builder, digest of the contents
    videos.arrow      video_id, subset, split, duration_s, snippet_seconds, num_snippets, feature_offset, clips
    segments.arrow    video_id, start_s, end_s, label, ambiguous
    features.arrow    one row a snippet, all videos one after another

A video's features are a view into the map, so that all trials on a node share one copy.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

FORMAT = 1
SPLITS = ("train", "select", "test")
Features = npt.NDArray[np.float32]

VIDEO_SCHEMA = pa.schema(
    [
        ("video_id", pa.string()),
        ("subset", pa.string()),
        ("split", pa.string()),
        ("duration_s", pa.float64()),
        ("snippet_seconds", pa.float64()),
        ("num_snippets", pa.int64()),
        ("feature_offset", pa.int64()),
        ("clips", pa.list_(pa.string())),
    ]
)
SEGMENT_SCHEMA = pa.schema(
    [
        ("video_id", pa.string()),
        ("start_s", pa.float64()),
        ("end_s", pa.float64()),
        ("label", pa.int64()),
        ("ambiguous", pa.bool_()),
    ]
)


@dataclass(frozen=True)
class Segment:
    """One annotated segment.

    Attributes:
        start_s: start, seconds.
        end_s: end, seconds.
        label: class id.
        ambiguous: excuses a miss, is no instance.
    """

    start_s: float
    end_s: float
    label: int
    ambiguous: bool = False


@dataclass(frozen=True)
class Video:
    """One video of a data set.

    Attributes:
        video_id: unique.
        subset: the data set's own word for the part it belongs to.
        split: train, select or test.
        snippet_seconds: seconds between two snippets.
        features: (L, C) float32.
        segments: annotated segments.
        clips: names of the trimmed clips it was stitched from, for checks that splits share none.
    """

    video_id: str
    subset: str
    split: str
    snippet_seconds: float
    features: Features
    segments: tuple[Segment, ...]
    clips: tuple[str, ...] = field(default=())

    @property
    def duration_s(self) -> float:
        """Seconds that the snippets cover."""
        return len(self.features) * self.snippet_seconds


def write_store(folder: Path, videos: Sequence[Video], class_names: Sequence[str], builder: Mapping[str, Any]) -> str:
    """Write a store beside its place, then move it there.

    Args:
        folder: of the store; must not exist.
        videos: its videos.
        class_names: K names.
        builder: name and settings of what made it, for the manifest.

    Returns:
        Digest of the contents.

    Raises:
        ValueError: a video that cannot be stored; it is named.
        FileExistsError: the store is there already.
    """
    _check_videos(videos, class_names)
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        _write_table(scratch / "videos.arrow", _video_table(videos))
        _write_table(scratch / "segments.arrow", _segment_table(videos))
        _write_features(scratch / "features.arrow", [v.features for v in videos])
        manifest = {
            "format": FORMAT,
            "class_names": list(class_names),
            "feat_dim": int(videos[0].features.shape[1]),
            "sizes": {name: (scratch / name).stat().st_size for name in _FILES},
            "builder": dict(builder),
            "digest": _digest(scratch, class_names),
        }
        (scratch / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True), encoding="utf-8")
        if folder.exists():
            raise FileExistsError(f"{folder} is there already; remove it to build it anew, or choose another name")
        scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return str(manifest["digest"])


_FILES = ("videos.arrow", "segments.arrow", "features.arrow")


def _check_videos(videos: Sequence[Video], class_names: Sequence[str]) -> None:
    if not videos:
        raise ValueError("a store needs at least one video")
    seen: set[str] = set()
    for video in videos:
        name = f"video '{video.video_id}'"
        if video.video_id in seen:
            raise ValueError(f"{name} is there twice")
        seen.add(video.video_id)
        if video.split not in SPLITS:
            raise ValueError(f"{name}: split '{video.split}' is none of {', '.join(SPLITS)}")
        if video.features.ndim != 2 or len(video.features) == 0 or video.features.dtype != np.float32:
            raise ValueError(f"{name}: features {video.features.shape} {video.features.dtype}, expected (L, C) float32")
        if not np.isfinite(video.features).all():
            raise ValueError(f"{name}: a feature is not finite")
        for segment in video.segments:
            if not 0 <= segment.start_s < segment.end_s or not 0 <= segment.label < len(class_names):
                raise ValueError(f"{name}: {segment} must have start < end and one of {len(class_names)} labels")


def _video_table(videos: Sequence[Video]) -> pa.Table:
    lengths = [len(v.features) for v in videos]
    offsets = np.cumsum([0, *lengths[:-1]])
    return pa.table(
        {
            "video_id": [v.video_id for v in videos],
            "subset": [v.subset for v in videos],
            "split": [v.split for v in videos],
            "duration_s": [v.duration_s for v in videos],
            "snippet_seconds": [v.snippet_seconds for v in videos],
            "num_snippets": lengths,
            "feature_offset": offsets.tolist(),
            "clips": [list(v.clips) for v in videos],
        },
        schema=VIDEO_SCHEMA,
    )


def _segment_table(videos: Sequence[Video]) -> pa.Table:
    rows = [(v.video_id, s.start_s, s.end_s, s.label, s.ambiguous) for v in videos for s in v.segments]
    names = SEGMENT_SCHEMA.names
    return pa.table({name: [row[i] for row in rows] for i, name in enumerate(names)}, SEGMENT_SCHEMA)


def _write_table(path: Path, table: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def _write_features(path: Path, features: Sequence[Features]) -> None:
    width = features[0].shape[1]
    schema = pa.schema([("feats", pa.list_(pa.float32(), width))])
    flat = pa.array(np.concatenate(features).reshape(-1))
    column = pa.FixedSizeListArray.from_arrays(flat, width)
    # one uncompressed batch, so that every video is one contiguous piece of the file
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        writer.write_batch(pa.record_batch([column], schema=schema))


def _digest(folder: Path, class_names: Sequence[str]) -> str:
    state = hashlib.sha256(json.dumps(list(class_names)).encode())
    for name in _FILES:
        with (folder / name).open("rb") as stream:
            state.update(hashlib.file_digest(stream, "sha256").digest())
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
        for name, size in self.manifest["sizes"].items():
            actual = (folder / name).stat().st_size if (folder / name).is_file() else 0
            if actual != size:
                raise ValueError(f"{folder / name}: {actual} bytes, the manifest says {size}; build the store anew")
        self.videos: list[dict[str, Any]] = _read_table(folder / "videos.arrow").to_pylist()
        self.segments: list[dict[str, Any]] = _read_table(folder / "segments.arrow").to_pylist()
        self._map = pa.memory_map(str(folder / "features.arrow"))
        column = pa.ipc.open_file(self._map).get_batch(0).column(0)
        self._features: Features = column.values.to_numpy(zero_copy_only=True).reshape(-1, self.feat_dim)

    @property
    def class_names(self) -> tuple[str, ...]:
        """K names."""
        return tuple(self.manifest["class_names"])

    @property
    def feat_dim(self) -> int:
        """C."""
        return int(self.manifest["feat_dim"])

    def features(self, index: int) -> Features:
        """(L, C) read-only view of the features of the video at this index."""
        row = self.videos[index]
        view: Features = self._features[row["feature_offset"] : row["feature_offset"] + row["num_snippets"]]
        return view

    def verify(self) -> bool:
        """Whether the contents still have the digest they were written with."""
        return _digest(self.folder, self.class_names) == self.manifest["digest"]


def read_manifest(folder: Path) -> dict[str, Any]:
    """Manifest of a store.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is of another format.
    """
    path = folder / "manifest.json"
    if not path.is_file():
        raise FileNotFoundError(f"no feature store at {folder}")
    manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if manifest.get("format") != FORMAT:
        raise ValueError(f"{path}: format {manifest.get('format')}, this version reads {FORMAT}; build it anew")
    return manifest


def _read_table(path: Path) -> pa.Table:
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()
