"""A video read with decord in this very process."""

from __future__ import annotations

from pathlib import Path

from trainables.backbones.extractor import VideoFrames
from trainables.backbones.preprocess import Frames
from trainables.backbones.snippets import IntArray


def open_video(path: Path) -> VideoFrames:
    """Open a video.

    Args:
        path: any container and codec that ffmpeg reads.

    Raises:
        ValueError: it cannot be opened, has no frame or no frame rate; asking for frames raises it where one cannot
            be decoded. The path and the decoder's reason are named.
    """
    import decord

    errors = (decord.DECORDError, RuntimeError)

    class Video:
        """See :class:`trainables.backbones.extractor.VideoFrames`."""

        def __init__(self) -> None:
            try:
                self._reader = decord.VideoReader(str(path), num_threads=1)
                self.num_frames = len(self._reader)
                self.fps = float(self._reader.get_avg_fps())
            except errors as error:
                raise ValueError(f"{path}: cannot be opened: {_reason(error)}") from error
            if self.num_frames < 1 or not self.fps > 0:
                raise ValueError(f"{path}: {self.num_frames} frames at {self.fps} fps; both must be positive")

        def frames(self, indices: IntArray) -> Frames:
            """(T, H, W, 3) RGB."""
            try:
                decoded: Frames = self._reader.get_batch(indices).asnumpy()
            except errors as error:
                raise ValueError(f"{path}: a frame cannot be decoded: {_reason(error)}") from error
            return decoded

    return Video()


def _reason(error: Exception) -> str:
    """Last line of a decoder's message that is not a trace of its stack."""
    lines = [line.strip() for line in str(error).splitlines()]
    told = [line for line in lines if line and not line.startswith(("[bt]", "Stack trace"))]
    return told[0] if told else type(error).__name__
