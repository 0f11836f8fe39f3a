"""What was seen on disk becomes rows: new, changed, moved, gone and back."""

import os

import pytest
from helpers import Bench
from silent import silent

from watcher.rules.signature import Signature
from watcher.rules.statuses import IntegrityStatus as I
from watcher.rules.statuses import ProcessedStatus as P
from watcher.service.intake import Sighting


def judge(bench, name, processed="has_stereo"):
    """Give a film the statuses of one that was worked off."""
    entry = bench.entry(name)
    with bench.engine.turn():
        bench.engine.move(entry, "check_started", next_at=None)
        bench.engine.move(entry, "check_passed", next_at=None)
        bench.engine.move(entry, processed, next_at=None)


def test_a_new_file_waits_the_whole_time_and_one_that_was_closed_the_settle_time(bench):
    bench.write("a.mkv")
    bench.write("b.mkv")
    bench.see("a.mkv")
    taken = bench.see("b.mkv", evidence="closed")
    assert taken.added == 1
    now_ms = int(bench.clock.now * 1000)
    assert bench.entry("a.mkv").next_check_at_ms == now_ms + 60_000
    assert bench.entry("b.mkv").next_check_at_ms == now_ms + 2_000


def test_seeing_an_unchanged_judged_file_again_writes_nothing(bench):
    bench.write("a.mkv")
    bench.see("a.mkv")
    judge(bench, "a.mkv")
    before = bench.store.sql("PRAGMA data_version").fetchone(), bench.journal("a.mkv")
    assert not bench.see("a.mkv").any()
    assert (bench.store.sql("PRAGMA data_version").fetchone(), bench.journal("a.mkv")) == before
    assert bench.entry("a.mkv").next_check_at_ms is None


def test_a_changed_file_is_unknown_and_new_again_whatever_it_was(bench):
    bench.write("a.mkv")
    bench.see("a.mkv")
    judge(bench, "a.mkv")
    bench.write("a.mkv", b"another film")
    assert bench.see("a.mkv", evidence="closed").changed == 1
    entry = bench.entry("a.mkv")
    assert (entry.integrity_status, entry.processed_status) == (I.UNKNOWN, P.NEW)
    assert entry.size_bytes == len(b"another film")
    assert bench.journal("a.mkv")[-2:] == ["content_changed", "content_changed"]


def test_growth_resets_the_backoff(bench):
    bench.write("a.mkv")
    bench.see("a.mkv")
    entry = bench.entry("a.mkv")
    bench.store.update_entry(entry, failures_in_row=4, incomplete_in_row=4)
    bench.write("a.mkv", b"grown a little")
    bench.see("a.mkv")
    entry = bench.entry("a.mkv")
    assert (entry.failures_in_row, entry.incomplete_in_row) == (0, 0)


def test_a_file_that_changes_after_it_was_judged_tells_how_long_its_writer_paused(bench):
    bench.write("a.mkv")
    bench.see("a.mkv")
    judge(bench, "a.mkv")
    bench.clock.forward(75)
    bench.write("a.mkv", b"the writer went on")
    bench.see("a.mkv")
    assert bench.entry("a.mkv").longest_gap_ms == 75_000


def test_a_renamed_file_keeps_its_row_and_its_statuses(bench):
    bench.write("sub/a.mkv")
    bench.see("sub/a.mkv")
    judge(bench, "sub/a.mkv")
    before = bench.entry("sub/a.mkv").id
    os.rename(bench.path("sub/a.mkv"), bench.path(b"b \xff.mkv"))
    taken = bench.see(b"b \xff.mkv", "sub/a.mkv")
    assert (taken.moved, taken.added, taken.gone) == (1, 0, 0)
    entry = bench.entry(b"b \xff.mkv")
    assert (entry.id, entry.integrity_status, entry.next_check_at_ms) == (before, I.COMPLETE, None)
    assert bench.journal(b"b \xff.mkv")[-1] == "moved"


def test_a_file_first_seen_gone_and_then_elsewhere_is_still_the_same(bench):
    bench.write("a.mkv")
    bench.see("a.mkv")
    before = bench.entry("a.mkv").id
    os.rename(bench.path("a.mkv"), bench.path("b.mkv"))
    assert bench.see("a.mkv").gone == 1
    assert bench.see("b.mkv").moved == 1
    entry = bench.entry("b.mkv")
    assert (entry.id, entry.missing_since_ms) == (before, None)
    assert entry.next_check_at_ms is not None


