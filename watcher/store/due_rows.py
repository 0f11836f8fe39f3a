"""The queue: which rows are due, in which order they are taken, and when the next one is. It is in the rows, and nowhere else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from watcher.rules import planner
from watcher.store.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class DueRows(Session):
    """What a store knows about what waits."""

    def due_ids(
        self, *, complete: bool, now_ms: int, limit: int, root_ids: Sequence[int], only: Iterable[int] | None, turn: int
    ) -> list[int]:
        """Give the ids of due entries. See `StateStore.due`."""
        kind = _KINDS[complete]
        if only is not None:
            chosen = (json.dumps(list(only)), now_ms, json.dumps(list(root_ids)), limit)
            return [row[0] for row in self.sql(_DUE_OF_THESE.format(*kind), chosen)]
        lanes = [self._lanes(kind, root_id, now_ms, limit) for root_id in root_ids]
        return planner.in_turn([each for each in lanes if each.longest], turn, limit)

    def _lanes(self, kind: tuple[str, str], root_id: int, now_ms: int, limit: int) -> planner.Lanes:
        longest = self.sql(_LONGEST_DUE.format(*kind), (root_id, now_ms, limit)).fetchall()
        if len(longest) < limit:  # these are all
            newest = sorted(longest, key=lambda row: (-row[1], row[0]))
        else:
            newest = self.sql(_NEWEST_DUE.format(*kind), (root_id, now_ms, limit)).fetchall()
        return planner.Lanes([row[0] for row in newest], [row[0] for row in longest])

    def next_due_ms(self, *, complete: bool, root_ids: Sequence[int], only: Iterable[int] | None = None) -> int | None:
        """Give the time of the next due entry of one kind of work."""
        kind = _KINDS[complete]
        if only is not None:
            chosen = (json.dumps(list(only)), _FAR_FUTURE_MS, json.dumps(list(root_ids)), -1)
            found = self.sql(_DUE_OF_THESE.format(*kind), chosen).fetchall()
        else:
            asked = (self.sql(_LONGEST_DUE.format(*kind), (each, _FAR_FUTURE_MS, 1)).fetchall() for each in root_ids)
            found = [row for rows in asked for row in rows]
        return min((row[2] for row in found), default=None)

    def newest_time_ms(self) -> int:
        """Give the latest time that anything was written, as the clock was then; 0 when nothing was."""
        waits = [self.sql(_NEWEST_TIME.format(*kind)).fetchone()[0] or 0 for kind in _KINDS.values()]
        judged = self.sql("SELECT at_ms FROM journal ORDER BY id DESC LIMIT 1").fetchone()
        return max(*waits, *(judged or ()))

    def shift_times(self, by_ms: int) -> int:
        """Move the times of all that waits, and of what runs, by so much; gives the number of files that wait."""
        with self.transaction():
            self.sql("UPDATE attempt SET lease_until_ms = lease_until_ms + ?", (by_ms,))
            return int(self.sql(_SHIFT, (by_ms, by_ms)).rowcount)


_FAR_FUTURE_MS = 2**62
_KINDS = {False: ("check", "<>"), True: ("process", "=")}
"""Whether a file is known to be whole -> the name of the work it waits for, in the names of two indexes, and how its status compares."""
# INDEXED BY holds SQLite to walking one partial index in order, whatever its statistics say.
_LONGEST_DUE = """SELECT e.id, e.quiet_since_ms, e.next_check_at_ms FROM file_entry AS e INDEXED BY file_entry_due_{0}
    WHERE e.root_id = ? AND e.next_check_at_ms IS NOT NULL AND e.integrity_status {1} 'complete'
    AND e.next_check_at_ms <= ? AND e.id NOT IN (SELECT entry_id FROM attempt WHERE interrupted = 0) ORDER BY e.next_check_at_ms LIMIT ?"""
_NEWEST_DUE = """SELECT e.id FROM file_entry AS e INDEXED BY file_entry_fresh_{0}
    WHERE e.root_id = ? AND e.next_check_at_ms IS NOT NULL AND e.integrity_status {1} 'complete'
    AND e.next_check_at_ms <= ? AND e.id NOT IN (SELECT entry_id FROM attempt WHERE interrupted = 0) ORDER BY e.quiet_since_ms DESC LIMIT ?"""
_DUE_OF_THESE = """SELECT e.id, e.quiet_since_ms, e.next_check_at_ms FROM json_each(?) AS chosen
    CROSS JOIN file_entry AS e ON e.id = chosen.value
    WHERE e.next_check_at_ms IS NOT NULL AND e.integrity_status {1} 'complete'
    AND e.next_check_at_ms <= ? AND e.id NOT IN (SELECT entry_id FROM attempt WHERE interrupted = 0)
    AND e.root_id IN (SELECT value FROM json_each(?)) LIMIT ?"""
# A row that waits tells when it was last seen to change, the journal when anything was last judged.
_NEWEST_TIME = """SELECT max(quiet_since_ms) FROM file_entry
    WHERE next_check_at_ms IS NOT NULL AND integrity_status {1} 'complete'"""
_SHIFT = """UPDATE file_entry SET next_check_at_ms = next_check_at_ms + ?, quiet_since_ms = quiet_since_ms + ?
    WHERE next_check_at_ms IS NOT NULL"""
