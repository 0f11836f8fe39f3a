"""Interrupted conversions: their files are kept as long as their film would be converted, and given up when not.

An attempt that nobody runs and that left a state is marked `interrupted` and its film is due as ever. Everything is
decided anew; when that comes to a conversion of the same content, it takes the attempt's name and files over. What it
does not come to is seen by the facts about the film, not by who changed them. In the store's thread.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from watcher.rules.signature import Signature
from watcher.rules.statuses import IntegrityStatus, ProcessedStatus

if TYPE_CHECKING:
    from watcher.service.jobs import Cancelled, Failed
    from watcher.store.models import Attempt, FileEntry
    from watcher.store.store import StateStore

_NO_FAULT_OF_THE_WORK: Final = frozenset({"io_error", "tool_missing", "killed", "out_of_memory"})
"""Trouble of the machine after which another run may go on. Without room the files must go: room is what lacks."""


def was_cut_short(outcome: Failed | Cancelled) -> bool:
    """Tell whether what a job has done is as good as before it ended."""
    reason = getattr(outcome, "reason", None)
    return reason is None or reason in _NO_FAULT_OF_THE_WORK


class Interrupted:
    """The attempts that are kept for a next run."""

    def __init__(self, store: StateStore) -> None:
        self._store = store

    def of(self, entry: FileEntry) -> Attempt | None:
        """Give the interrupted attempt of a film; None when there is none, or it runs."""
        attempt = self._store.attempt_of(entry.id)
        return attempt if attempt is not None and attempt.interrupted else None

    def may_go_on(self, entry: FileEntry, attempt: Attempt) -> bool:
        """Tell whether the film is still what the attempt was begun on, in the same folder, and would be converted."""
        wanted = entry.processed_status is ProcessedStatus.NEW or (
            entry.processed_status is ProcessedStatus.CONVERT_FAILED and entry.next_check_at_ms is not None
        )
        return (
            wanted
            and entry.integrity_status is IntegrityStatus.COMPLETE
            and entry.missing_since_ms is None
            and (attempt.temp is None or os.path.dirname(entry.path) == os.path.dirname(attempt.temp))
            and entry.signature.same_content(Signature(**attempt.source))
            and bool(self._store.finding(entry.id).probe)
        )

    def keep(self, attempt_id: str, share: float) -> bool:
        """Keep an attempt that has ended and left this share of its work, 0 to 1; False when it would not be gone on with."""
        attempt = self._store.attempt(attempt_id)
        if attempt is None or not self.is_wanted(attempt):
            return False
        self._store.update_attempt(attempt_id, interrupted=True, progress=share)
        return True

    def is_wanted(self, attempt: Attempt) -> bool:
        """Tell whether its film's row would have what is done gone on with."""
        entry = self._store.entry(attempt.entry_id)
        return entry is not None and self.may_go_on(entry, attempt)

    def give_up(self, attempt_id: str) -> bool:
        """Keep an interrupted attempt no longer whose film would not be converted any more; tells whether that is so."""
        attempt = self._store.attempt(attempt_id)
        if attempt is None or not attempt.interrupted or self.is_wanted(attempt):
            return False
        self._store.update_attempt(attempt_id, interrupted=False)
        return True
