"""Which files of a folder are videos."""

from __future__ import annotations

import hashlib
from pathlib import Path

#: Endings of files that are taken for videos.
VIDEO_SUFFIXES = (".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm", ".wmv")


def find_videos(folder: Path) -> tuple[dict[str, Path], int]:
    """Videos of a folder and its subfolders.

    Args:
        folder: the name of a file without ending is the video's id.

    Returns:
        Video id -> path, sorted by id; and the number of files that are no videos.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: no video in it, or two of one id.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of videos")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    videos: dict[str, Path] = {}
    for path in files:
        if path.suffix.lower() in VIDEO_SUFFIXES:
            if path.stem in videos:
                raise ValueError(f"{folder}: {videos[path.stem]} and {path} have the same id '{path.stem}'")
            videos[path.stem] = path
    if not videos:
        raise ValueError(f"{folder}: holds no video; their files end in {', '.join(VIDEO_SUFFIXES)}")
    return dict(sorted(videos.items())), len(files) - len(videos)


def file_digest(path: Path) -> str:
    """sha256 of a file's contents."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
