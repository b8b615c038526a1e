"""The decoding process: takes requests as JSON, writes frames into shared memory, answers as JSON.

Whatever a file does to it - crash, endless loop, leak - stays here; :mod:`trainables.data.video.process` starts it,
ends it and starts another. Damage that FFmpeg only reports in text is seen because standard error is a file.
"""

from __future__ import annotations

import json
import mmap
import os
import signal
from collections import OrderedDict
from collections.abc import Sequence
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from trainables.data.video.decoders import Decoder, FrameSource
from trainables.data.video.errors import DecodeError
from trainables.data.video.geometry import FrameLayout
from trainables.data.video.index import VideoIndex, index_video
from trainables.data.video.packets import plain_error
from trainables.data.video.process import NUM_SLOTS, SLOT_BYTES, Bytes

_MAX_INDEXES = 64

#: Messages stay below what a pipe takes in one piece.
_MAX_REASON = 500

#: The process ends itself this long after its parent should have done so, should the parent be gone.
_GRACE_S = 5


def main(connection_fd: int, memory_fd: int, decoders: Sequence[str]) -> None:
    """Serve until the other side closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; it then closes the connection
    connection = Connection(connection_fd)
    slots = np.frombuffer(mmap.mmap(memory_fd, NUM_SLOTS * SLOT_BYTES), np.uint8)
    server = _Server([_load(name) for name in decoders])
    while True:
        try:
            request = json.loads(connection.recv_bytes())
        except EOFError:
            return
        # unlike a Python handler, the default action of this signal ends a process that is stuck in native code
        signal.alarm(int(request["timeout_s"]) + _GRACE_S)
        try:
            reply = server.answer(request, slots[request["offset"] : request["offset"] + SLOT_BYTES])
        except DecodeError as error:
            reply = {"bytes": 0, "error": str(error)[:_MAX_REASON]}
        except Exception as error:  # a decoder met what nobody foresaw: this file's fault, not the next one's
            reply = {"bytes": 0, "error": f"unexpected {plain_error(error)}"}
        signal.alarm(0)
        reply |= {"opened": server.opened, "resident": resident_bytes()}
        connection.send_bytes(json.dumps(reply).encode())


def _load(name: str) -> Decoder:
    module, _, attribute = name.partition(":")
    decoder: Decoder = getattr(import_module(module), attribute)()
    return decoder


class _Server:
    """Indexes of the latest files, and one file open."""

    def __init__(self, decoders: Sequence[Decoder]) -> None:
        self._decoders = decoders
        self._indexes: OrderedDict[tuple[object, ...], VideoIndex] = OrderedDict()
        self._key: tuple[object, ...] = ()
        self._source: FrameSource | None = None
        self._decoder = 0
        self._why: str | None = None
        self.opened = 0

    def answer(self, request: dict[str, Any], memory: Bytes) -> dict[str, Any]:
        """One request; arrays of the answer go to the memory.

        Raises:
            DecodeError: the file or a frame of it cannot be had from any decoder.
        """
        if request["op"] == "index":
            return _describe(self._index(request), memory)
        return self._read(request, memory)

    def _index(self, request: dict[str, Any]) -> VideoIndex:
        key = (request["path"], *request["stamp"])
        if key not in self._indexes:
            self.opened += 1
            self._indexes[key] = index_video(request["path"])
            if len(self._indexes) > _MAX_INDEXES:
                self._indexes.popitem(last=False)
        self._indexes.move_to_end(key)
        return self._indexes[key]

    def _read(self, request: dict[str, Any], memory: Bytes) -> dict[str, Any]:
        frames = np.asarray(request["frames"], np.int64)
        layout = FrameLayout(*request["layout"])
        num_bytes = len(frames) * layout.frame_bytes
        out = memory[:num_bytes].reshape(len(frames), layout.out_height, layout.out_width, 3)
        size = (layout.height, layout.width)
        key = (request["path"], *request["stamp"], size, request["skip"])
        if key != self._key:
            self._close()
            self._key, self._decoder, self._why = key, request["skip"], request["why"]
        while True:
            decoder = self._decoders[self._decoder]
            try:
                if self._source is None:
                    self._source = self._open(decoder, request, size)
                self._source.read(frames, layout, out)
                return {"bytes": num_bytes, "decoder": decoder.name, "version": decoder.version, "why": self._why}
            except DecodeError as error:
                self._close()
                if self._decoder + 1 == len(self._decoders):
                    self._key = ()
                    raise
                self._why = f"{decoder.name}: {error}"[:_MAX_REASON]
                self._decoder += 1

    def _open(self, decoder: Decoder, request: dict[str, Any], size: tuple[int, int]) -> FrameSource:
        index = self._index(request)
        refusal = decoder.refuses(index)
        if refusal is not None:
            raise DecodeError(refusal)
        self.opened += 1
        return decoder.open(request["path"], index, size, request["threads"])

    def _close(self) -> None:
        if self._source is not None:
            self._source.close()
        self._source = None


def _describe(index: VideoIndex, memory: Bytes) -> dict[str, Any]:
    num_bytes = index.starts_s.nbytes if index.variable_rate else 0
    if num_bytes > len(memory):
        raise DecodeError(f"has {index.num_frames} frames, too many for one file")
    memory[:num_bytes] = index.starts_s.view(np.uint8)[:num_bytes]
    return {
        "bytes": num_bytes,
        "num_frames": index.num_frames,
        "fps": [index.fps.numerator, index.fps.denominator],
        "duration_s": index.end_s,
        "height": index.height,
        "width": index.width,
        "codec": index.packets.codec,
        "container": index.packets.container,
        "variable_rate": index.variable_rate,
        "tick_s": index.packets.tick_s,
        "times_known": index.ticks is not None,
    }


def resident_bytes() -> int:
    """Memory of this process that it shares with no other."""
    resident, shared = Path("/proc/self/statm").read_text().split()[1:3]
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")
