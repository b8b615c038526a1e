"""Clips that are asked for together are decoded together: each frame of a video once, in the order in which it plays.

A clip that does not begin at a keyframe costs every frame from there on, decoded and thrown away; clips between the
same two keyframes share that cost.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from trainables.data.video.decoders import Frames
from trainables.data.video.geometry import FrameLayout
from trainables.data.video.info import DecoderUse
from trainables.data.video.sampling import IntArray

#: Clips of a round. Rounds begin with one, so that the first clip comes at once, and double up to this.
MOST_AHEAD = 32

#: Frame numbers in a request: all requests under way must fit into the socket, or a process that hangs would block us.
_REQUEST_FRAMES = 4096

V = TypeVar("V", bound=Hashable)


class WantedClip(Generic[V]):
    """A clip that is asked for, and what of it has come.

    Args:
        video: the file.
        numbers: (T,) of frames, in any order, also repeated.
        layout: scaling and cropping.
    """

    def __init__(self, video: V, numbers: IntArray, layout: FrameLayout) -> None:
        self.video = video
        self.numbers = numbers
        self.layout = layout
        self.decoders: dict[DecoderUse, None] = {}
        self._missing = len(numbers)
        self._frames: Frames | None = None

    @property
    def num_bytes(self) -> int:
        """Of its frames."""
        return len(self.numbers) * self.layout.frame_bytes

    @property
    def frames(self) -> Frames | None:
        """(T, H, W, 3), None until all have come."""
        return None if self._missing else self._frames

    def add(self, frames: Frames, positions: IntArray | None, use: DecoderUse) -> None:
        """Take in frames.

        Args:
            frames: (t, H, W, 3), kept.
            positions: (t,) where in the clip they are; None = this is all of it.
            use: who decoded them.
        """
        if positions is None:
            self._frames = frames
        else:
            if self._frames is None:
                self._frames = np.empty((len(self.numbers), *frames.shape[1:]), np.uint8)
            self._frames[positions] = frames
        self._missing -= len(frames)
        self.decoders[use] = None


class Piece(NamedTuple, Generic[V]):
    """What of a clip is in a part.

    Attributes:
        clip: it belongs to.
        rows: (t,) of the part.
        positions: see :meth:`WantedClip.add`.
    """

    clip: WantedClip[V]
    rows: IntArray
    positions: IntArray | None


class Part(NamedTuple, Generic[V]):
    """Frames of one video that are decoded in one go.

    Attributes:
        video: the file.
        frames: (T,) numbers that rise strictly.
        layout: scaling and cropping.
        pieces: what they are for.
    """

    video: V
    frames: IntArray
    layout: FrameLayout
    pieces: tuple[Piece[V], ...]

    def copies(self, decoded: Frames) -> list[Frames]:
        """(t, H, W, 3) of its own for each piece."""
        return [_copied(decoded, piece.rows) for piece in self.pieces]


def rounds(clips: Iterable[WantedClip[V]], num_bytes: int) -> Iterator[list[WantedClip[V]]]:
    """Groups of 1, 2, 4, ... :data:`MOST_AHEAD` clips one after another, of at most so many bytes, or of one clip."""
    size, held = 1, list[WantedClip[V]]()
    for clip in clips:
        if held and sum(one.num_bytes for one in (*held, clip)) > num_bytes:
            yield held
            size, held = min(2 * size, MOST_AHEAD), []
        held.append(clip)
        if len(held) == size:
            yield held
            size, held = min(2 * size, MOST_AHEAD), []
    if held:
        yield held


def merged(clips: Sequence[WantedClip[V]], num_bytes: int) -> Iterator[Part[V]]:
    """What to decode for a round.

    Args:
        clips: of any videos and layouts.
        num_bytes: of a part at most, if it has more than one frame.

    Yields:
        Parts, those of a video one after another; videos in the order in which they are first asked for.
    """
    videos: dict[V, dict[FrameLayout, list[WantedClip[V]]]] = {}
    for clip in clips:
        videos.setdefault(clip.video, {}).setdefault(clip.layout, []).append(clip)
    for video, layouts in videos.items():
        for layout, alike in layouts.items():
            wanted, place = np.unique(np.concatenate([clip.numbers for clip in alike]), return_inverse=True)
            places = np.split(place, np.cumsum([len(clip.numbers) for clip in alike])[:-1])
            first = 0
            for frames in split(wanted, layout, num_bytes):
                pieces = (_piece(clip, own, first, len(frames)) for clip, own in zip(alike, places, strict=True))
                yield Part(video, frames, layout, tuple(piece for piece in pieces if len(piece.rows)))
                first += len(frames)


def split(frames: IntArray, layout: FrameLayout, num_bytes: int, multiple_of: int = 1) -> list[IntArray]:
    """Parts of at most so many bytes of answer, whole windows where one fits, and one frame at least."""
    most = min(max(1, num_bytes // layout.frame_bytes), _REQUEST_FRAMES)
    size = most // multiple_of * multiple_of or most
    return [frames[at : at + size] for at in range(0, len(frames), size)]


def _piece(clip: WantedClip[V], place: IntArray, first: int, count: int) -> Piece[V]:
    """Of a clip whose frames are at ``place`` among all wanted ones, those from ``first`` to before first + count."""
    inside = (place >= first) & (place < first + count)
    if inside.all():
        return Piece(clip, place - first, None)
    return Piece(clip, place[inside] - first, np.flatnonzero(inside))


def _copied(decoded: Frames, rows: IntArray) -> Frames:
    """Rows of their own; neighbours in one go."""
    if rows[-1] - rows[0] + 1 == len(rows) and bool((np.diff(rows) == 1).all()):
        return decoded[rows[0] : rows[-1] + 1].copy()
    return decoded[rows]
