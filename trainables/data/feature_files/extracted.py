"""One Arrow file of features a video, written whole or not at all; equal contents give equal bytes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from trainables.data.schema import Features, feature_schema
from trainables.files import replacing

SUFFIX = ".arrow"
_METADATA = b"tadtune.video"


@dataclass(frozen=True)
class VideoFeatures:
    """Features of one video and what they were made from.

    Attributes:
        video_id: the video.
        features: (L, C) float32.
        snippet_seconds: seconds that one snippet covers.
        fps: of the video.
        num_frames: of the video.
        source_bytes: size of the video's file.
        extraction: digest of the settings they were extracted with.
        decoders: name and version of those that read the video.
    """

    video_id: str
    features: Features
    snippet_seconds: float
    fps: float
    num_frames: int
    source_bytes: int
    extraction: str
    decoders: tuple[str, ...]

    @property
    def duration_s(self) -> float:
        """Length of the video, seconds."""
        return self.num_frames / self.fps


def write_features(folder: Path, video: VideoFeatures) -> None:
    """Write ``<video_id>.arrow`` beside its place, then move it there in one step.

    Args:
        folder: is there.
        video: to write.
    """
    facts = {k: v for k, v in vars(video).items() if k != "features"}
    metadata = {_METADATA: json.dumps(facts, sort_keys=True).encode()}
    schema = feature_schema(video.features.shape[1])
    flat = pa.array(video.features.reshape(-1), pa.float32())
    column = pa.FixedSizeListArray.from_arrays(flat, type=schema.field(0).type)
    batch = pa.record_batch([column], schema=schema.with_metadata(metadata))
    with replacing(folder / f"{video.video_id}{SUFFIX}") as scratch, scratch.open("wb") as sink:
        with pa.ipc.new_file(sink, batch.schema) as writer:
            writer.write_batch(batch)
        sink.flush()
        os.fsync(sink.fileno())


def read_features(path: Path) -> VideoFeatures:
    """Read a file back; the features are a view into its memory map.

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, or not one of these files.
    """
    reader, facts = _open(path)
    column = reader.get_batch(0).column(0)
    values = column.values.to_numpy(zero_copy_only=True).reshape(len(column), -1)
    return VideoFeatures(features=values, **{**facts, "decoders": tuple(facts["decoders"])})


def read_facts(path: Path) -> Mapping[str, Any]:
    """What the features of a file were made from, without reading them.

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, or not one of these files.
    """
    return _open(path)[1]


def _open(path: Path) -> tuple[pa.RecordBatchFileReader, dict[str, Any]]:
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        facts = json.loads(reader.schema.metadata[_METADATA])
    except (pa.ArrowInvalid, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a readable file of features: {error}; remove it to have it made anew") from error
    return reader, facts
