"""Frames of a video: how many can be shown, when, and where decoding may start."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from trainables.data.video.errors import DecodeError
from trainables.data.video.packets import PacketIndex, index_packets, open_container, plain_error, refresh_frames
from trainables.data.video.sampling import FloatArray, IntArray

#: One packet is one frame there; elsewhere packets may be hidden (VP8), empty (MPEG-4) or fields, and are counted.
_ONE_FRAME_A_PACKET = {"h264", "hevc", "vp9", "av1"}

#: Largest denominator of a rate that is worked out from rounded times: NTSC's 1001.
_MAX_DENOMINATOR = 1001


@dataclass(frozen=True)
class VideoIndex:
    """Everything known about a video before its frames are asked for.

    Attributes:
        packets: the stream as the container has it.
        num_frames: N, as many as a decoder shows from the first to the last packet.
        fps: frames per second; the mean where the rate varies.
        variable_rate: some frame is not shown at number / fps, to within one step of the file's clock.
        ticks: (N,) strictly rising times of presentation; None where the file's times cannot be used.
        starts_s: (N,) start of every frame, the first at 0.
        end_s: end of the last frame.
        seek_frames: (S,) rising; decoding from there gives what decoding from the start gives.
        counted: the frames were counted by decoding them all, and none was damaged.
    """

    packets: PacketIndex
    num_frames: int
    fps: Fraction
    variable_rate: bool
    ticks: IntArray | None
    starts_s: FloatArray
    end_s: float
    seek_frames: IntArray
    counted: bool

    @property
    def height(self) -> int:
        """Rows of a frame as it is shown."""
        return self.packets.width if self.packets.rotation % 180 else self.packets.height

    @property
    def width(self) -> int:
        """Columns of a frame as it is shown."""
        return self.packets.height if self.packets.rotation % 180 else self.packets.width


def index_video(path: str) -> VideoIndex:
    """Index a file; most streams are not decoded for it.

    Raises:
        DecodeError: the file is not a whole video.
    """
    packets = index_packets(path)
    if packets.rotation % 90:
        raise DecodeError(f"is to be shown turned by {packets.rotation} degrees; only multiples of 90 can be read")
    plain = packets.codec in _ONE_FRAME_A_PACKET and not packets.interlaced and not packets.num_discarded
    times = np.sort(packets.pts) if plain and packets.pts is not None else None
    counted = times is None or bool((np.diff(times) <= 0).any())
    if counted:
        num_frames, ticks = _count_frames(path)
    else:
        assert times is not None, "sorted above"
        num_frames, ticks = len(times), times
    seeks = refresh_frames(packets)
    if ticks is None or num_frames != packets.num_packets:  # frames cannot be told by their times or numbers
        seeks = seeks[:1]
    if ticks is None:
        fps, variable = packets.fps, False
    else:
        fps, variable = fit_rate(ticks, packets.tick_s, packets.fps)
    if ticks is None or not variable:
        starts_s = np.arange(num_frames) * fps.denominator / fps.numerator
        end_s = num_frames * fps.denominator / fps.numerator
    else:
        starts_s = (ticks - ticks[0]) * packets.tick_s
        end_s = float(starts_s[-1]) + (packets.last_ticks * packets.tick_s or float(1 / fps))
    return VideoIndex(packets, num_frames, fps, variable, ticks, starts_s, end_s, seeks, counted)


def fit_rate(ticks: IntArray, tick_s: float, declared: Fraction) -> tuple[Fraction, bool]:
    """Frame rate of presentation times, and whether it varies.

    Args:
        ticks: (N,) strictly rising.
        tick_s: seconds in a tick.
        declared: what the container states; taken if the times agree, else the simplest rate that does.

    Returns:
        The rate, and True if some time is more than a tick off it.
    """
    if len(ticks) < 2:
        return declared, False
    mean = float((len(ticks) - 1) / ((ticks[-1] - ticks[0]) * tick_s))
    fitted = Fraction(mean).limit_denominator(_MAX_DENOMINATOR)
    whole, ntsc = Fraction(max(1, round(mean))), Fraction(max(1, round(mean * 1.001)) * 1000, 1001)
    for rate in (declared, whole, ntsc, fitted):
        expected = np.arange(len(ticks)) / (float(rate) * tick_s)
        if np.abs(ticks - ticks[0] - expected).max() <= 1 + 1e-6:
            return rate, False
    return fitted, True


def _count_frames(path: str) -> tuple[int, IntArray | None]:
    """Decode everything; times only if they rise from frame to frame."""
    import av

    times: list[int | None] = []
    try:
        with open_container(path) as container:
            for frame in container.decode(container.streams.video[0]):
                if frame.is_corrupt:
                    raise DecodeError(f"damaged: frame {len(times)} is not whole")
                times.append(frame.pts)
    except (OSError, ValueError, av.FFmpegError) as error:
        raise DecodeError(f"damaged: frame {len(times)} cannot be decoded: {plain_error(error)}") from error
    known = np.asarray([time for time in times if time is not None], np.int64)
    rising = len(known) == len(times) and bool((np.diff(known) > 0).all())
    return len(times), known if rising else None
