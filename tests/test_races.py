"""What comes at a bad moment: news older than the row, a file gone under its job, disks that refuse to clear up."""

import dataclasses
import os
import threading

import pytest

from watcher.errors import ConversionFailed
from watcher.media import replace
from watcher.rules.signature import Signature
from watcher.rules.statuses import IntegrityStatus as I
from watcher.rules.statuses import Mode, Reason
from watcher.rules.statuses import ProcessedStatus as P
from watcher.rules.verdict import Verdict
from watcher.service import landing, work
from watcher.service.conversions import Conversions
from watcher.service.intake import Sighting
from watcher.service.jobs import Checked, Failed, JobSpec, Made
from watcher.service.recovery import Recovery
from watcher.service.temps import Temps

NO_STREAMS = {"streams": [], "format": {"duration": "1"}}


def whole(bench, name, **changes):
    """Bring a film to COMPLETE and NEW."""
    bench.see(name)
    entry = bench.entry(name)
    with bench.engine.turn():
        bench.engine.move(entry, "check_started", next_at=None)
        bench.engine.move(entry, "check_passed", next_at=1, **changes)
    return entry


def converting(bench, name):
    entry = whole(bench, name)
    temp = replace.temp_path(entry.path, "abc123")
    spec = JobSpec(
        "abc123", entry.id, "convert", entry.path, entry.signature, 60, target=entry.path, replaces=entry.signature,
        temp=temp, probe={}, decision={},
    )  # fmt: skip
    with bench.engine.turn():
        bench.engine.begin_attempt(spec)
    with open(temp, "wb") as out:
        out.write(b"new")
    return spec


def test_a_sighting_older_than_the_row_is_no_news(bench):
    path = bench.write("a.mkv", b"half")
    seen = Signature.of(os.lstat(path))
    old = (seen.device, seen.inode, seen.size_bytes, seen.mtime_ns, seen.blocks)
    bench.write("a.mkv", b"all of it")
    whole(bench, "a.mkv")
    bench.intake.take(bench.root_id, [Sighting(b"", [(b"a.mkv", old)])])
    assert bench.entry("a.mkv").integrity_status is I.COMPLETE


def test_a_conversion_that_fails_after_its_film_was_gone_leaves_nothing_due(bench):
    path = bench.write("a.mkv")
    spec = converting(bench, "a.mkv")
    os.unlink(path)
    bench.see("a.mkv")
    with bench.engine.turn():
        Conversions(bench.engine).failed(Failed(spec, "ffmpeg_failed", "no such file"))
    assert bench.entry("a.mkv").next_check_at_ms is None


def test_a_row_of_a_missing_file_does_not_stay_due(bench):
    path = bench.write("a.mkv")
    bench.see("a.mkv")
    os.unlink(path)
    bench.see("a.mkv")
    entry = bench.entry("a.mkv")
    bench.store.update_entry(entry, next_check_at_ms=1)
    with bench.engine.turn():
        bench.engine.gone(bench.entry("a.mkv"))
    assert bench.entry("a.mkv").next_check_at_ms is None


def test_hard_links_moved_together_keep_their_rows(bench):
    bench.write("old/a.mkv")
    os.link(bench.path("old/a.mkv"), bench.path("old/b.mkv"))
    bench.see("old/a.mkv", "old/b.mkv")
    ids = {bench.entry("old/a.mkv").id, bench.entry("old/b.mkv").id}
    os.rename(bench.path("old"), bench.path("new"))
    assert bench.see("new/a.mkv", "new/b.mkv").moved == 2
    assert {bench.entry("new/a.mkv").id, bench.entry("new/b.mkv").id} == ids


def duplicate(bench):
    bench.write("Film.mkv", b"one")
    bench.write("Film.mp4", b"two")
    bench.see("Film.mkv")
    entry = whole(bench, "Film.mp4")
    with bench.engine.turn():
        Conversions(bench.engine).begin(entry)
    assert bench.entry("Film.mp4").processed_status is P.DUPLICATE


@pytest.mark.parametrize("reason", [Reason.TRUNCATED, Reason.NOT_MEDIA])
def test_a_duplicate_takes_the_place_of_an_original_that_is_not_whole(bench, reason):
    duplicate(bench)
    with bench.engine.turn():
        spec = bench.checks.begin(bench.entry("Film.mkv"), "test")
    with bench.engine.turn():
        bench.checks.ended(Checked(spec, Verdict(I.INCOMPLETE, Mode.FULL, reason), None))
    entry = bench.entry("Film.mp4")
    assert (entry.processed_status, entry.next_check_at_ms is None) == (P.NEW, False)


def test_a_duplicate_does_not_wait_for_ever_for_an_original_that_cannot_be_checked(bench):
    """After as many tries as make a broken film hopeless; it is not called a duplicate again."""
    duplicate(bench)
    for times in range(1, bench.engine.config.quarantine_threshold + 1):
        assert bench.entry("Film.mp4").processed_status is P.DUPLICATE, times
        with bench.engine.turn():
            spec = bench.checks.begin(bench.entry("Film.mkv"), "test")
        with bench.engine.turn():
            bench.checks.ended(Checked(spec, Verdict(I.ERROR, Mode.FULL, Reason.IO_ERROR), None))
    entry = bench.entry("Film.mp4")
    assert entry.processed_status is P.NEW
    with bench.engine.turn():
        Conversions(bench.engine).begin(entry)
    assert bench.entry("Film.mp4").processed_status is P.NEW


def test_a_duplicate_takes_the_place_of_an_original_that_is_refused_for_good(bench):
    duplicate(bench)
    entry = whole(bench, "Film.mkv")
    spec = JobSpec("abc123", entry.id, "convert", entry.path, entry.signature, 60)
    with bench.engine.turn():
        bench.engine.begin_attempt(spec)
        Conversions(bench.engine).failed(Failed(spec, "unsupported_streams", "a data stream"))
    assert bench.entry("Film.mp4").processed_status is P.NEW


