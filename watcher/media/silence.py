"""Zeros in PCM that are no silence: they begin and end on the borders of pages, in the middle of a sound.

Silence in PCM is zeros, too, so their number proves nothing. But silence begins at any sample, and out of a sound that has
faded; a lost write leaves whole pages of 4 KiB, cut out of whatever was there. That both ends of a silence fall on such
borders happens once in a million. Where tracks alternate, a silent piece begins and ends abruptly by right: so the sound
before and behind must be of the same stream.

A run so long that elsewhere it would be proof is silence, too, where it lies within sound that had faded before it, or
had not begun.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from watcher.media import packets

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from watcher.media.containers.base import Range

_LOOK_BYTES: Final = 64
_PAGE_BYTES: Final = 4096
_TO_THE_END_BYTES: Final = 16 << 10
"""Zeros up to the end have one border only: there must be more of them, and the sound before them must be loud."""


def suspects(path: bytes, runs: Sequence[Range], end: int) -> list[Range]:
    """Give the runs of whole pages that break off a sound. `end` is where the payload ends. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        return [run for run in runs if _breaks_off(descriptor, run, end)]
    finally:
        os.close(descriptor)


def _breaks_off(descriptor: int, run: Range, end: int) -> bool:
    before = os.pread(descriptor, _LOOK_BYTES, max(0, run[0] - _LOOK_BYTES))
    if run[1] >= end:
        return run[1] - run[0] >= _TO_THE_END_BYTES and _is_sound(before, before[-1:], quiet=_LOOK_BYTES // 8)
    behind = os.pread(descriptor, _LOOK_BYTES, run[1])
    return all(
        _is_sound(part, edge, quiet=_LOOK_BYTES // 2) for part, edge in ((before, before[-4:]), (behind, behind[:4]))
    )


def _is_sound(part: bytes, edge: bytes, *, quiet: int) -> bool:
    """Tell whether there is sound up to the border; loud sound has few bytes of nought."""
    return any(edge) and part.count(0) <= quiet and len(part) == _LOOK_BYTES


def first_hit(listing: bytes, found: Sequence[Range], streams: Collection[int], end: int) -> packets.Hit | None:
    """Give the first of these runs that begins and ends within the same one of these streams, by ffprobe's list."""
    edges = {byte for run in found for byte in (run[0] - 1, run[0], run[1] - 1, run[1])}
    of: dict[int, int] = {}
    for stream, at, size in packets.places(listing):
        if stream in streams:
            of |= dict.fromkeys((byte for byte in edges if at <= byte < at + size), stream)
    for start, stop in sorted(found):
        around = {of.get(byte) for byte in (start - 1, start, stop - 1, *(() if stop >= end else (stop,)))}
        one = around.pop() if len(around) == 1 else None
        if one is not None:
            return packets.Hit(one, start)
    return None


def is_one(path: bytes, run: Range, listing: bytes, streams: Collection[int]) -> bool:
    """Tell whether a long run of zeros is a silence of one of these streams of PCM, by ffprobe's list. Raises OSError."""
    pieces = _pieces((at, at + size) for stream, at, size in packets.places(listing) if stream in streams)
    start, stop = next((piece for piece in pieces if piece[0] <= run[0] < piece[1]), (0, 0))
    if stop < run[1]:
        return False
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        before = os.pread(descriptor, min(_PAGE_BYTES, run[0] - start), max(start, run[0] - _PAGE_BYTES))
        behind = os.pread(descriptor, min(_LOOK_BYTES, stop - run[1]), run[1])
    finally:
        os.close(descriptor)
    sound = before.rstrip(b"\0")[-_LOOK_BYTES:]
    # Every other byte of a quiet sample is 0 or, below nought, 255.
    breaks_off = _is_sound(sound, sound[-1:], quiet=_LOOK_BYTES // 8 - sound.count(255))
    goes_on = _is_sound(behind, behind[:4], quiet=_LOOK_BYTES // 2)
    return not (breaks_off or goes_on)


def _pieces(ranges: Iterable[Range]) -> list[Range]:
    """Join packets that follow each other without a gap."""
    joined: list[Range] = []
    for start, end in sorted(ranges):
        if joined and joined[-1][1] == start:
            joined[-1] = joined[-1][0], end
        else:
            joined.append((start, end))
    return joined
