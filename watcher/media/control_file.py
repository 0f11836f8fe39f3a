"""aria2's control file beside a download: how long the file will be, and how much of it is there.

aria2 writes the pieces of a file in any order into its final name, often into space it reserved before, and keeps
`NAME.aria2` beside it until the last piece is there. So the file's own length proves nothing, and this file knows. Its
format stands in aria2's manual, "Technical Notes": all numbers are big-endian since version 1.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from watcher.rules import names

_VERSION: Final = b"\x00\x01"
_BEFORE_HASH: Final = struct.Struct(">2s4sI")
_AFTER_HASH: Final = struct.Struct(">IQQI")
_LONGEST: Final = 4 << 20
"""Bytes read at most: a bitfield of 32 million pieces."""


@dataclass(frozen=True, slots=True)
class Download:
    """How far a download is."""

    source: str
    """The name of the control file, readable."""
    total_bytes: int
    present_bytes: int
    """In whole pieces; those under way are not counted."""


def beside(path: bytes) -> Download | None:
    """Give how far the download of this file is; None when no control file that can be read stands beside it."""
    folder, slash, name = path.rpartition(b"/")
    sibling = names.unfinished_sibling(name)
    try:
        with open(folder + slash + sibling, "rb") as file:
            content = file.read(_LONGEST)
    except OSError:
        return None
    return _parse(content, names.readable(sibling))


def _parse(content: bytes, source: str) -> Download | None:
    try:
        version, _, hash_length = _BEFORE_HASH.unpack_from(content)
        at = _BEFORE_HASH.size + hash_length
        piece, total, _, length = _AFTER_HASH.unpack_from(content, at)
    except struct.error:
        return None
    bits = content[at + _AFTER_HASH.size :][:length]
    pieces = -(-total // piece) if piece else 0
    if version != _VERSION or not pieces or len(bits) < -(-pieces // 8):
        return None
    there = int.from_bytes(bits).bit_count()
    present = there * piece
    if bits[(pieces - 1) // 8] >> (7 - (pieces - 1) % 8) & 1:  # the last piece is shorter
        present -= pieces * piece - total
    return Download(source, total, min(present, total))
