"""What is known of a folder of videos before anything is learnt from it: lengths, rates, and which cannot be read.

Every video is decoded once from beginning to end for it, so that damage is met before training and not in its middle;
what was found is kept beside the videos and holds until the file or a decoder changes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from trainables.data.video.decoders import decoder_versions
from trainables.data.video.errors import VideoError
from trainables.data.video.files import file_digest
from trainables.data.video.geometry import FrameTransform
from trainables.data.video.reader import VideoReader
from trainables.data.video.sampling import resample_frames, resampled_times
from trainables.files import replacing

#: Name of the inventory in the folder of a data set.
INVENTORY_NAME = "inventory.json"

_FORMAT = 1

#: Frames are only decoded, so they may be small.
_SMALL = FrameTransform(size=(16, 16))
_AT_A_TIME = 64


@dataclass(frozen=True)
class CheckedVideo:
    """A file as it was found.

    Attributes:
        file: path below the folder.
        size: bytes.
        modified_ns: time of its last change.
        sha256: of its contents.
        num_frames: N; 0 where it cannot be read, as all that follow.
        fps: (numerator, denominator) of its frames per second, the mean where they vary.
        duration_s: to the end of the last frame.
        variable_rate: see :class:`trainables.data.video.info.VideoInfo`.
        failure: why it cannot be read from beginning to end; None if it can.
    """

    file: str
    size: int
    modified_ns: int
    sha256: str
    num_frames: int
    fps: tuple[int, int]
    duration_s: float
    variable_rate: bool
    failure: str | None

    def frames_at_rate(self, fps: Fraction) -> int:
        """Number of frames that show the whole video at another rate, as ``VideoInfo.resampled`` chooses them."""
        if self.variable_rate:
            return len(resampled_times(self.duration_s, fps))
        return len(resample_frames(self.num_frames, Fraction(*self.fps), fps))


def take_inventory(folder: Path, videos: Mapping[str, Path]) -> dict[str, CheckedVideo]:
    """Check videos that are new or have changed, and write down what is known of all.

    Args:
        folder: of the data set.
        videos: video id -> file below the folder.

    Raises:
        ValueError: the inventory cannot be read or written.
    """
    known = _read(folder)
    found: dict[str, CheckedVideo] = {}
    with VideoReader() as reader:
        for video_id, path in videos.items():
            stat, before = path.stat(), known.get(video_id)
            stamp = (str(path.relative_to(folder)), stat.st_size, stat.st_mtime_ns)
            if before is not None and (before.file, before.size, before.modified_ns) == stamp:
                found[video_id] = before
            else:
                found[video_id] = _check(path, stamp, reader)
    if found != known:
        _write(folder, found)
    return found


def read_inventory(folder: Path) -> dict[str, CheckedVideo]:
    """What is known, by video id.

    Raises:
        FileNotFoundError: there is no inventory.
        ValueError: it was made by another version, or a file is not there any more or has another size.
    """
    path = folder / INVENTORY_NAME
    if not path.is_file():
        raise FileNotFoundError(f"no inventory of videos at {path}; a study makes it before it runs")
    found = _read(folder)
    if not found:
        raise ValueError(f"{path}: not made by this version and these decoders; start the study anew to make it again")
    for video_id, video in found.items():
        file = folder / video.file
        size = file.stat().st_size if file.is_file() else 0
        if size != video.size:
            raise ValueError(
                f"{path}: video '{video_id}': {file} has {size} bytes, had {video.size}; start the study anew"
            )
    return found


def _check(path: Path, stamp: tuple[str, int, int], reader: VideoReader) -> CheckedVideo:
    """Decode all of a file."""
    try:
        info = reader.probe(path)
        for _ in reader.windows(path, window_frames=_AT_A_TIME, stride_frames=_AT_A_TIME, transform=_SMALL):
            pass
    except VideoError as error:
        return CheckedVideo(*stamp, file_digest(path), 0, (0, 1), 0.0, False, error.reason)
    fps = (info.fps.numerator, info.fps.denominator)
    return CheckedVideo(
        *stamp, file_digest(path), info.num_frames, fps, info.duration_s, info.variable_rate, failure=None
    )


def _read(folder: Path) -> dict[str, CheckedVideo]:
    """The inventory; empty where there is none that holds for this version and these decoders."""
    path = folder / INVENTORY_NAME
    if not path.is_file():
        return {}
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not readable: {error}; remove it, a study makes it again") from error
    if (content.get("format"), content.get("decoders")) != (_FORMAT, decoder_versions()):
        return {}
    return {
        video_id: CheckedVideo(**entry | {"fps": (entry["fps"][0], entry["fps"][1])})
        for video_id, entry in content["videos"].items()
    }


def _write(folder: Path, videos: Mapping[str, CheckedVideo]) -> None:
    """Replace the inventory in one step; processes that make it at once make the same."""
    content = {
        "format": _FORMAT,
        "decoders": decoder_versions(),
        "videos": {video_id: asdict(video) for video_id, video in videos.items()},
    }
    path = folder / INVENTORY_NAME
    try:
        with replacing(path) as scratch:
            scratch.write_text(json.dumps(content, indent=1) + os.linesep, encoding="utf-8")
    except OSError as error:
        raise ValueError(
            f"{path}: cannot be written ({error.strerror}); make the folder writable, or copy it"
        ) from error
