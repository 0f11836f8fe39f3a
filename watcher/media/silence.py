"""Zeros in PCM that are no silence: they begin and end on the borders of pages, in the middle of a sound.

Silence in PCM is zeros, too, so their number proves nothing. But silence begins at any sample, and out of a sound that has
faded; a lost write leaves whole pages of 4 KiB, cut out of whatever was there. That both ends of a silence fall on such
borders happens once in a million. Where tracks alternate, a silent piece begins and ends abruptly by right: so the sound
before and behind must be of the same stream.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from watcher.media import packets

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from watcher.media.containers.base import Range

_LOOK_BYTES: Final = 64
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
