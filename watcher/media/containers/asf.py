"""ASF and WMV: objects with 64-bit sizes, and a header that declares the size of the file."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from watcher.media.containers.base import Reader, Structure, bad, cut

MAGIC: Final = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_DATA: Final = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_PROPERTIES: Final = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_BROADCAST: Final = 1
_DATA_HEAD_BYTES: Final = 50


def walk(reader: Reader) -> Structure:
    """Follow the objects; the data object must end within the file."""
    payload: list[tuple[int, int]] = []
    declared: float | None = None
    file_size, live, packet = 0, False, 0
    offset = 0
    while offset + 24 <= reader.size:
        ident, size = reader.at(offset, 16), reader.number(offset + 16, 8, "little") or 0
        if ident == MAGIC:
            declared, file_size, live, packet = _properties(reader, offset, size)
        if size < 24:
            break
        if ident == _DATA:
            end = min(offset + size, reader.size)
            payload.append((min(offset + _DATA_HEAD_BYTES, end), end))
        if offset + size > reader.size and (ident in {MAGIC, _DATA} or not payload):
            return replace(
                cut(reader, "asf", offset + size, "an object"), payload=tuple(payload), declared_sec=declared
            )
        offset += size
    if live:
        return Structure(
            "unknown", "asf", declared, payload=tuple(payload), reasons=("a live recording declares no end",)
        )
    if not payload:
        if offset >= reader.size:
            return Structure("cut", "asf", declared, offset=reader.size, reasons=("a header without picture or sound",))
        return bad(reader, "asf", offset, "data object")
    if file_size > reader.size:
        return replace(cut(reader, "asf", file_size, "the file"), payload=tuple(payload), declared_sec=declared)
    return Structure("whole", "asf", declared, payload=tuple(payload), packet_bytes=packet)


def _properties(reader: Reader, header: int, size: int) -> tuple[float | None, int, bool, int]:
    """Give the play time in seconds, the file's size, whether it says that neither is to be trusted, and its packets' size."""
    body = reader.at(header + 30, min(max(size - 30, 0), 1 << 20))
    at = body.find(_PROPERTIES)
    if at < 0 or len(body) < at + 104:
        return None, 0, False, 0
    file_size, play, preroll = (int.from_bytes(body[at + n : at + n + 8], "little") for n in (40, 64, 80))
    seconds = play / 1e7 - preroll / 1e3
    live = bool(int.from_bytes(body[at + 88 : at + 92], "little") & _BROADCAST)
    least, most = (int.from_bytes(body[at + n : at + n + 4], "little") for n in (92, 96))
    packet = most if least == most else 0
    return (seconds if 0 < seconds < 1e8 else None), 0 if live else file_size, live, packet
