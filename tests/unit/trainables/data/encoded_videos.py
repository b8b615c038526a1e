"""Small videos of every awkward kind, made on the spot, and the slow reference that reads them: PyAV, in order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

Frames = npt.NDArray[np.uint8]

#: name -> codec, codec options: one for each way in which frame numbers go wrong.
KINDS: dict[str, tuple[str, dict[str, str]]] = {
    "closed.mp4": ("libx264", {"g": "20", "bf": "3"}),
    "closed.mkv": ("libx264", {"g": "20", "bf": "3"}),
    "closed.flv": ("libx264", {"g": "20", "bf": "3"}),
    "closed.ts": ("libx264", {"g": "20", "bf": "3"}),
    "closed.avi": ("libx264", {"g": "20", "bf": "0"}),
    "open.mp4": ("libx264", {"g": "20", "bf": "3", "x264-params": "open-gop=1:scenecut=0"}),
    "open.mkv": ("libx264", {"g": "20", "bf": "3", "x264-params": "open-gop=1:scenecut=0"}),
    "open.ts": ("libx264", {"g": "20", "bf": "3", "x264-params": "open-gop=1:scenecut=0"}),
    "intra_refresh.mp4": ("libx264", {"g": "20", "x264-params": "intra-refresh=1"}),
    "interlaced.mp4": ("libx264", {"g": "20", "bf": "3", "x264-params": "tff=1"}),
    "hevc_open.mp4": ("libx265", {"preset": "ultrafast", "x265-params": "log-level=none:keyint=20"}),
    "hevc_closed.mp4": ("libx265", {"preset": "ultrafast", "x265-params": "log-level=none:keyint=20:no-open-gop=1"}),
    "vp8.webm": ("libvpx", {"g": "20", "deadline": "realtime", "cpu-used": "8"}),
    "vp9.webm": ("libvpx-vp9", {"g": "20", "deadline": "realtime", "cpu-used": "8"}),
    "vp9_hidden.webm": ("libvpx-vp9", {"g": "40", "auto-alt-ref": "1", "lag-in-frames": "16", "cpu-used": "8"}),
    "mpeg4_b.mp4": ("mpeg4", {"g": "12", "bf": "2"}),
    "mpeg4_b.avi": ("mpeg4", {"g": "12", "bf": "2"}),
    "mpeg4.avi": ("mpeg4", {"g": "12"}),
    "mpeg2.ts": ("mpeg2video", {"g": "12", "bf": "2"}),
    "mpeg1.mpg": ("mpeg1video", {"g": "12", "bf": "2"}),
    "lossless.mkv": ("ffv1", {}),
}


def moving_picture(num_frames: int = 70, height: int = 64, width: int = 96, seed: int = 0) -> Frames:
    """(T, H, W, 3) smooth texture that moves by 5 pixels a frame while its brightness alternates: no two look alike."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(40, 180, (height // 8, width // 8, 3)).repeat(8, axis=0).repeat(8, axis=1)
    frames = np.stack([np.roll(coarse, 5 * t, axis=1) + 15 * (t % 4) for t in range(num_frames)])
    return frames.astype(np.uint8)


def encode(
    path: Path,
    frames: Iterable[Frames],
    codec: str = "libx264",
    options: Mapping[str, str] | None = None,
    *,
    fps: Fraction | int = 25,
    ticks_ms: Iterable[int] | None = None,
) -> Path:
    """Write frames; with ``ticks_ms`` each is shown at its own time."""
    times = None if ticks_ms is None else list(ticks_ms)
    with av.open(str(path), "w") as container:
        container.flags |= av.container.Flags.bitexact.value  # no random numbers in the file
        stream = container.add_stream(codec, rate=fps, options=dict(options or {}))
        stream.codec_context.thread_count = 1
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number, pixels in enumerate(frames):
            if number == 0:
                stream.height, stream.width, stream.pix_fmt = *pixels.shape[:2], "yuv420p"
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def decode_in_order(path: Path, *, height: int | None = None, width: int | None = None) -> Frames:
    """(N, H, W, 3) all frames, the reference."""
    with av.open(str(path), metadata_errors="ignore") as container:
        pictures = [
            picture.reformat(width=width, height=height, format="rgb24").to_ndarray()
            for picture in container.decode(video=0)
        ]
    return np.stack(pictures)


def worst_difference(a: Frames, b: Frames) -> float:
    """Largest mean absolute difference of a pair of frames, in grey levels."""
    assert a.shape == b.shape
    return max((float(np.abs(x.astype(np.int16) - y).mean()) for x, y in zip(a, b, strict=True)), default=0.0)
