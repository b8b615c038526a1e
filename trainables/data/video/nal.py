"""Does a keyframe packet of H.264 or HEVC begin with a clean slate? Read from its network abstraction layer units."""

from __future__ import annotations

from collections.abc import Iterator

#: nal_unit_type of an instantaneous decoding refresh: ITU-T H.264 and H.265, Table 7-1 of each.
_REFRESH = {"h264": {5}, "hevc": {19, 20}}


def is_instant_refresh(codec: str, packet: bytes, extradata: bytes | None) -> bool:
    """Whether decoding may start at this keyframe; recovery points (open groups, intra refresh) do not count.

    Args:
        codec: FFmpeg's name.
        packet: a packet flagged as keyframe.
        extradata: of the stream; a record that begins with 1 (``avcC``, ``hvcC``) means units follow their length.

    Returns:
        True for other codecs: their keyframes refer to nothing before them.
    """
    wanted = _REFRESH.get(codec)
    if wanted is None:
        return True
    sized = extradata is not None and extradata[:1] == b"\x01"
    units = _sized_units(packet, _length_bytes(codec, extradata)) if sized and extradata else _marked_units(packet)
    types = (first & 0x1F if codec == "h264" else (first >> 1) & 0x3F for first in units)
    return any(kind in wanted for kind in types)


def _length_bytes(codec: str, extradata: bytes) -> int:
    """lengthSizeMinusOne + 1: ISO/IEC 14496-15, byte 4 of avcC, byte 21 of hvcC."""
    position = 4 if codec == "h264" else 21
    return (extradata[position] & 3) + 1 if len(extradata) > position else 4


def _sized_units(packet: bytes, length_bytes: int) -> Iterator[int]:
    """First byte of each unit."""
    at = 0
    while at + length_bytes < len(packet):
        yield packet[at + length_bytes]
        at += length_bytes + int.from_bytes(packet[at : at + length_bytes], "big")


def _marked_units(packet: bytes) -> Iterator[int]:
    """First byte of each unit behind a start code (ITU-T H.264, Annex B)."""
    at = packet.find(b"\x00\x00\x01")
    while 0 <= at < len(packet) - 3:
        yield packet[at + 3]
        at = packet.find(b"\x00\x00\x01", at + 3)
