"""MPEG program streams (mpg, vob): packets that declare their length, so that a cut within the last one is seen.

No length of the whole is declared: a cut between two packets cannot be told from an end. But nothing but start codes may
follow a packet (ISO/IEC 13818-1, 2.5.3), and padding is a stream of its own, of 0xFF: a pack's length of zeros up to
the end of the file was never filled.
"""

from __future__ import annotations

from typing import Final

from watcher.media.containers.base import Reader, Structure, cut

MAGIC: Final = b"\x00\x00\x01\xba"
_TAIL_BYTES: Final = 1 << 18
"""Looked through for the last pack; they are 2 KB on a DVD."""
_END: Final = 0xB9
_END_CODE: Final = b"\x00\x00\x01\xb9"
_PACK_BYTES: Final = 2048
"""The length of a pack on every disc."""


def walk(reader: Reader) -> Structure:
    """Follow the packets of the last pack to the end of the file."""
    payload = ((0, reader.size),)
    start = max(0, reader.size - _TAIL_BYTES)
    tail = reader.at(start, _TAIL_BYTES)
    end = start + _end_of_packets(tail, tail.rfind(MAGIC))
    zeros_from = start + len(tail.rstrip(b"\0"))
    if (
        reader.size - max(zeros_from, end) >= _PACK_BYTES
        and tail[zeros_from - start - 4 : zeros_from - start] != _END_CODE
    ):
        return Structure(
            "cut",
            "mpegps",
            missing_bytes=reader.size - zeros_from,
            offset=zeros_from,
            payload=payload,
            reasons=(f"nothing but zeros from byte {zeros_from:,} to its end",),
            zeros=True,
        )
    if end > reader.size:
        found = cut(reader, "mpegps", end, "its last packet")
        return Structure("cut", "mpegps", None, found.missing_bytes, found.offset, payload, found.reasons)
    return Structure("unknown", "mpegps", payload=payload, reasons=("a program stream declares no end",))


def _end_of_packets(tail: bytes, at: int) -> int:
    """Give where the last packet ends, which may lie behind the tail; 0 when nothing can be said."""
    if at < 0:
        return 0
    if len(tail) < at + 14:
        return at + 14
    is_mpeg2 = tail[at + 4] & 0xC0 == 0x40
    at += 14 + (tail[at + 13] & 7) if is_mpeg2 else 12
    while at < len(tail):
        if tail[at : at + 3] != b"\x00\x00\x01" or tail[at + 3 : at + 4] < b"\xb9":
            return 0 if len(tail) - at >= 4 else at + 4
        if tail[at + 3] == _END:
            return at + 4
        at += 6 + int.from_bytes(tail[at + 4 : at + 6], "big")
    return at
