"""The engine: the one place that changes a status.

It runs in the store's thread, one turn at a time. A turn is one transaction; when it is committed, one line is logged
for each move made in it. Whether a move is legal is `rules/machine`'s business, what is to be done next is
`rules/planner`'s; the engine carries it out and gives every row its next time.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from watcher.rules import machine, names, planner, stability
from watcher.rules.stability import Evidence, Observation, Settling, Waiting
from watcher.rules.statuses import IntegrityStatus, ProcessedStatus
from watcher.service import counting
from watcher.service.metrics import StateMetrics, get_metrics
from watcher.service.pairs import Pairs
from watcher.service.telling import Told, tell
from watcher.store.store import signature_columns

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator, Sequence

    from watcher.config import StateConfig
    from watcher.rules.signature import Signature
    from watcher.service.jobs import JobSpec
    from watcher.store.models import Attempt, FileEntry
    from watcher.store.store import StateStore

LEASE_MARGIN_SEC = 60.0
"""What a job's own time limit does not count: waiting for a process slot, ending a process that will not."""

_FINAL = frozenset(ProcessedStatus) - {ProcessedStatus.NEW, ProcessedStatus.CONVERT_FAILED}


class Engine:
    """Moves and their times. Owns every write to a status; everyone else asks it."""

    def __init__(
        self, store: StateStore, config: StateConfig, dice: random.Random, clock: Callable[[], float] = time.time
    ) -> None:
        self.store = store
        self.configure(config)
        self.clock = clock
        self._dice = dice
        self._lines: list[Told] = []
        self._jobs: dict[int, str] = {}
        """Entry id -> the attempt that began or ended in this turn."""
        self._cancels: list[str] = []
        self.metrics = get_metrics() if config.enable_metrics else StateMetrics(enabled=False)
        self._depth = 0
        self.pairs = Pairs(self) if config.audio.output == "sidecar" else None

    def configure(self, config: StateConfig) -> None:
        """Take settings; from now on every part that asks has these."""
        self.config = config
        self.name_rules = config.name_rules()
        self.waiting = Waiting(config.stable_wait_sec, config.settle_sec)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Make everything inside one transaction; log its moves when it is committed, and forget them if it is not."""
        mark = len(self._lines), len(self._cancels)
        self._depth += 1
        try:
            with self.store.transaction():
                yield
                if self._depth == 1 and self.pairs is not None:
                    self.pairs.settle()
        except BaseException:
            del self._lines[mark[0] :], self._cancels[mark[1] :]
            raise
        finally:
            self._depth -= 1
        if mark[0] == 0:
            lines, self._lines = self._lines, []
            jobs, self._jobs = self._jobs, {}
            for line in lines:
                counting.moved(self.metrics, line.move, line.reason)
            tell(lines, jobs)

    def take_cancels(self) -> list[str]:
        """Give the attempts that must stop since their file is not what they were decided on."""
        cancels, self._cancels = self._cancels, []
        return cancels

    # --- the moves

    def move(
        self,
        entry: FileEntry,
        move: str,
        *,
        reason: str = "",
        next_at: float | None,
        detail: str = "",
        said: Sequence[str] = (),
        **changes: Any,
    ) -> None:
        """Make one move of the status whose table has it; `next_at` (epoch seconds) is when the row is looked at next.

        `detail` (the reason in words) and `said` (what FFmpeg said) are for the log line, `changes` for the row. Raises IllegalMove, and changes nothing, when the table does not have the move.
        """
        subject = "integrity" if move in _INTEGRITY_MOVES else "processed"
        self._move(entry, subject, move, reason, next_at, changes, detail, said)

    def _move(
        self,
        entry: FileEntry,
        subject: str,
        move: str,
        reason: str,
        next_at: float | None,
        changes: dict[str, Any],
        detail: str = "",
        said: Sequence[str] = (),
    ) -> None:
        before = entry.integrity_status if subject == "integrity" else entry.processed_status
        after = machine.after(before, move, subject=names.readable(entry.path))
        changes = {"next_check_at_ms": _ms(next_at), "waits_for": "", **changes}
        self.store.record_move(entry, subject, move, after, reason=reason, at_ms=self.now_ms(), **changes)
        words = (move, before.name, after.name, reason, detail, tuple(said), entry.failures_in_row)
        self._lines.append(Told(entry.id, entry.path, entry.folder.root.path, *words))
        self._touch(entry)

    def _touch(self, entry: FileEntry) -> None:
        if self.pairs is not None:
            self.pairs.touch(entry)

    def now_ms(self) -> int:
        """Give the time as the database keeps it."""
        return int(self.clock() * 1000)

    def note_path(self, entry: FileEntry, move: str, before: bytes, after: bytes) -> None:
        """Journal and log that a file came to stand elsewhere, was gone or came back."""
        old, new = names.readable(before), names.readable(after)
        self.store.note(entry, "path", move, old, new, reason="", at_ms=self.now_ms())
        self._lines.append(Told(entry.id, after or before, entry.folder.root.path, move, before, after))
        self._touch(entry)

    # --- what intake and scans report

    def content_changed(self, entry: FileEntry, seen: Signature, evidence: Evidence) -> None:
        """Take over the signature of new content: whatever was known about the old one is void."""
        now = self.clock()
        judged = entry.integrity_status not in (IntegrityStatus.UNKNOWN, IntegrityStatus.PENDING)
        gap = entry.longest_gap_ms / 1000
        if judged and seen.inode == entry.inode:  # another file under the name is no writer that paused
            gap = stability.gap_after(entry.quiet_since_ms / 1000, now, gap)
        changes = {
            **signature_columns(seen),
            "quiet_since_ms": _ms(now),
            "evidence": evidence,
            "longest_gap_ms": _ms(gap),
            "failures_in_row": 0,
            "incomplete_in_row": 0,
            "missing_since_ms": None,
            "made_from": None,
        }
        look_at = self.first_look(now, evidence)
        self.cancel_attempt(entry)
        if entry.integrity_status is not IntegrityStatus.UNKNOWN:
            self._move(entry, "integrity", "content_changed", "", look_at, {})
        if entry.processed_status is not ProcessedStatus.NEW:
            self._move(entry, "processed", "content_changed", "", look_at, {})
        self.store.update_entry(
            entry, **changes, next_check_at_ms=_ms(look_at), waits_for="the file is still changing", reason=""
        )

    def hinted(self, entry: FileEntry, evidence: Evidence) -> None:
        """Begin the quiet time of a file that is still being waited for anew: somebody touched it."""
        if entry.integrity_status is IntegrityStatus.UNKNOWN:
            now = self.clock()
            kept = evidence or entry.evidence
            look_at = self.first_look(now, kept)
            self.store.update_entry(entry, quiet_since_ms=_ms(now), evidence=kept, next_check_at_ms=_ms(look_at))

    def first_look(self, now: float, evidence: str) -> float:
        """Give the time of the next look at a file that was touched now."""
        return now + (self.config.settle_sec if evidence else self.config.stable_wait_sec)

    def gone(self, entry: FileEntry) -> None:
        """Note that a file is not there any more. Its statuses stay: it may come back, or turn up elsewhere."""
        if entry.missing_since_ms is None:
            self.cancel_attempt(entry)
            self.store.update_entry(entry, missing_since_ms=self.now_ms(), next_check_at_ms=None, waits_for="")
            self.note_path(entry, "gone", entry.path, b"")
            self.promote_duplicates(entry)
        elif entry.next_check_at_ms is not None:
            self.store.update_entry(entry, next_check_at_ms=None, waits_for="")

    def back(self, entry: FileEntry, evidence: Evidence) -> None:
        """Note that a file that was gone is there again, with the content it had."""
        now = self.clock()
        rests = entry.integrity_status is IntegrityStatus.COMPLETE and entry.processed_status in _FINAL
        look_at = None if rests else self.first_look(now, evidence)
        self.store.update_entry(
            entry, missing_since_ms=None, quiet_since_ms=_ms(now), evidence=evidence, next_check_at_ms=_ms(look_at)
        )
        self.note_path(entry, "back", b"", entry.path)

    def settled_elsewhere(self, entry: FileEntry) -> None:
        """Give a file that was gone, and turned up under another name, its next look again."""
        rests = entry.integrity_status is IntegrityStatus.COMPLETE and entry.processed_status in _FINAL
        if entry.next_check_at_ms is None and not rests:
            self.store.update_entry(entry, next_check_at_ms=_ms(self.first_look(self.clock(), "moved_in")))

    def cancel_attempt(self, entry: FileEntry) -> None:
        """Have the attempt that works on an entry stopped; its row stays until its process is gone."""
        attempt = self.store.attempt_of(entry.id)
        if attempt is not None:
            self._cancels.append(attempt.id)
            if entry.integrity_status is IntegrityStatus.PENDING:
                self._move(entry, "integrity", "check_cancelled", "", self.clock(), {})

    def leaves_group(self, entry: FileEntry) -> None:
        """Before a film takes another name: it makes room for its duplicates, and is none any more itself."""
        if self.pairs is not None:
            self.pairs.left(entry)
        if entry.processed_status is ProcessedStatus.DUPLICATE:
            self.move(entry, "becomes_original", reason="renamed", next_at=self.clock())
        else:
            self.promote_duplicates(entry)

    def promote_duplicates(self, entry: FileEntry) -> None:
        """Have a duplicate of this film, which is gone or not whole, decided about anew."""
        if entry.group_id is None:
            return
        for other in self.store.members_of(entry.group_id):
            if other.processed_status is ProcessedStatus.DUPLICATE and other.missing_since_ms is None:
                self.move(other, "becomes_original", reason="no_original", next_at=self.clock())
                return

    # --- what the planner decides

    def settle(self, entry: FileEntry, seen: Observation) -> planner.Action:
        """Plan for one due entry and carry out what needs no long work; gives the action for the rest."""
        now = self.clock()
        known = Settling(
            entry.signature, entry.quiet_since_ms / 1000, cast("Evidence", entry.evidence), entry.longest_gap_ms / 1000
        )
        has_probe = entry.integrity_status is IntegrityStatus.COMPLETE and bool(self.store.finding(entry.id).probe)
        due = planner.Due(entry.integrity_status, entry.processed_status, known, has_probe)
        action = planner.plan(due, seen, self.waiting, now)
        match action:
            case planner.Wait():
                self.store.update_entry(entry, next_check_at_ms=_ms(action.until), waits_for=action.why)
            case planner.Changed():
                assert seen.signature is not None  # noqa: S101 - the planner looked
                self.content_changed(entry, seen.signature, "")
            case planner.Gone():
                self.gone(entry)
            case planner.LeaseExpired():
                self.move(entry, "lease_expired", reason="nobody runs the check any more", next_at=now)
            case planner.Retry():
                self.move(entry, "retry", reason="its waiting time is over", next_at=now)
            case planner.PairLost():
                self.move(entry, "pair_lost", reason="its sibling did not come", next_at=now)
            case planner.Rest():
                self.store.update_entry(entry, next_check_at_ms=None, waits_for="")
        return action

    def backoff(self, times_in_a_row: int) -> float:
        """Give the time of the next look after the n-th failure in a row, with its jitter."""
        wait = planner.backoff_sec(
            times_in_a_row, self.config.backoff_step_sec, self.config.backoff_max_sec, self._dice.random()
        )
        self.metrics.record_timing("backoff", wait)
        return self.clock() + wait

    # --- attempts

    def begin_attempt(self, spec: JobSpec) -> None:
        """Write the row that says that this job runs; where it goes on with an interrupted one, in its place."""
        now, kept = self.clock(), self.store.attempt(spec.attempt_id)
        if kept is not None:
            self.store.end_attempt(kept.id)
        self._jobs[spec.entry_id] = spec.attempt_id
        self.store.begin_attempt(
            id=spec.attempt_id,
            entry=spec.entry_id,
            kind=spec.kind,
            started_at_ms=_ms(now),
            lease_until_ms=_ms(now + spec.lease_sec),
            progress=kept.progress if kept is not None else 0.0,
            source=signature_columns(spec.signature),
            target=spec.target,
            replaces=signature_columns(spec.replaces) if spec.replaces is not None else None,
            temp=spec.temp,
            film=spec.path,
            removes_film=spec.removes_film,
            kept=spec.kept,
        )

    def write_progress(self, running: dict[str, float]) -> None:
        """Write down how far the running jobs are, for those who read the database."""
        with self.store.transaction():
            for attempt, progress in running.items():
                if progress:  # one that has told nothing yet goes on, perhaps, from what is written there
                    self.store.update_attempt(attempt, progress=progress)

    def end_attempt(self, attempt_id: str) -> FileEntry | None:
        """Delete an attempt's row; gives its entry, or None when the attempt was no longer known."""
        attempt: Attempt | None = self.store.attempt(attempt_id)
        if attempt is None:
            return None
        self._jobs[attempt.entry_id] = attempt_id
        self.store.end_attempt(attempt_id)
        return self.store.entry(attempt.entry_id)


_INTEGRITY_MOVES = frozenset(move for move, _, _ in machine.INTEGRITY_MOVES) - {"content_changed"}


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds * 1000)
