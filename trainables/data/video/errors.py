"""The one error that a bad video raises."""

from __future__ import annotations

from pathlib import Path

#: What can be done about a file whose contents are at fault.
REENCODE = "fetch it again, or re-encode what is left: ffmpeg -i BAD -c:v libx264 -an GOOD.mp4"


class VideoError(ValueError):
    """A video cannot be read.

    Args:
        file: the video.
        reason: what is wrong with it.
        way_out: what the user can do.
    """

    def __init__(self, file: str | Path, reason: str, way_out: str) -> None:
        super().__init__(f"{file}: {reason}; {way_out}")
        self.file = str(file)
        self.reason = reason
        self.way_out = way_out

    def __reduce__(self) -> tuple[type[VideoError], tuple[str, str, str]]:
        return type(self), (self.file, self.reason, self.way_out)


class DecodeError(Exception):
    """A decoder gave up on a file; :class:`VideoError` is made of it once no other decoder is left."""