def test_a_hard_link_is_a_row_of_its_own(bench):
    bench.write("a.mkv")
    bench.see("a.mkv")
    os.link(bench.path("a.mkv"), bench.path("b.mkv"))
    assert bench.see("b.mkv").added == 1
    assert bench.entry("a.mkv").id != bench.entry("b.mkv").id


def test_a_reused_inode_is_a_new_file(bench):
    bench.write("a.mkv")
    bench.see("a.mkv")
    os.rename(bench.path("a.mkv"), bench.path("b.mkv"))
    bench.write("b.mkv", b"same inode, other content")
    taken = bench.see("b.mkv")
    assert (taken.added, taken.moved) == (1, 0)


def test_a_file_that_is_gone_keeps_its_statuses_and_has_them_when_it_is_back(bench):
    bench.write("a.mkv")
    bench.see("a.mkv")
    judge(bench, "a.mkv")
    os.rename(bench.path("a.mkv"), bench.root.parent / "away.mkv")
    assert bench.see("a.mkv").gone == 1
    entry = bench.entry("a.mkv")
    assert entry.missing_since_ms is not None
    assert entry.next_check_at_ms is None
    os.rename(bench.root.parent / "away.mkv", bench.path("a.mkv"))
    assert bench.see("a.mkv").back == 1
    entry = bench.entry("a.mkv")
    assert (entry.integrity_status, entry.processed_status, entry.next_check_at_ms) == (
        I.COMPLETE,
        P.SKIPPED_HAS_EN2,
        None,
    )


def test_what_is_said_to_be_gone_and_stands_there_is_not_gone(bench):
    from watcher.service.intake import Sighting

    bench.write("a.mkv")
    bench.see("a.mkv")
    taken = bench.intake.take(bench.root_id, [Sighting(b"", gone=[b"a.mkv"])])
    assert taken.gone == 0
    assert bench.entry("a.mkv").missing_since_ms is None


def test_a_change_under_a_running_check_cancels_it_and_nothing_starts_until_its_process_is_gone(bench):
    bench.write("a.mkv")
    bench.see("a.mkv")
    with bench.engine.turn():
        spec = bench.checks.begin(bench.entry("a.mkv"), "quiet")
    bench.write("a.mkv", b"changed meanwhile")
    bench.see("a.mkv")
    assert bench.engine.take_cancels() == [spec.attempt_id]
    bench.clock.forward(10_000)
    due = {"complete": False, "now_ms": bench.engine.now_ms(), "limit": 9, "root_ids": [bench.root_id]}
    assert bench.store.due(**due) == []
    bench.engine.end_attempt(spec.attempt_id)
    assert [entry.id for entry in bench.store.due(**due)] == [bench.entry("a.mkv").id]


def test_the_original_gone_makes_its_duplicate_the_original(bench):
    bench.write("Film.mkv")
    bench.write("Film.mp4")
    bench.see("Film.mkv", "Film.mp4")
    group = bench.store.group_of(bench.entry("Film.mkv").folder_id, b"Film")
    for name in ("Film.mkv", "Film.mp4"):
        bench.store.update_entry(bench.entry(name), group=group)
    with bench.engine.turn():
        bench.engine.move(bench.entry("Film.mp4"), "is_duplicate", next_at=None)
    os.unlink(bench.path("Film.mkv"))
    bench.see("Film.mkv")
    entry = bench.entry("Film.mp4")
    assert entry.processed_status is P.NEW
    assert entry.next_check_at_ms is not None


def test_a_disk_that_falls_silent_while_its_news_are_taken_in_holds_up_nobody_and_changes_nothing(tmp_path):
    bench = Bench(tmp_path, answer_within_sec=0.2)
    bench.write("a.mkv")
    bench.see("a.mkv")
    judge(bench, "a.mkv")
    bench.write("b.mkv")
    strange = Signature.of(os.lstat(bench.write("a.mkv", b"another film")))
    raw = (strange.device, strange.inode, strange.size_bytes, strange.mtime_ns, strange.blocks)
    news = [Sighting(b"", [(b"a.mkv", raw)]), Sighting(b"", [], [b"b.mkv"])]
    before = bench.journal("a.mkv")
    with silent(bench.root), pytest.raises(TimeoutError):
        bench.intake.take(bench.root_id, news)
    assert bench.journal("a.mkv") == before
    assert bench.entry("a.mkv").processed_status is P.SKIPPED_HAS_EN2
    assert bench.intake.take(bench.root_id, news).changed == 1
