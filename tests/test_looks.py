"""Which looks are made at a file: none where the answer is known, a second one before damage counts."""

import os
from dataclasses import replace

import pytest

from watcher.rules import looks
from watcher.rules.looks import Known
from watcher.rules.signature import Signature
from watcher.rules.statuses import IntegrityStatus as I
from watcher.rules.statuses import Mode, Reason
from watcher.rules.verdict import Verdict
from watcher.service import wishes
from watcher.service.jobs import Checked
from watcher.store.store import add_request

SEEN = Signature(1, 2, 3, 4, 8)
WHOLE = Verdict(I.COMPLETE, Mode.FULL)
CUT = Verdict(I.INCOMPLETE, Mode.FULL, Reason.TRUNCATED)
DAMAGED = Verdict(I.INCOMPLETE, Mode.FULL, Reason.DAMAGED)


@pytest.mark.parametrize(
    ("verdict", "seen", "mode", "answers"),
    [
        (WHOLE, SEEN, Mode.FULL, True),
        (WHOLE, SEEN, Mode.QUICK, True),
        (replace(WHOLE, mode=Mode.AUDIO), SEEN, Mode.FULL, False),
        (WHOLE, replace(SEEN, mtime_ns=5), Mode.FULL, False),
        (WHOLE, replace(SEEN, size_bytes=5), Mode.FULL, False),
        (WHOLE, replace(SEEN, inode=5), Mode.FULL, False),
        (WHOLE, replace(SEEN, device=5, blocks=16), Mode.FULL, True),
        (CUT, SEEN, Mode.FULL, True),
        (CUT, replace(SEEN, blocks=16), Mode.FULL, False),
        (Verdict(I.ERROR, Mode.FULL, Reason.TIMEOUT), SEEN, Mode.QUICK, False),
    ],
)
def test_a_verdict_as_deep_about_the_same_content_answers(verdict, seen, mode, answers):
    """The blocks of a whole film settle with the disk; those of a broken one may be its missing part."""
    assert Known(verdict, SEEN, 0).answers(seen, mode) is answers


def test_damage_is_made_sure_of_by_a_full_check():
    quick = Known(replace(DAMAGED, mode=Mode.QUICK), SEEN, 0)
    assert looks.mode_of(Mode.QUICK, quick, SEEN) is Mode.FULL
    assert looks.mode_of(Mode.QUICK, quick, replace(SEEN, mtime_ns=5)) is Mode.QUICK
    assert looks.mode_of(Mode.QUICK, Known(CUT, SEEN, 0), SEEN) is Mode.QUICK
    assert looks.mode_of(Mode.QUICK, None, SEEN) is Mode.QUICK


@pytest.mark.parametrize(
    ("verdict", "before", "counts"),
    [
        (CUT, None, True),
        (DAMAGED, None, False),
        (DAMAGED, CUT, False),
        (DAMAGED, DAMAGED, True),
        (DAMAGED, replace(DAMAGED, mode=Mode.QUICK), True),
        (replace(DAMAGED, mode=Mode.QUICK), DAMAGED, False),
        (replace(DAMAGED, reason=Reason.UNDECODABLE), DAMAGED, True),
    ],
)
def test_damage_counts_when_a_full_check_sees_it_again(verdict, before, counts):
    known = None if before is None else Known(before, SEEN, 0)
    assert looks.counts(verdict, known, SEEN) is counts


# --- the same through the engine, on a real file and database


@pytest.fixture
def film(bench):
    bench.write("a.mkv")
    bench.see("a.mkv")
    return "a.mkv"


def begin(bench, name):
    with bench.engine.turn():
        return bench.checks.begin(bench.entry(name), "test")


def check(bench, name, verdict):
    """Give whether the check needed a job; if it did, the job found this."""
    spec = begin(bench, name)
    if spec is not None:
        with bench.engine.turn():
            bench.checks.ended(Checked(spec, verdict, {"format": {}}))
    return spec is not None


def test_a_cut_film_is_decoded_once_and_given_up_by_what_is_known(bench, film):
    assert [check(bench, film, CUT) for _ in range(5)] == [True, False, False, False, False]
    assert bench.entry(film).integrity_status is I.QUARANTINED
    assert bench.journal(film).count("check_failed") == 5


def test_damage_is_decoded_twice_before_it_counts(bench, film):
    looked = []
    while bench.entry(film).integrity_status is not I.QUARANTINED:
        looked.append(check(bench, film, DAMAGED))
    assert looked == [True, True, False, False, False, False]


def test_damage_that_the_second_look_does_not_find_is_none(bench, film):
    check(bench, film, DAMAGED)
    assert bench.entry(film).waits_for.startswith("a second look")
    check(bench, film, WHOLE)
    entry = bench.entry(film)
    assert (entry.integrity_status, entry.failures_in_row, entry.incomplete_in_row) == (I.COMPLETE, 0, 0)


def test_growth_asks_for_a_new_look_and_forgets_the_failures(bench, film):
    for _ in range(3):
        check(bench, film, CUT)
    bench.write(film, b"film that has grown")
    bench.see(film)
    entry = bench.entry(film)
    assert (entry.integrity_status, entry.failures_in_row, entry.incomplete_in_row) == (I.UNKNOWN, 0, 0)
    assert check(bench, film, WHOLE)
    assert bench.entry(film).integrity_status is I.COMPLETE


def test_a_film_whose_time_was_touched_and_put_back_is_whole_without_a_look(bench, film):
    check(bench, film, WHOLE)
    path, before = bench.path(film), os.stat(bench.path(film))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 10**9))
    bench.see(film)
    assert bench.entry(film).integrity_status is I.UNKNOWN
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    bench.see(film)
    assert not check(bench, film, WHOLE)
    assert bench.entry(film).integrity_status is I.COMPLETE


def test_a_whole_film_of_which_nobody_knows_the_streams_is_looked_at(bench, film):
    check(bench, film, WHOLE)
    bench.store.put_finding(bench.entry(film).id, probe=None)
    assert begin(bench, film) is not None


@pytest.mark.parametrize("wish", ["retry", "release"])
def test_a_person_who_asks_gets_a_look_and_not_what_is_known(bench, film, wish):
    check(bench, film, CUT)
    add_request(bench.store.path, wish, bench.path(film), 0)
    wishes.take(bench.engine)
    assert begin(bench, film) is not None
