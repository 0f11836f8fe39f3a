"""What people ask the database, on a real one, beside its writer."""

import os

import pytest

from watcher.rules.statuses import IntegrityStatus as I
from watcher.rules.statuses import ProcessedStatus as P
from watcher.service.jobs import JobSpec
from watcher.store import reports, stories
from watcher.store.store import StateStore


@pytest.fixture
def reader(bench):
    """A read-only store beside the one that writes."""
    with StateStore(bench.store.path, read_only=True) as store:
        yield store


def drop(bench, *names):
    for name in names:
        bench.write(name)
    bench.see(*names)


def judge(bench, name, *moves):
    for move in moves:
        bench.engine.move(bench.entry(name), move, reason=f"because of {move}", next_at=None)


def test_counts_tell_every_status_and_leave_out_what_is_gone(bench, reader):
    """A file that is gone from disk is in no number but its own."""
    drop(bench, "a.mkv", "b.mkv", "c.mkv", "gone.mkv")
    judge(bench, "a.mkv", "check_started", "check_passed", "has_stereo")
    judge(bench, "b.mkv", "check_started", "check_failed")
    bench.engine.gone(bench.entry("gone.mkv"))
    counts = reports.counts(reader)
    assert (counts.total, counts.gone) == (3, 1)
    assert {status: n for status, n in counts.integrity.items() if n} == {I.COMPLETE: 1, I.INCOMPLETE: 1, I.UNKNOWN: 1}
    assert {status: n for status, n in counts.processed.items() if n} == {P.SKIPPED_HAS_EN2: 1, P.NEW: 2}
    assert set(counts.integrity) == set(I)
    assert reports.counts(reader, b"/elsewhere").total == 0
    assert reports.counts(reader, os.fsencode(bench.root)).total == 3


def test_what_is_next_comes_in_the_order_of_time_whatever_kind_of_work_it_is(bench, reader):
    """Files to be checked and files to be processed are one list; what is being worked on is not in it."""
    drop(bench, "late.mkv", "whole.mkv", "early.mkv", "busy.mkv", "done.mkv")
    judge(bench, "whole.mkv", "check_started", "check_passed")
    judge(bench, "done.mkv", "check_started", "check_passed", "has_stereo")
    for name, at in (("late.mkv", 9000), ("whole.mkv", 5000), ("early.mkv", 1000), ("busy.mkv", 1)):
        bench.store.update_entry(bench.entry(name), next_check_at_ms=at, waits_for=f"why {name}")
    busy = bench.entry("busy.mkv")
    bench.engine.begin_attempt(JobSpec("a1", busy.id, "check", busy.path, busy.signature, 60.0))
    found = reports.upcoming(reader, 10, 0)
    assert reports.by_time(reader, 10) == found
    assert [(entry.path, entry.at_ms, entry.waits_for) for entry in found] == [
        (bench.path("early.mkv"), 1000, "why early.mkv"),
        (bench.path("whole.mkv"), 5000, "why whole.mkv"),
        (bench.path("late.mkv"), 9000, "why late.mkv"),
    ]
    assert len(reports.upcoming(reader, 2, 0)) == 2
    found = [(os.path.basename(entry.path), entry.waits_for) for entry in reports.upcoming(reader, 10, 6000)]
    assert found == [(b"whole.mkv", "its turn"), (b"early.mkv", "its turn"), (b"late.mkv", "why late.mkv")]
    assert [(job.path, job.kind) for job in reports.jobs(reader)] == [(bench.path("busy.mkv"), "check")]
    bench.store.update_root(bench.root_id, suspended_because="its disk is away")
    assert reports.upcoming(reader, 10, 6000) == []


def test_a_listing_is_filtered_and_in_the_order_of_folders_and_names(bench, reader):
    """By either status, by root, or by all of them; rows come one at a time."""
    odd = b"b\n \xff.mkv"
    drop(bench, "z/a.mkv", "b.mkv", "a.mkv", odd)
    judge(bench, "b.mkv", "check_started", "check_passed")
    every = stories.listed(reader)
    assert next(every).path == bench.path("a.mkv")
    assert [entry.path for entry in every] == [bench.path(odd), bench.path("b.mkv"), bench.path("z/a.mkv")]
    whole = list(stories.listed(reader, I.COMPLETE, P.NEW, os.fsencode(bench.root)))
    assert [(entry.path, entry.size_bytes, entry.reason) for entry in whole] == [
        (bench.path("b.mkv"), 4, "because of check_passed")
    ]
    assert list(stories.listed(reader, I.COMPLETE, P.CONVERTED)) == []
    assert list(stories.listed(reader, root=b"/elsewhere")) == []


def test_a_story_holds_every_move_in_order_and_what_was_found(bench, reader):
    """The last line of the journal says what the row says."""
    drop(bench, "sub/film.mkv")
    judge(bench, "sub/film.mkv", "check_started", "check_passed", "conversion_failed")
    bench.store.put_finding(
        bench.entry("sub/film.mkv").id, verdict={"status": "complete"}, proof={"failed": "no_space"}
    )
    story = stories.story(reader, bench.path("sub/film.mkv"))
    assert [(line.subject, line.move, line.before, line.after) for line in story.journal] == [
        ("integrity", "check_started", "unknown", "pending"),
        ("integrity", "check_passed", "pending", "complete"),
        ("processed", "conversion_failed", "new", "convert_failed"),
    ]
    assert story.journal[-1].after == story.file.processed
    assert (story.verdict, story.decision, story.proof) == ({"status": "complete"}, None, {"failed": "no_space"})
    assert (story.root, story.running) == (os.fsencode(bench.root), None)
    assert stories.story(reader, bench.path("sub/other.mkv")) is None
    assert stories.story(reader, b"/elsewhere/film.mkv") is None


def test_roots_tell_their_state(bench, reader):
    """How many files each has, when it was scanned, and why it is suspended."""
    drop(bench, "a.mkv", "b.mkv")
    bench.store.update_root(bench.root_id, last_scan_ms=5, suspended_because="gone", suspended_since_ms=7)
    (root,) = reports.roots(reader)
    assert (root.path, root.files, root.last_scan_ms) == (os.fsencode(bench.root), 2, 5)
    assert (root.suspended_because, root.suspended_since_ms) == ("gone", 7)


def test_the_work_left_is_what_is_not_settled(bench, reader):
    """A file that rests is done, whatever came of it."""
    drop(bench, "a.mkv", "b.mkv")
    assert reports.work_left(reader, os.fsencode(bench.root)) == (2, 2)
    judge(bench, "a.mkv", "check_started", "check_failed", "gave_up")
    assert reports.work_left(reader, os.fsencode(bench.root)) == (1, 2)
