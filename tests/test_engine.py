"""Verdicts become moves, and every outcome gives its row a next time."""

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from watcher.errors import IllegalMove
from watcher.rules.statuses import IntegrityStatus as I
from watcher.rules.statuses import Mode, Reason
from watcher.rules.statuses import ProcessedStatus as P
from watcher.rules.verdict import Verdict
from watcher.service.jobs import Checked

WHOLE = Verdict(I.COMPLETE, Mode.FULL)
CUT = Verdict(I.INCOMPLETE, Mode.FULL, Reason.TRUNCATED)
UNDECIDED = Verdict(I.ERROR, Mode.FULL, Reason.TIMEOUT)


@pytest.fixture
def film(bench):
    bench.write("a.mkv")
    bench.see("a.mkv")
    return "a.mkv"


def check(bench, name, verdict):
    """Begin a check and, where a job is needed for it, let it end with this verdict."""
    with bench.engine.turn():
        spec = bench.checks.begin(bench.entry(name), "test")
        if spec is not None:
            bench.checks.ended(Checked(spec, verdict, {"format": {}}))
    return bench.entry(name)


def wait_sec(bench, entry):
    return (entry.next_check_at_ms - bench.clock.now * 1000) / 1000


def test_a_started_check_is_leased_and_has_an_attempt(bench, film):
    with bench.engine.turn():
        spec = bench.checks.begin(bench.entry(film), "quiet")
    entry = bench.entry(film)
    assert entry.integrity_status is I.PENDING
    assert wait_sec(bench, entry) == pytest.approx(spec.lease_sec, abs=0.01)
    assert bench.store.attempt_of(entry.id).id == spec.attempt_id


def test_a_whole_film_is_due_at_once_for_its_sound(bench, film):
    entry = check(bench, film, WHOLE)
    assert entry.integrity_status is I.COMPLETE
    assert wait_sec(bench, entry) == 0
    assert bench.store.attempts() == []
    assert bench.store.finding(entry.id).verdict["status"] == "complete"


def test_each_incomplete_verdict_doubles_the_wait_and_the_last_one_gives_up(bench, film):
    waits = []
    for _ in range(4):
        waits.append(wait_sec(bench, check(bench, film, CUT)))
        bench.clock.forward(1000)
    assert [round(wait / (30 * 2**n), 1) in (1.0, 1.1) for n, wait in enumerate(waits)] == [True] * 4
    entry = check(bench, film, CUT)
    assert entry.integrity_status is I.QUARANTINED
    assert entry.next_check_at_ms is None


def test_no_number_of_errors_gives_a_file_up(bench, film):
    for _ in range(20):
        entry = check(bench, film, UNDECIDED)
        assert entry.integrity_status is I.ERROR
        assert entry.next_check_at_ms is not None
        bench.clock.forward(1000)
    assert wait_sec(bench, entry) <= 660


def test_what_is_no_film_is_ignored_with_the_reason_and_never_looked_at_again(bench, film):
    entry = check(bench, film, Verdict(I.INCOMPLETE, Mode.QUICK, Reason.NOT_MEDIA))
    assert (entry.integrity_status, entry.processed_status, entry.reason) == (I.INCOMPLETE, P.IGNORED, "not_media")
    assert entry.next_check_at_ms is None


def test_an_outcome_that_comes_after_the_file_changed_is_dropped(bench, film):
    with bench.engine.turn():
        spec = bench.checks.begin(bench.entry(film), "quiet")
    bench.write(film, b"changed")
    bench.see(film)
    with bench.engine.turn():
        bench.checks.ended(Checked(spec, WHOLE, None))
    assert bench.entry(film).integrity_status is I.UNKNOWN
    assert bench.store.attempts() == []


def test_an_illegal_move_changes_neither_row_nor_journal(bench, film):
    entry, before = bench.entry(film), bench.journal(film)
    with pytest.raises(IllegalMove, match=r"a\.mkv"), bench.engine.turn():
        bench.engine.move(entry, "check_passed", next_at=None)
    assert bench.journal(film) == before
    assert bench.entry(film).integrity_status is I.UNKNOWN


def test_a_turn_that_fails_logs_nothing_and_writes_nothing(bench, film, capsys):
    def fail():
        with bench.engine.turn():
            bench.engine.move(bench.entry(film), "check_started", next_at=None)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert bench.journal(film) == []
    assert bench.entry(film).integrity_status is I.UNKNOWN
    assert "check_started" not in capsys.readouterr().out


def test_a_check_that_a_stop_interrupted_is_given_back(bench, film):
    with bench.engine.turn():
        bench.checks.begin(bench.entry(film), "quiet")
    bench.checks.recover()
    entry = bench.entry(film)
    assert entry.integrity_status is I.UNKNOWN
    assert wait_sec(bench, entry) == 0
    assert bench.journal(film) == ["check_started", "lease_expired"]


def test_the_last_journal_line_equals_the_row_after_every_move(bench, film):
    for verdict in (UNDECIDED, CUT, WHOLE):
        check(bench, film, verdict)
        entry = bench.entry(film)
        last = bench.store.sql(
            'SELECT "after" FROM journal WHERE entry_id = ? AND subject = ? ORDER BY id DESC', (entry.id, "integrity")
        ).fetchone()
        assert last[0] == entry.integrity_status
        bench.clock.forward(1000)


def test_the_log_shows_what_ffmpeg_said_and_nothing_else_as_its_words(bench, film):
    evidence = ("structure: it ends too early", "decode: [h264] error while decoding", "probe: moov atom not found")
    with capture_logs() as lines:
        check(bench, film, replace(CUT, evidence=evidence))
    (failed,) = [line for line in lines if line["event"] == "check_failed"]
    assert failed["ffmpeg_stderr"] == "[h264] error while decoding\nmoov atom not found"
    assert failed["detail"].startswith("cut")
