"""MPEG-TS and M2TS: packets of 188 (192, 204) bytes that begin with 0x47. No length is declared, so none is proved."""

from __future__ import annotations

from typing import Final

from watcher.media.containers.base import Reader, Structure

_SIZES: Final = (188, 192, 204)
_SAMPLES: Final = 64
_ROW: Final = 5
"""Packets in a row that must begin rightly: by chance it happens once in 10^12."""


def detect(head: bytes) -> tuple[int, int] | None:
    """Give the packets' size and the offset of the first 0x47 in a file's head, or None."""
    for size in _SIZES:
        for first in range(min(size, max(0, len(head) - size * (_ROW - 1)))):
            if all(head[first + n * size] == 0x47 for n in range(_ROW)):
                return size, first
    return None


def walk(reader: Reader, size: int, first: int) -> Structure:
    """Look at packets all over the file, and at how its last one ends."""
    lead = 4 if size == 192 and first >= 4 else 0
    start = first - lead
    count, rest = divmod(reader.size - start, size)
    payload = ((start, reader.size),)
    for number in sorted({n * count // _SAMPLES for n in range(_SAMPLES)} | {max(0, count - 1)}):
        at = first + number * size
        if reader.at(at, 1) != b"\x47":
            zeros = reader.zeros_at(at, min(size, 188))
            reason = f"zeros at byte {at:,}" if zeros else f"no packet at byte {at:,}"
            return Structure(
                "cut" if zeros else "damaged", "mpegts", offset=at, payload=payload, reasons=(reason,), zeros=zeros
            )
    if rest:
        reason = f"its last packet has {rest} of {size} bytes"
        return Structure("cut", "mpegts", None, size - rest, reader.size, payload, (reason,))
    return Structure("unknown", "mpegts", payload=payload, reasons=("a transport stream declares no end",))
