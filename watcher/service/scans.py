"""One scan: walk a root, compare with the database, hand the differences to intake. What events missed is found here.

The walk and the comparison run in a thread of their own over a read-only connection, so that a slow disk holds up
nobody and an unchanged library costs hardly more than the walk. Nothing is concluded from a scan during which the
root was not itself: it is judged before and after, and files are declared gone only then.
"""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from watcher.service.intake import Sighting, Taken
from watcher.watch import scan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from watcher.rules.names import NameRules

CHUNK_FILES = 2000
"""Files handed to intake at once: large enough to make a transaction worth it, small enough not to hold up a turn."""


@dataclass(slots=True)
class Scan:
    """The progress and, when it has ended, the result of one scan."""

    root_id: int
    root: bytes
    below: bytes = b""
    devices: frozenset[int] = frozenset()
    """The root's own device number, and the one it had before it was last recognised under a new one."""
    files: int = 0
    known: int = 0
    """Files the database already had there, gone ones not counted."""
    gone: list[Sighting] = field(default_factory=list)
    """What is no longer there, held back until the root is known to be itself."""
    gone_files: int = 0
    temporary: list[bytes] = field(default_factory=list)
    """Paths of the files that attempts make their results in, or have left behind."""
    unreadable: list[tuple[bytes, str]] = field(default_factory=list)
    unmounted: list[bytes] = field(default_factory=list)
    """Folders whose disk, mounted below the root, is not there."""
    stopped: bool = False
    taken: Taken = field(default_factory=Taken)
    """What of it was news to the database."""


def run(
    state: Scan,
    database: Path,
    rules: NameRules,
    max_depth: int,
    hand_over: Callable[[list[Sighting]], None],
    should_stop: Callable[[], bool],
) -> None:
    """Walk `state.root` below `state.below`; differences go to `hand_over` in chunks, what is gone stays in `state`.

    Blocking, for a thread. Raises OSError when the top folder cannot be read.
    """
    reader = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    try:
        seen_folders: set[bytes] = set()
        chunk: list[Sighting] = []
        count = 0
        try:
            for sighting in _differences(reader, state, rules, max_depth, should_stop, seen_folders):
                chunk.append(sighting)
                count += len(sighting.files)
                if count >= CHUNK_FILES:
                    hand_over(chunk)
                    chunk, count = [], 0
        except (FileNotFoundError, NotADirectoryError):
            if not state.below:
                raise  # the root itself; a folder below it may well be gone, and all that was in it
        if chunk:
            hand_over(chunk)
        state.stopped = should_stop()
        if not state.stopped:
            _lost_folders(reader, state, seen_folders)
    finally:
        reader.close()


def _differences(
    reader: sqlite3.Connection,
    state: Scan,
    rules: NameRules,
    max_depth: int,
    should_stop: Callable[[], bool],
    seen_folders: set[bytes],
) -> Iterator[Sighting]:
    for listing in scan.walk(state.root, rules, below=state.below, max_depth=max_depth, should_stop=should_stop):
        seen_folders.add(listing.folder)
        if listing.error is not None:
            state.unreadable.append((listing.folder, listing.error.strerror or str(listing.error)))
            continue
        state.files += len(listing.files)
        state.temporary += [os.path.join(state.root, listing.folder, name) for name in listing.temporary]
        # The inner loop of every re-scan: no tuple is made for a file that is as it was.
        known = {row[0]: row for row in reader.execute(_KNOWN, (state.root_id, listing.folder)).fetchall()}
        news = []
        for seen in listing.files:
            row = known.pop(seen[0], None)
            if row is None or row[1:6] != seen[1] or row[6] is not None:
                news.append(seen)
        state.known += len(listing.files) - len(news)
        _lose(state, listing.folder, [(name, row[1]) for name, row in known.items() if row[6] is None])
        if news:
            yield Sighting(listing.folder, news)


def _lost_folders(reader: sqlite3.Connection, state: Scan, seen: set[bytes]) -> None:
    """Find the folders the database knows below here and the walk did not meet: their files are gone."""
    blind = [folder + b"/" if folder else b"" for folder, _ in state.unreadable]
    below = state.below + b"/" if state.below else b""
    rows = reader.execute("SELECT id, path FROM folder WHERE root_id = ?", (state.root_id,)).fetchall()
    for folder_id, path in rows:
        inside = path == state.below or (path + b"/").startswith(below)
        if path in seen or not inside or any((path + b"/").startswith(prefix) for prefix in blind):
            continue
        _lose(state, path, reader.execute(_PRESENT, (folder_id,)).fetchall())


def _lose(state: Scan, folder: bytes, missed: list[tuple[bytes, int]]) -> None:
    """Note which of the names (each with its file's device) that the walk missed in a folder are gone.

    Not gone is a name that stands there and is no film by today's settings. Nothing is known of a file that lay on a
    disk of its own, mounted below the root, when no disk is mounted there now.
    """
    if not missed:
        return
    path = os.path.join(state.root, folder)
    names = [(name, device) for name, device in missed if not os.path.lexists(os.path.join(path, name))]
    if names and state.devices and _device_above(path) in state.devices:
        unmounted = [name for name, device in names if device not in state.devices]
        if unmounted:
            state.unmounted.append(folder)
            names = [(name, device) for name, device in names if device in state.devices]
    state.known += len(names)
    state.gone_files += len(names)
    if names:
        state.gone.append(Sighting(folder, gone=[name for name, _ in names]))


def _device_above(path: bytes) -> int:
    """Give the device of the nearest folder that is there."""
    while True:
        try:
            return os.stat(path).st_dev
        except (FileNotFoundError, NotADirectoryError):
            path = os.path.dirname(path)


_KNOWN = """SELECT e.name, device, inode, size_bytes, mtime_ns, blocks, missing_since_ms
    FROM folder AS f JOIN file_entry AS e ON e.folder_id = f.id WHERE f.root_id = ? AND f.path = ?"""
_PRESENT = "SELECT name, device FROM file_entry WHERE folder_id = ? AND missing_since_ms IS NULL"
