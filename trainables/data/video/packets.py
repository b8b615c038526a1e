"""What a container says about its video: sizes, clock, packets, and where decoding may start.

Read by PyAV (FFmpeg), which decord's older FFmpeg is checked against.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from trainables.data.video.errors import DecodeError
from trainables.data.video.nal import is_instant_refresh
from trainables.data.video.sampling import IntArray

if TYPE_CHECKING:
    from av.container import InputContainer

#: A file is cut short when this much, and this share, of what its header declares is not there.
_MISSING_S = 0.5
_MISSING_SHARE = 0.02


@dataclass(frozen=True)
class PacketIndex:
    """A video stream without its pictures.

    Attributes:
        codec: FFmpeg's name of it.
        container: FFmpeg's name of the format.
        pixel_format: of the first frame.
        height: of the decoded frames, before rotation.
        width: likewise.
        rotation: degrees, counter-clockwise, that turn a decoded frame upright.
        interlaced: the first frame consists of two fields.
        fps: average rate that the container states.
        tick_s: step of the stream's clock, seconds.
        last_ticks: how long the last frame is shown; 0 where the file does not say.
        pts: (N,) presentation times of all packets in ticks, in order of decoding; None if one has none, or times of
            decoding do not rise, as they do in a sound file.
        num_packets: N.
        keyframes: (K,) numbers of the packets flagged as keyframes.
        refresh: K flags: decoding may start at that keyframe as far as the codec is concerned.
        num_declared: frames that the header states, 0 = it does not.
        num_discarded: packets that an edit list hides.
    """

    codec: str
    container: str
    pixel_format: str
    height: int
    width: int
    rotation: int
    interlaced: bool
    fps: Fraction
    tick_s: float
    last_ticks: int
    pts: IntArray | None
    num_packets: int
    keyframes: IntArray
    refresh: tuple[bool, ...]
    num_declared: int
    num_discarded: int


def open_container(path: str) -> InputContainer:
    """The file, opened by PyAV; text that is not UTF-8 in its metadata is no obstacle.

    Raises:
        DecodeError: not a video that FFmpeg knows, or without a video stream.
    """
    import av

    try:
        # a playlist must not make this machine fetch things
        container = av.open(path, metadata_errors="ignore", options={"protocol_whitelist": "file"})
    except (OSError, ValueError, av.FFmpegError) as error:
        raise DecodeError(f"not a readable video: {plain_error(error)}") from error
    if not container.streams.video:
        container.close()
        raise DecodeError("has no video stream")
    return container


def index_packets(path: str) -> PacketIndex:
    """Read all packets, and decode the first frame.

    Args:
        path: the file.

    Raises:
        DecodeError: not a video, no frame, a damaged packet, or the file is cut short.
    """
    import av

    try:
        with open_container(path) as container:
            first = next(container.decode(container.streams.video[0]), None)
            if first is None:
                raise DecodeError("not one frame can be decoded")
            shape = (first.format.name, first.height, first.width)
            looks = (int(first.rotation) % 360, first.interlaced_frame)
        with open_container(path) as container:
            return _read_packets(container, shape, looks)
    except (OSError, ValueError, av.FFmpegError) as error:
        raise DecodeError(f"cannot be decoded: {plain_error(error)}") from error


def _read_packets(container: InputContainer, shape: tuple[str, int, int], looks: tuple[int, bool]) -> PacketIndex:
    stream = container.streams.video[0]
    context = stream.codec_context
    codec, extradata = context.codec.canonical_name, context.extradata
    pts: list[int | None] = []
    keyframes: list[int] = []
    refresh: list[bool] = []
    damaged = discarded = last_ticks = 0
    latest, end_s, decoded_at, ordered = -1, 0.0, None, True
    for packet in container.demux():
        if packet.dts is None and packet.size == 0:  # the demuxer's own end mark
            continue
        if packet.pts is not None and packet.time_base is not None:
            end_s = max(end_s, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        if packet.stream.index != stream.index:
            continue
        if packet.dts is not None:
            ordered = ordered and (decoded_at is None or packet.dts > decoded_at)
            decoded_at = packet.dts
        if packet.is_keyframe:
            keyframes.append(len(pts))
            refresh.append(is_instant_refresh(codec, bytes(packet), extradata))
        if packet.pts is not None and packet.pts > latest:
            latest, last_ticks = packet.pts, packet.duration or 0
        pts.append(packet.pts)
        damaged += packet.is_corrupt
        discarded += packet.is_discard
    if damaged:
        raise DecodeError(f"damaged: {damaged} of {len(pts)} packets are not whole")
    rate = stream.average_rate or stream.guessed_rate
    if not rate or stream.time_base is None:
        raise DecodeError("states no frame rate")
    _check_whole(container, end_s, stream.frames, len(pts), rate)
    known = [time for time in pts if time is not None]
    return PacketIndex(
        codec=codec,
        container=container.format.name,
        pixel_format=shape[0],
        height=shape[1],
        width=shape[2],
        rotation=looks[0],
        interlaced=looks[1],
        fps=Fraction(rate),
        tick_s=float(stream.time_base),
        last_ticks=last_ticks,
        pts=np.asarray(known, np.int64) if ordered and len(known) == len(pts) else None,
        num_packets=len(pts),
        keyframes=np.asarray(keyframes, np.int64),
        refresh=tuple(refresh),
        num_declared=stream.frames,
        num_discarded=discarded,
    )


def _check_whole(container: InputContainer, end_s: float, declared: int, num_packets: int, rate: Fraction) -> None:
    """Refuse a file whose header promises clearly more than there is."""
    declared_s = float(container.duration or 0) / 1e6
    start_s = float(container.start_time or 0) / 1e6
    missing_s = declared_s - (end_s - start_s)
    if missing_s > max(_MISSING_S, _MISSING_SHARE * declared_s):
        raise DecodeError(f"cut short: {end_s - start_s:.2f} of {declared_s:.2f} s are there")
    missing = declared - num_packets
    if missing > max(_MISSING_S * rate, _MISSING_SHARE * declared):
        raise DecodeError(f"cut short: {num_packets} of {declared} frames are there")


def refresh_frames(index: PacketIndex) -> IntArray:
    """Numbers of the frames, in order of presentation, at which decoding gives the same pictures as from the start.

    A keyframe qualifies if its codec forgets everything there and no later packet is shown before it (a closed group
    of pictures); other keyframes depend on the past, and seeking to them gives wrong or grey frames.

    Returns:
        (R,) rising, frame 0 always among them.
    """
    start = np.zeros(1, np.int64)
    if index.pts is None or not len(index.keyframes) or len(np.unique(index.pts)) < len(index.pts):
        return start
    earliest_after = np.minimum.accumulate(index.pts[::-1])[::-1]
    latest_before = np.maximum.accumulate(np.concatenate([[np.iinfo(np.int64).min], index.pts[:-1]]))
    keys = index.keyframes[np.asarray(index.refresh)]
    closed = keys[(index.pts[keys] == earliest_after[keys]) & (index.pts[keys] > latest_before[keys])]
    # all earlier packets are shown earlier and all later ones later: the packet's number is the frame's
    return np.union1d(start, closed)


def plain_error(error: Exception) -> str:
    """Kind and first line, for a message."""
    return f"{type(error).__name__} {error}".splitlines()[0][:200]
