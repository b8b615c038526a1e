"""The decoders, and what each may be trusted with.

Frame i is the i-th frame that a decoder shows when it decodes the whole file in order; PyAV (a current FFmpeg) is the
reference. decord is faster at many frames but numbers them by the container's packets and seeks by its keyframes, which
goes wrong, silently, for open groups of pictures, intra refresh, missing times, edit lists, transport streams and
hidden or empty packets (measured against PyAV; compare dmlc/decord#54, #91, #373). Such files it is not given.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Protocol

import numpy as np
import numpy.typing as npt

from trainables.data.video.geometry import FrameLayout
from trainables.data.video.index import VideoIndex
from trainables.data.video.sampling import IntArray

Frames = npt.NDArray[np.uint8]


class FrameSource(Protocol):
    """An open video."""

    def read(self, frames: IntArray, layout: FrameLayout, out: Frames) -> None:
        """Decode some frames.

        Args:
            frames: (T,) strictly rising frame numbers.
            layout: of the size that the video was opened at, with any crop.
            out: (T, H, W, 3) is written to.

        Raises:
            DecodeError: one of them cannot be had undamaged.
        """
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


class Decoder(Protocol):
    """A way to decode; :data:`DEFAULT_DECODERS` says how one is named."""

    name: str
    version: str

    def refuses(self, index: VideoIndex) -> str | None:
        """Why this file is not for this decoder; None if it is."""
        ...

    def open(self, path: str, index: VideoIndex, size: tuple[int, int], threads: int) -> FrameSource:
        """Open a file that was not refused, for frames scaled to one size (height, width).

        Raises:
            DecodeError: it cannot be opened, or the decoder sees other frames than the index.
        """
        ...


#: ``module:class``, in order of preference. The last one is asked for everything that the others refuse or fail at.
DEFAULT_DECODERS = ("trainables.data.video.decord_decoder:Decord", "trainables.data.video.pyav_decoder:PyAv")


def decoder_versions() -> str:
    """Packages that decode, with their versions, without importing them."""
    return ", ".join(f"{package} {version(package)}" for package in ("decord", "av"))
