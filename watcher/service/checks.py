"""Checks: started under a lease, ended by a verdict, given back after a stop. In the store's thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from watcher.media import integrity
from watcher.rules import looks, machine
from watcher.rules.statuses import IntegrityStatus, Mode, ProcessedStatus, Reason
from watcher.service.engine import LEASE_MARGIN_SEC
from watcher.service.jobs import JobSpec, new_attempt_id
from watcher.store.store import signature_columns

if TYPE_CHECKING:
    from watcher.rules.looks import Known
    from watcher.rules.verdict import Verdict
    from watcher.service.engine import Engine
    from watcher.service.jobs import Checked
    from watcher.store.models import FileEntry


class Checks:
    """Starts checks, and turns their verdicts into moves and next times."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._store = engine.store

    def begin(self, entry: FileEntry, why: str) -> JobSpec | None:
        """Move an entry to PENDING under a lease and give the job that checks it.

        Nothing is run, and None given, when a verdict as deep already speaks of this very content: it is the answer.
        """
        known = self._store.finding(entry.id).known
        usual = Mode.QUICK if self._engine.config.integrity_quick_mode else Mode.FULL
        mode = looks.mode_of(usual, known, entry.signature)
        if known is not None and known.answers(entry.signature, mode) and self._is_settled(entry, known):
            self._engine.move(entry, "check_started", reason=why, next_at=self._engine.clock())
            self._conclude(entry, known.verdict, known)
            return None
        lease = integrity.time_limit_sec(entry.size_bytes, None) + LEASE_MARGIN_SEC
        spec = JobSpec(new_attempt_id(), entry.id, "check", entry.path, entry.signature, lease, mode=mode)
        self._engine.move(entry, "check_started", reason=why, next_at=self._engine.clock() + lease)
        self._engine.begin_attempt(spec)
        return spec

    def _is_settled(self, entry: FileEntry, known: Known) -> bool:
        """Tell whether a verdict needs no second look: it had one when it has counted."""
        return not known.is_damage_in(entry.signature) or entry.incomplete_in_row > 0

    def ended(self, outcome: Checked) -> FileEntry | None:
        """Write a verdict, if the attempt still stands and the file is still the one it speaks of.

        Gives the entry when it is whole and its sound is to be decided about.
        """
        entry = self._engine.end_attempt(outcome.spec.attempt_id)
        if entry is None or entry.integrity_status is not IntegrityStatus.PENDING:
            return None
        verdict = outcome.verdict
        before = self._store.finding(entry.id).known
        self._store.put_finding(
            entry.id,
            verdict=verdict.to_dict(),
            about=signature_columns(outcome.spec.signature),
            checked_at_ms=self._engine.now_ms(),
            probe=outcome.probe,
        )
        return self._conclude(entry, verdict, before)

    def _conclude(self, entry: FileEntry, verdict: Verdict, before: Known | None) -> FileEntry | None:
        """Make the moves that a verdict leads to; gives a whole entry whose sound is to be decided about."""
        match verdict.status:
            case IntegrityStatus.COMPLETE:
                self._engine.move(
                    entry, "check_passed", next_at=self._engine.clock(), failures_in_row=0, incomplete_in_row=0
                )
                return entry if entry.processed_status is ProcessedStatus.NEW else None
            case IntegrityStatus.INCOMPLETE:
                self._failed(entry, verdict, before)
            case _:
                self._undecided(entry, verdict)
        return None

    def _undecided(self, entry: FileEntry, verdict: Verdict) -> None:
        failures = entry.failures_in_row + 1
        soon = verdict.reason is Reason.CHANGED_WHILE_CHECKING
        look_at = self._engine.first_look(self._engine.clock(), "closed") if soon else self._engine.backoff(failures)
        told = {"detail": verdict.sentence(), "said": verdict.said_by_ffmpeg()}
        waits = f"another try: {verdict.sentence()}"
        changes: dict[str, Any] = {"failures_in_row": failures, "waits_for": waits, **told}
        self._engine.move(entry, "check_undecided", reason=str(verdict.reason or ""), next_at=look_at, **changes)
        if failures >= self._engine.config.quarantine_threshold:
            self._engine.promote_duplicates(entry)  # nobody knows when it can be looked at: its double need not wait

    def _failed(self, entry: FileEntry, verdict: Verdict, before: Known | None) -> None:
        self._engine.promote_duplicates(entry)
        reason = str(verdict.reason or "")
        failures = entry.failures_in_row + 1
        counts = looks.counts(verdict, before, entry.signature)
        times = entry.incomplete_in_row + counts
        changes: dict[str, Any] = {"failures_in_row": failures, "incomplete_in_row": times}
        changes |= {"detail": verdict.sentence(), "said": verdict.said_by_ffmpeg()}
        if verdict.reason is Reason.NOT_MEDIA:
            self._engine.move(entry, "check_failed", reason=reason, next_at=None, **changes)
            if machine.may(entry.processed_status, "ignored"):
                self._engine.move(entry, "ignored", reason=reason, next_at=None)
        elif times >= self._engine.config.quarantine_threshold:
            self._engine.move(entry, "check_failed", reason=reason, next_at=None, **changes)
            self._engine.move(entry, "gave_up", reason=reason, next_at=None)
        else:
            changes["waits_for"] = f"{'another look' if counts else 'a second look'}: {verdict.sentence()}"
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
