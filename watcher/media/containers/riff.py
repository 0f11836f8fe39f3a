"""AVI (with OpenDML) and WAV: RIFF chunks that declare their size.

Whole means: every RIFF and its `movi` list (or `data` chunk) end within the file. Old writers left sizes of zero when they were
killed, and some count wrongly at the very end, so the outer size condemns only where the inner ones do not acquit.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from watcher.media.containers.base import ZERO_HEAD_BYTES, Range, Reader, Structure, bad, cut, joined

if TYPE_CHECKING:
    from collections.abc import Iterator

_OPEN: Final = frozenset({0, 0xFFFFFFFF})
"""Sizes that a writer puts down until it knows better."""


class Chunk(NamedTuple):
    """One chunk. `form` is the type of a RIFF or LIST."""

    kind: bytes
    form: bytes
    start: int
    end: int
    open: bool
    """It does not say its size."""


def walk(reader: Reader) -> Structure:
    """Read the chunks of every RIFF in the file."""
    container = "wav" if reader.at(8, 4) == b"WAVE" else "avi"
    wanted = b"data" if container == "wav" else b"movi"
    riffs: list[Chunk] = []
    payload: list[Chunk] = []
    declared, indexed, unfilled = None, False, None
    for riff in _chunks(reader, 0, reader.size):
        if riff.kind not in {b"RIFF", b"RF64"} or (riffs and riff.form != b"AVIX"):
            break
        riffs.append(riff)
        end = riff.start + 12
        for chunk in _chunks(reader, riff.start + 12, min(riff.end, reader.size)):
            if wanted in {chunk.kind, chunk.form}:
                payload.append(chunk)
            indexed |= chunk.kind == b"idx1"
            if chunk.kind == b"idx1" and chunk.end > reader.size:
                return cut(reader, container, chunk.end, "its index", payload=_places(payload, reader))
            end = chunk.end + (chunk.end & 1)
            if chunk.form == b"hdrl":
                declared = _duration(reader, chunk)
        if container == "avi" and not indexed and riff.end - end >= ZERO_HEAD_BYTES and reader.zeros_at(end):
            unfilled = end
    found = _judge(reader, container, riffs, payload, indexed=indexed)
    if found.status == "whole" and unfilled is not None:
        found = bad(reader, container, unfilled, "its index")
    return replace(found, payload=_places(payload, reader), declared_sec=declared)


def _places(payload: list[Chunk], reader: Reader) -> tuple[Range, ...]:
    return joined([(chunk.start + 8, min(chunk.end, reader.size)) for chunk in payload])


def _judge(reader: Reader, container: str, riffs: list[Chunk], payload: list[Chunk], *, indexed: bool) -> Structure:
    if not payload:
        if riffs and riffs[-1].end > reader.size:
            return cut(reader, container, riffs[-1].end, "the file")
        return bad(reader, container, min(riffs[-1].end, reader.size - 1) if riffs else 0, "picture or sound")
    last, outer = payload[-1], riffs[-1]
    if last.end > reader.size:
        return cut(reader, container, last.end, "its picture and sound")
    if any(chunk.open for chunk in payload):
        return Structure("unknown", container, reasons=("it does not say where it ends: never finished",))
    if outer.end > reader.size + 1 and not indexed:
        return cut(reader, container, outer.end, "the file")
    extra = reader.size - outer.end
    return Structure("whole", container, notes=(f"{extra:,} bytes of something else at the end",) if extra > 1 else ())


def _chunks(reader: Reader, start: int, limit: int) -> Iterator[Chunk]:
    offset = start
    while offset + 8 <= limit:
        head = reader.at(offset, 12)
        if len(head) < 8 or not all(0x20 <= letter < 0x7F for letter in head[:4]):
            return
        size = int.from_bytes(head[4:8], "little")
        listed = head[:4] in {b"RIFF", b"RF64", b"LIST"}
        is_open = size in _OPEN and (listed or head[:4] == b"data")
        end = limit if is_open else offset + 8 + size
        yield Chunk(head[:4], head[8:12] if listed else b"", offset, end, is_open)
        offset = end + (end & 1)


def _duration(reader: Reader, hdrl: Chunk) -> float | None:
    """Give the main header's frames times its microseconds a frame; OpenDML's own count where there is one."""
    microseconds = frames = 0
    for chunk in _chunks(reader, hdrl.start + 12, min(hdrl.end, reader.size)):
        if chunk.kind == b"avih":
            microseconds = reader.number(chunk.start + 8, 4, "little") or 0
            frames = reader.number(chunk.start + 24, 4, "little") or 0
        elif chunk.form == b"odml":
            frames = reader.number(chunk.start + 20, 4, "little") or frames
    seconds = microseconds * frames / 1e6
    return seconds if 0 < seconds < 1e8 else None
