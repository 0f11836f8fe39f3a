"""Checks: started under a lease, ended by a verdict, given back after a stop. In the store's thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from watcher.media import integrity
from watcher.rules import machine
from watcher.rules.statuses import IntegrityStatus, Mode, ProcessedStatus, Reason
from watcher.service.engine import LEASE_MARGIN_SEC
from watcher.service.jobs import JobSpec, new_attempt_id

if TYPE_CHECKING:
    from watcher.rules.verdict import Verdict
    from watcher.service.engine import Engine
    from watcher.service.jobs import Checked
    from watcher.store.models import FileEntry


class Checks:
    """Starts checks, and turns their verdicts into moves and next times."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._store = engine.store

    def begin(self, entry: FileEntry, why: str) -> JobSpec:
        """Move an entry to PENDING under a lease and give the job that checks it."""
        lease = integrity.time_limit_sec(entry.size_bytes, None) + LEASE_MARGIN_SEC
        mode = Mode.QUICK if self._engine.config.integrity_quick_mode else Mode.FULL
        spec = JobSpec(new_attempt_id(), entry.id, "check", entry.path, entry.signature, lease, mode=mode)
        self._engine.move(entry, "check_started", reason=why, next_at=self._engine.clock() + lease)
        self._engine.begin_attempt(spec)
        return spec

    def ended(self, outcome: Checked) -> FileEntry | None:
        """Write a verdict, if the attempt still stands and the file is still the one it speaks of.

        Gives the entry when it is whole and its sound is to be decided about.
        """
        entry = self._engine.end_attempt(outcome.spec.attempt_id)
        if entry is None or entry.integrity_status is not IntegrityStatus.PENDING:
            return None
        verdict = outcome.verdict
        self._store.put_finding(entry.id, verdict=verdict.to_dict(), probe=outcome.probe)
        reason = str(verdict.reason or "")
        failures = entry.failures_in_row + 1
        match verdict.status:
            case IntegrityStatus.COMPLETE:
                self._engine.move(
                    entry, "check_passed", next_at=self._engine.clock(), failures_in_row=0, incomplete_in_row=0
                )
                return entry if entry.processed_status is ProcessedStatus.NEW else None
            case IntegrityStatus.INCOMPLETE:
                self._failed(entry, verdict, failures)
            case _:
                soon = verdict.reason is Reason.CHANGED_WHILE_CHECKING
                look_at = (
                    self._engine.first_look(self._engine.clock(), "closed") if soon else self._engine.backoff(failures)
                )
                changes = {"failures_in_row": failures, "waits_for": f"another try: {verdict.sentence()}"}
                self._engine.move(entry, "check_undecided", reason=reason, next_at=look_at, **changes)
        return None

    def _failed(self, entry: FileEntry, verdict: Verdict, failures: int) -> None:
        self._engine.promote_duplicates(entry)
        reason = str(verdict.reason or "")
        times = entry.incomplete_in_row + 1
        counts = {"failures_in_row": failures, "incomplete_in_row": times}
        if verdict.reason is Reason.NOT_MEDIA:
            self._engine.move(entry, "check_failed", reason=reason, next_at=None, **counts)
            if machine.may(entry.processed_status, "ignored"):
                self._engine.move(entry, "ignored", reason=reason, next_at=None)
        elif times >= self._engine.config.quarantine_threshold:
            self._engine.move(entry, "check_failed", reason=reason, next_at=None, **counts)
            self._engine.move(entry, "gave_up", reason=reason, next_at=None)
        else:
            changes = {**counts, "waits_for": f"another look: {verdict.sentence()}"}
            self._engine.move(entry, "check_failed", reason=reason, next_at=self._engine.backoff(failures), **changes)

    def recover(self) -> None:
        """Give back the checks that a stop has interrupted: nobody runs them, and they left nothing on disk."""
        for attempt in self._store.attempts():
            if attempt.kind == "check":
                with self._engine.turn():
                    entry = self._engine.end_attempt(attempt.id)
                    if entry is not None and entry.integrity_status is IntegrityStatus.PENDING:
                        self._engine.move(
                            entry, "lease_expired", reason="the service was stopped", next_at=self._engine.clock()
                        )
