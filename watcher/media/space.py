"""Room on disk: what a conversion needs beside its film, and whether it is free."""

from __future__ import annotations

import os
from typing import Final

from watcher.errors import ConversionFailed

MARGIN_BYTES: Final = 64 << 20
"""Left free for everybody else, and for what the container adds."""
UNKNOWN_LENGTH_SHARE: Final = 0.1
"""Of the film's size, for the new track where the length is not known: one of 192 kbit/s is less than a tenth of any
film with surround sound, which alone has twice that."""


def free_space_needed(size_bytes: int, duration_sec: float | None, track_kbps: float) -> int:
    """Give the bytes a conversion needs beside the film: the film again, its new track twice, and a margin.

    The track stands in a file of its own until the result is proved.
    """
    track = duration_sec * track_kbps * 125 if duration_sec is not None else size_bytes * UNKNOWN_LENGTH_SHARE
    return int(size_bytes + 2 * track) + MARGIN_BYTES


def require_space(folder: bytes, needed_bytes: int) -> None:
    """Raise ConversionFailed("no_space") when the file system of a folder has less than this free for us."""
    found = os.statvfs(folder or b"/")
    free = found.f_bavail * found.f_frsize
    if free < needed_bytes:
        raise ConversionFailed(
            "no_space",
            f"{free / 1e6:.0f} MB are free in {os.fsdecode(folder)!r}, {needed_bytes / 1e6:.0f} MB are needed",
        )