@pytest.mark.parametrize("renamed", ["Film.mkv", "Film.mp4"])
def test_a_duplicate_is_none_any_more_when_it_or_its_original_is_renamed(bench, renamed):
    duplicate(bench)
    other = "Other" + renamed[-4:]
    os.rename(bench.path(renamed), bench.path(other))
    bench.see(other)
    entry = bench.entry(other if renamed == "Film.mp4" else "Film.mp4")
    assert (entry.processed_status, entry.next_check_at_ms is None) == (P.NEW, False)


def test_a_film_released_while_its_result_lands_is_still_checked(bench):
    bench.write("a.mkv", b"old")
    spec = converting(bench, "a.mkv")
    swap = landing.swap_of(spec)
    result = replace.prepare(swap, replace.Keeping(), lambda _: None).signature
    conversions = Conversions(bench.engine)
    with bench.engine.turn():
        conversions.intend(spec, result, {})
        bench.engine.move(bench.entry("a.mkv"), "released", next_at=1)
    with bench.engine.turn():
        conversions.landed(spec.attempt_id, replace.place(swap, lambda _: None))
    assert bench.entry("a.mkv").next_check_at_ms is not None


async def in_store(call, *arguments):
    return call(*arguments)


@pytest.fixture
def refusing(monkeypatch):
    """A disk that lets nothing be removed."""

    def refuse(path, **_):
        raise OSError(30, "Read-only file system", path)

    monkeypatch.setattr(os, "unlink", refuse)


async def test_a_temporary_file_that_cannot_be_removed_does_not_end_the_landing(bench, refusing):
    bench.write("a.mkv", b"old")
    spec = converting(bench, "a.mkv")
    bench.write("a.mkv", b"changed")
    adopted = []
    flight = landing.Landing(
        Conversions(bench.engine), replace.Keeping, Temps(), in_store, adopted.append, threading.Event()
    )
    await flight.land(Made(spec, {}))
    assert [attempt.id for attempt in bench.store.attempts()] == adopted == [spec.attempt_id]


async def test_an_interrupted_conversion_that_cannot_be_cleared_up_waits_for_its_disk(bench, monkeypatch):
    bench.write("a.mkv", b"old")
    spec = converting(bench, "a.mkv")
    recovery = Recovery(bench.engine, bench.checks, Conversions(bench.engine), in_store)
    await recovery.open()

    def refuse(path, **_):
        raise OSError(30, "Read-only file system", path)

    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", refuse)
        await recovery.settle(bench.root_id, [])
    assert [attempt.id for attempt in bench.store.attempts()] == [spec.attempt_id]
    await recovery.settle(bench.root_id, [])
    assert bench.store.attempts() == []
    assert not os.path.exists(spec.temp)
    assert bench.entry("a.mkv").next_check_at_ms is not None


def test_a_sighting_older_than_the_end_of_its_file_does_not_bring_it_back(bench):
    path = bench.write("a.mkv")
    seen = Signature.of(os.lstat(path))
    old = (seen.device, seen.inode, seen.size_bytes, seen.mtime_ns, seen.blocks)
    bench.see("a.mkv")
    os.unlink(path)
    bench.see("a.mkv")
    bench.intake.take(bench.root_id, [Sighting(b"", [(b"a.mkv", old)])])
    assert bench.entry("a.mkv").missing_since_ms is not None


def test_files_scanned_as_part_of_a_root_around_theirs_come_back_to_it(bench):
    path = bench.write("sub/a.mkv")
    inner = bench.store.root_at(bench.path("sub")).id
    seen = Signature.of(os.lstat(path))
    raw = (seen.device, seen.inode, seen.size_bytes, seen.mtime_ns, seen.blocks)
    bench.intake.take(inner, [Sighting(b"", [(b"a.mkv", raw)])])
    identity = bench.entry("sub/a.mkv").id
    for root in (os.path.dirname(os.fsencode(bench.root)), bench.path("sub")):
        row = bench.store.root_at(root)
        assert bench.entry("sub/a.mkv").id == identity
        assert bench.entry("sub/a.mkv").folder.root_id == row.id


async def test_a_conversion_whose_film_went_away_says_nothing_about_the_film(bench, monkeypatch):
    async def fail(*_, **__):
        raise ConversionFailed("ffmpeg_failed", "No such file or directory")

    monkeypatch.setattr(work.Worker, "_make", fail)
    bench.write("a.mkv")
    spec = converting(bench, "a.mkv")
    spec = dataclasses.replace(spec, probe=NO_STREAMS, decision={"outcome": "convert", "reason": "", "sentence": ""})
    os.unlink(spec.temp)
    worker = work.Worker(None, lambda: bench.engine.config, Temps())
    assert (await worker.do(spec, lambda _: None)).reason == "ffmpeg_failed"
    os.rename(spec.path, spec.path + b".away")
    assert (await worker.do(spec, lambda _: None)).reason == "source_changed"


def test_another_file_under_the_name_is_not_taken_for_a_writer_that_paused(bench):
    bench.write("a.mkv", b"old")
    whole(bench, "a.mkv")
    bench.clock.forward(1800)
    bench.write("new", b"another film")
    os.rename(bench.path("new"), bench.path("a.mkv"))
    bench.see("a.mkv", evidence="moved_in")
    assert bench.entry("a.mkv").longest_gap_ms == 0
    bench.write("a.mkv", b"the writer goes on")
    bench.see("a.mkv")
    assert bench.entry("a.mkv").longest_gap_ms == 0
