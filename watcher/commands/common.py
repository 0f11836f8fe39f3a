"""What several commands need: opening the database to read it, paths as bytes, and who works on the database now."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from watcher.store.store import StateStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from watcher.config import Loaded

EXIT_OK = 0
EXIT_NO = 1
EXIT_NO_VERDICT = EXIT_USAGE = 2
EXIT_BAD_SETTINGS = 78  # EX_CONFIG of sysexits.h; the unit does not restart on it
EXIT_INTERRUPTED = 130

NO_LINKS = "it is a symbolic link, and those are not followed"


def reading(loaded: Loaded) -> StateStore:
    """Open the database to read it, beside a running service or without one. Raises StoreError when there is none."""
    return StateStore(loaded.config.database_path(), read_only=True)


def paths_of(files: Sequence[os.PathLike[str]]) -> list[bytes]:
    """Give the absolute paths of what was named on the command line, byte for byte; no link is followed."""
    return [os.fsencode(os.path.abspath(file)) for file in files]


def without_links(path: bytes) -> bytes:
    """Give the path with its folder's links followed: a watched folder may have been reached by another name."""
    folder, _, name = path.rpartition(b"/")
    return os.path.join(os.path.realpath(folder or b"/"), name)
