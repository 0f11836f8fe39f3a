"""Random histories of files, jobs and crashes on a real database; what must always hold is asked after each step."""

import os
import shutil
import tempfile
from pathlib import Path

from helpers import Bench
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from watcher.rules import machine, planner
from watcher.rules.signature import Signature
from watcher.rules.stability import Observation
from watcher.rules.statuses import IntegrityStatus as I
from watcher.rules.statuses import Mode, Reason
from watcher.rules.statuses import ProcessedStatus as P
from watcher.rules.verdict import Verdict
from watcher.service.jobs import Checked

NAMES = st.sampled_from([b"a.mkv", b"b.mp4", b"sub/c \xff\n.mkv", b"-d'%s.mkv"])
VERDICTS = st.sampled_from(
    [
        Verdict(I.COMPLETE, Mode.FULL),
        Verdict(I.INCOMPLETE, Mode.FULL, Reason.TRUNCATED),
        Verdict(I.INCOMPLETE, Mode.FULL, Reason.DAMAGED),
        Verdict(I.INCOMPLETE, Mode.FULL, Reason.NOT_MEDIA),
        Verdict(I.ERROR, Mode.FULL, Reason.TIMEOUT),
        Verdict(I.ERROR, Mode.FULL, Reason.CHANGED_WHILE_CHECKING),
    ]
)


class Histories(RuleBasedStateMachine):
    @initialize()
    def begin(self):
        self.folder = Path(tempfile.mkdtemp())
        self.bench = Bench(self.folder, quarantine_threshold=3)
        self.jobs = {}
        self.count = 0

    def teardown(self):
        if hasattr(self, "bench"):
            self.bench.store.close()
            shutil.rmtree(self.folder)

    # --- what people and their programs do

    @rule(name=NAMES, seen=st.booleans(), evidence=st.sampled_from(["", "closed", "moved_in"]))
    def write(self, name, seen, evidence):
        self.count += 1
        self.bench.write(name, b"x" * self.count)
        if seen:
            self.bench.see(name, evidence=evidence)

    @rule(name=NAMES, seen=st.booleans())
    def delete(self, name, seen):
        if os.path.lexists(self.bench.path(name)):
            os.unlink(self.bench.path(name))
        if seen:
            self.bench.see(name)

    @rule(old=NAMES, new=NAMES, first=st.booleans())
    def rename(self, old, new, first):
        if os.path.lexists(self.bench.path(old)) and old != new:
            os.makedirs(os.path.dirname(self.bench.path(new)), exist_ok=True)
            os.rename(self.bench.path(old), self.bench.path(new))
            for name in (old, new) if first else (new, old):
                self.bench.see(name)

    @rule()
    def scan(self):
        known = {row[0] for row in self.bench.store.sql("SELECT name FROM file_entry")}
        for name in (b"a.mkv", b"b.mp4", b"sub/c \xff\n.mkv", b"-d'%s.mkv"):
            if os.path.lexists(self.bench.path(name)) or name.rpartition(b"/")[2] in known:
                self.bench.see(name, hinted=False)

    @rule(seconds=st.sampled_from([1, 3, 61, 700, -3600]))
    def time_passes(self, seconds):
        self.bench.clock.forward(seconds)

    # --- what the service does

    def due(self):
        found = []
        for complete in (False, True):
            found += self.bench.store.due(
                complete=complete, now_ms=self.bench.engine.now_ms(), limit=100, root_ids=[self.bench.root_id]
            )
        return found

    @rule(writer=st.sampled_from(["busy", "free", "unknown"]), whole=st.sampled_from([True, False, None]))
    def turn(self, writer, whole):
        for entry in self.due():
            try:
                seen = Observation(Signature.of(os.lstat(entry.path)), writer, "lease", whole)
            except FileNotFoundError:
                seen = Observation(None)
            with self.bench.engine.turn():
                action = self.bench.engine.settle(entry, seen)
                if isinstance(action, planner.Check):
                    spec = self.bench.checks.begin(entry, action.why)
                    if spec is not None:  # else what is known of this content was the answer
                        self.jobs[spec.attempt_id] = spec
                elif isinstance(action, planner.Convert):
                    self.bench.engine.move(entry, "has_stereo", next_at=None)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), verdict=VERDICTS)
    def a_check_ends(self, data, verdict):
        attempt = data.draw(st.sampled_from(sorted(self.jobs)))
        spec = self.jobs.pop(attempt)
        with self.bench.engine.turn():
            self.bench.checks.ended(Checked(spec, verdict, {"format": {"format_name": "x"}}))

    @rule()
    def crash(self):
        """A kill -9: what is in memory is lost, the database is opened anew."""
        clock = self.bench.clock
        self.bench.store.close()
        self.bench = Bench(self.folder, quarantine_threshold=3)
        self.bench.clock = self.bench.engine.clock = clock
        self.jobs = {}
        self.bench.checks.recover()

    # --- what must always hold

    def rows(self):
        return [self.bench.store.entry(row[0]) for row in self.bench.store.sql("SELECT id FROM file_entry").fetchall()]

    @invariant()
    def the_last_journal_line_of_a_file_equals_its_row(self):
        for entry in self.rows() if hasattr(self, "bench") else ():
            for subject, status in (("integrity", entry.integrity_status), ("processed", entry.processed_status)):
                last = self.bench.store.sql(
                    'SELECT "after" FROM journal WHERE entry_id = ? AND subject = ? ORDER BY id DESC LIMIT 1',
                    (entry.id, subject),
                ).fetchone()
                assert status == (last[0] if last else {"integrity": I.UNKNOWN, "processed": P.NEW}[subject])

    @invariant()
    def every_journal_line_is_a_move_of_the_table_and_continues_the_one_before(self):
        if not hasattr(self, "bench"):
            return
        at = {}
        kinds = {"integrity": I, "processed": P}
        for entry, subject, move, before, after in self.bench.store.sql(
            'SELECT entry_id, subject, move, "before", "after" FROM journal ORDER BY id'
        ):
            if subject in kinds:
                kind = kinds[subject]
                assert at.get((entry, subject), str(next(iter(kind)))) == before
                assert machine.after(kind(before), move) == after
                at[entry, subject] = after

    @invariant()
    def a_file_takes_the_turns_of_its_folders_root(self):
        for entry in self.rows() if hasattr(self, "bench") else ():
            assert entry.root_id == entry.folder.root_id

    @invariant()
    def no_file_is_stranded(self):
        """A file that is there and not finished has a time at which it is looked at again."""
        for entry in self.rows() if hasattr(self, "bench") else ():
            finished = entry.integrity_status is I.QUARANTINED or entry.processed_status is not P.NEW
            if entry.missing_since_ms is None and not finished:
                assert entry.next_check_at_ms is not None

    @invariant()
    def a_pending_file_has_an_attempt(self):
        for entry in self.rows() if hasattr(self, "bench") else ():
            if entry.integrity_status is I.PENDING:
                assert self.bench.store.attempt_of(entry.id) is not None


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
