"""What keeps a database well over years: backups, checks, and letting go of what nobody will ask for again.

The deletions come in steps of bounded size, each a transaction of its own, so that other work finds its turn between.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from watcher.store import backup
from watcher.store.models import MODELS, FileEntry
from watcher.store.session import Session

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

STEP = 5000
"""Journal lines looked at in one step: some milliseconds."""
_VACUUM_SHARE = 0.25
_VACUUM_MIN_BYTES = 8_000_000
_VACUUM_MAX_BYTES = 500_000_000
"""Rewriting the file pays when a quarter of it, and no trifle, is free pages. They are used again anyway: a large file,
whose rewriting would hold all work up for longer than a watchdog waits (17 s for 500 MB on a busy machine), is let be.
"""


class Care(Session):
    """What a store does for itself."""

    def backup(self, *, keep: int = backup.KEPT, now: float | None = None) -> Path:
        """Copy the database into `backups` beside all work, keep the newest `keep` copies; gives the new one.

        Safe from any thread, also for a read-only store. Raises DamagedDatabase or StoreError; then no copy is deleted.
        """
        return backup.take(self.path, self.backups, keep=keep, now=now)

    def integrity_check(self, *, quick: bool = False) -> str:
        """Say what is wrong with the database; "" when nothing is. `quick` leaves out indexes and references."""
        with self.in_words():
            wrong = backup.trouble_in(self._db.connection(), quick=quick)
        if not wrong and not quick and (lost := self.sql("PRAGMA foreign_key_check").fetchone()):
            return f"row {lost[1]} of {lost[0]} refers to a row of {lost[2]} that is not there"
        return wrong

    def journal_mode(self) -> str:
        """Give how SQLite writes: "wal", or what a file system that cannot do that has left of it."""
        return str(self.sql("PRAGMA journal_mode").fetchone()[0])

    def forget(self, gone_before_ms: int, root_ids: Sequence[int]) -> int:
        """Delete the entries of these roots whose file has been gone since before `gone_before_ms`; gives their number.

        Never one that is in work.
        """
        old = [row[0] for row in self.sql(_LONG_GONE, (gone_before_ms, json.dumps(list(root_ids)))).fetchall()]
        for some in range(0, len(old), 500):
            ids = old[some : some + 500]
            self.run(FileEntry.update(made_from=None).where(FileEntry.made_from.in_(ids)))
            self.run(FileEntry.delete().where(FileEntry.id.in_(ids)))
        return len(old)

    def trim_journal(self, before_ms: int, after_id: int) -> tuple[int, int | None]:
        """Look at the journal's next lines after `after_id` and delete those from before `before_ms`.

        The last line about each thing of a file stays, however old: it says how the file came to be what it is. Gives
        how many were deleted and the id to go on after; None at the end, which new lines do not put off.
        """
        last, lines = self.sql(_STEP_END, (after_id, STEP)).fetchone()
        deleted = self.sql(_TRIM, (after_id, last, before_ms)).rowcount if lines else 0
        return deleted, last if lines == STEP else None

    def forget_groups(self) -> int:
        """Delete the groups that no file belongs to; gives their number."""
        return int(self.sql(_EMPTY_GROUPS).rowcount)

    def clear(self) -> int:
        """Delete everything that is known; gives the number of files. The caller has a backup."""
        with self.transaction():
            files = int(self.sql("SELECT count(*) FROM file_entry").fetchone()[0])
            self.sql("UPDATE file_entry SET made_from_id = NULL, group_id = NULL")
            for model in reversed(MODELS):
                self.run(model.delete())
            self._folders.clear()
        return files

    def wasted_bytes(self) -> int:
        """Give how much of the file is free pages, when there are enough of them for `vacuum` to pay; else 0."""
        size, pages, free = (
            self.sql(f"PRAGMA {what}").fetchone()[0] for what in ("page_size", "page_count", "freelist_count")
        )
        enough = free * size >= _VACUUM_MIN_BYTES and free >= pages * _VACUUM_SHARE
        enough = enough and (pages - free) * size <= _VACUUM_MAX_BYTES
        room = shutil.disk_usage(self.path.parent).free > 3 * pages * size  # a copy, and the log of writing it back
        return int(free * size) if enough and room else 0

    def vacuum(self) -> None:
        """Rewrite the file without free pages. Nobody else can write meanwhile: 1 to 4 s for 100 MB."""
        self.sql("VACUUM")
        self.checkpoint()

    def optimize(self) -> None:
        """Let SQLite renew the statistics by which it chooses indexes, where they are out of date (ANALYZE)."""
        self.sql("PRAGMA analysis_limit = 1000").fetchall()
        self.sql("PRAGMA optimize").fetchall()

    def checkpoint(self) -> None:
        """Bring the write-ahead log into the database file and cut it to nothing: after big scans."""
        self.sql("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


_LONG_GONE = """SELECT e.id FROM file_entry AS e INDEXED BY file_entry_missing
    CROSS JOIN folder AS f ON f.id = e.folder_id
    WHERE e.missing_since_ms IS NOT NULL AND e.missing_since_ms < ? AND f.root_id IN (SELECT value FROM json_each(?))
    AND e.id NOT IN (SELECT entry_id FROM attempt)"""
_STEP_END = "SELECT max(id), count(*) FROM (SELECT id FROM journal WHERE id > ? ORDER BY id LIMIT ?)"
_TRIM = """DELETE FROM journal WHERE id > ? AND id <= ? AND at_ms < ? AND EXISTS (
    SELECT 1 FROM journal AS later
    WHERE later.entry_id = journal.entry_id AND later.id > journal.id AND later.subject = journal.subject)"""
_EMPTY_GROUPS = "DELETE FROM group_entry WHERE id NOT IN (SELECT group_id FROM file_entry WHERE group_id IS NOT NULL)"
