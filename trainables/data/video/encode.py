"""Writing frames as an mp4 file that every decoder numbers alike."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Literal

from trainables.data.video.decoders import Frames

#: Visually lossless for H.264; FFmpeg's MPEG-4 encoder takes a quantiser instead. Without ``cpu-independent`` x264's
#: bytes were seen to vary from run to run.
_X264 = {"crf": "16", "preset": "veryfast", "bf": "0", "x264-params": "cpu-independent=1"}
_MPEG4 = {"qmin": "2", "qmax": "3", "bf": "0"}


def encoder_name() -> Literal["libx264", "mpeg4"]:
    """H.264 by x264 where PyAV was built with it, else MPEG-4."""
    import av

    return "libx264" if "libx264" in av.codecs_available else "mpeg4"


def write_mp4(path: Path, frames: Iterable[Frames], *, fps: Fraction, height: int, width: int) -> int:
    """Encode frames at a constant rate, without B-frames and with a keyframe every second.

    The same frames give the same bytes with the same version of PyAV: one thread, no time stamps in the file.

    Args:
        path: of the file.
        frames: (H, W, 3) uint8 RGB each.
        fps: frames per second.
        height: H, even.
        width: W, even.

    Returns:
        Number of frames written.

    Raises:
        ValueError: an odd size, which 4:2:0 cannot hold, or a frame of another one.
    """
    import av

    if height % 2 or width % 2:
        raise ValueError(f"size {height} x {width}: height and width must be even")
    name = encoder_name()
    options = {**(_X264 if name == "libx264" else _MPEG4), "g": str(max(1, round(fps)))}
    count = 0
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream(name, rate=fps, options=options)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        stream.codec_context.thread_count = 1
        for pixels in frames:
            if pixels.shape != (height, width, 3):
                raise ValueError(f"{path}: frame {count} is {pixels.shape}, expected ({height}, {width}, 3)")
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            count += 1
        container.mux(stream.encode(None))
    return count
