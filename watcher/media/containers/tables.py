"""The tables of an MP4's track: each counts the same samples in its own way, so a changed byte in one of them shows.

`stsz` gives every sample's size, `stts` its length in time, `stsc` and `stco` its place (ISO 14496-12, section 8). Players
believe whichever they read, and FFmpeg too: a film of two hours whose tables speak of two samples plays for 0.1 s without a word.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from watcher.media.containers.base import Range, Reader

_TABLE_BYTES: Final = 8 << 20
"""A larger table is not read: 700,000 samples, each of another length than the one before."""
_UNKNOWN_TICKS: Final = frozenset({0, (1 << 32) - 1, (1 << 64) - 1})
_FACTOR: Final = 2
"""By how much a track's two lengths may differ; encoders were seen to disagree by 7 %, about the last picture."""


class Tables(NamedTuple):
    """What a track counts, where each table's content stands; None for a table that it has not."""

    samples: int
    """As `stsz` has it."""
    chunks: int
    times: Range | None
    per_chunk: Range | None
    media_header: Range | None


def contradiction(reader: Reader, found: Tables) -> str:
    """Say what the tables disagree about; "" when they agree. Raises OSError and TooMuchError."""
    times = _entries(reader, found.times, ">II")
    if times:
        timed = sum(count for count, _ in times)
        if timed != found.samples:
            return f"its tables count {found.samples:,} samples and the lengths of {timed:,}"
        ticks, told = sum(count * length for count, length in times), _ticks(reader, found.media_header)
        if told not in _UNKNOWN_TICKS and ticks and not told / _FACTOR <= ticks <= told * _FACTOR:
            return f"a track of {told:,} ticks has samples of {ticks:,}"
    per_chunk = _entries(reader, found.per_chunk, ">III")
    if per_chunk and found.chunks:
        firsts = [first for first, _, _ in per_chunk] + [found.chunks + 1]
        runs = zip(firsts, firsts[1:], per_chunk, strict=False)
        placed = sum((following - first) * samples for first, following, (_, samples, _) in runs)
        if placed != found.samples:
            return f"its tables count {found.samples:,} samples and the places of {placed:,}"
    return ""


def _entries(reader: Reader, table: Range | None, form: str) -> list[tuple[int, ...]]:
    """Read a table of equal entries; nothing where it is not there, too large, or longer than its box."""
    if table is None or table[1] - table[0] > _TABLE_BYTES:
        return []
    body = reader.at(table[0], table[1] - table[0])
    size = int.from_bytes(body[4:8], "big") * struct.calcsize(form)
    return list(struct.iter_unpack(form, body[8 : 8 + size])) if size <= len(body) - 8 else []


def _ticks(reader: Reader, header: Range | None) -> int:
    if header is None:
        return 0
    wide = reader.at(header[0], 1) == b"\x01"
    return reader.number(header[0] + (24 if wide else 16), 8 if wide else 4) or 0
