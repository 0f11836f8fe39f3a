"""A result lands in the database as on disk: what a stop has interrupted is finished or cleared up, and the film is whole."""

import dataclasses
import errno
import functools
import os
import subprocess
import time
from contextlib import contextmanager

import pytest
from swaps import (
    FORMS,
    NEW,
    OLD,
    Flight,
    done,
    end,
    land,
    mounted,
    nobody,
    read,
    recovered,
    signature,
    swap_all,
    tree,
    undone,
    write,
)

from watcher.config.model import AudioSettings
from watcher.media import disk, replace, scratch
from watcher.media.replace import Keeping
from watcher.operations import Drive
from watcher.rules.statuses import IntegrityStatus as I
from watcher.rules.statuses import ProcessedStatus as P
from watcher.service import landing
from watcher.service.conversions import Conversions
from watcher.service.jobs import Cancelled, Failed
from watcher.store.store import signature_columns
from watcher.watch import scan


@pytest.fixture
def flight(bench):
    return Flight(bench, "in_place")


async def intend(flight):
    prepared = replace.prepare(flight.swap, Keeping(), nobody)
    assert await flight.in_store(
        Conversions(flight.bench.engine).intend, flight.spec, prepared.signature, {"hash": "x"}
    )


@pytest.mark.parametrize("form", FORMS)
async def test_a_result_lands_and_its_row_knows_it(bench, form):
    """What stands under the name afterwards is no news, and everything else in the folder is as it was."""
    flight = Flight(bench, form)
    assert await flight.land() == []
    entry = flight.entry()
    assert tree(flight.swap) == done(flight.swap)
    assert (entry.processed_status, entry.next_check_at_ms) == (P.CONVERTED, None)
    assert entry.path == (flight.swap.target if flight.swap.removes_film else flight.swap.film)
    assert not bench.see(*(os.path.basename(path) for path in {entry.path, flight.swap.target})).any()
    assert bench.store.attempts() == []


async def test_a_sidecar_is_whole_and_ours_from_the_start(bench):
    """It was proved when it was made."""
    flight = Flight(bench, "sidecar")
    await flight.land()
    sidecar = bench.entry("Film.stereo.mkv")
    assert (sidecar.integrity_status, sidecar.processed_status) == (I.COMPLETE, P.SKIPPED_HAS_EN2)
    assert (sidecar.made_from_id, sidecar.next_check_at_ms) == (flight.entry().id, None)


async def test_a_film_keeps_its_history_in_its_new_container(bench):
    """Even under a name that another film had once."""
    bench.write("Film.mkv")
    bench.see("Film.mkv")
    os.unlink(bench.path("Film.mkv"))
    bench.see("Film.mkv")
    flight = Flight(bench, "instead")
    await flight.land()
    assert bench.journal("Film.mkv")[-2:] == ["moved", "converted"]
    assert bench.entry("Film.mkv").id == flight.spec.entry_id
    assert bench.entry("Film.avi") is None


# --- events between the rename and its row


@pytest.mark.parametrize("form", ["in_place", "sidecar", "instead"])
async def test_our_own_result_is_no_news_before_its_row_is_written(bench, form):
    flight = Flight(bench, form)
    await intend(flight)
    replace.place(flight.swap, nobody)
    assert not bench.see(os.path.basename(flight.swap.target), evidence="moved_in").any()
    assert flight.entry().integrity_status is I.COMPLETE


async def test_a_film_renamed_before_its_row_knew_of_the_swap_keeps_its_history(bench, flight):
    """One row, which was converted and then moved; or the other way round."""
    await intend(flight)
    final = replace.place(flight.swap, nobody)
    os.rename(flight.swap.film, bench.path("Better.mkv"))
    assert bench.see("Better.mkv", "Film.mkv", evidence="moved_in").moved == 1
    await flight.in_store(Conversions(bench.engine).landed, flight.spec.attempt_id, final)
    entry = bench.entry("Better.mkv")
    assert (entry.id, entry.processed_status) == (flight.spec.entry_id, P.CONVERTED)
    assert not bench.see("Better.mkv", "Film.mkv").any()


async def test_a_film_renamed_while_we_were_down_right_after_the_swap_keeps_its_history(bench, flight):
    """The next start waits for its scan before it says what became of the result."""
    await intend(flight)
    replace.place(flight.swap, nobody)
    os.rename(flight.swap.film, bench.path("Better.mkv"))
    recovery = await recovered(bench)
    assert len(bench.store.attempts()) == 1
    bench.see("Film.mkv", hinted=False)
    bench.see("Better.mkv", hinted=False)
    await recovery.settle(bench.root_id, [])
    entry = bench.entry("Better.mkv")
    assert (entry.id, entry.processed_status, entry.missing_since_ms) == (flight.spec.entry_id, P.CONVERTED, None)
    assert bench.store.attempts() == []
    assert not bench.see("Better.mkv", "Film.mkv").any()


async def test_a_result_that_is_gone_with_its_film_is_given_up_after_the_scan(bench, flight):
    """Nothing waits for it for ever."""
    await intend(flight)
    replace.place(flight.swap, nobody)
    os.unlink(flight.swap.film)
    recovery = await recovered(bench)
    bench.see("Film.mkv", hinted=False)
    await recovery.settle(bench.root_id, [])
    assert bench.store.attempts() == []
    assert bench.entry("Film.mkv").missing_since_ms is not None


# --- after a stop


async def test_a_film_replaced_while_we_were_down_is_never_overwritten(bench, flight):
    await intend(flight)
    write(flight.swap.film, b"somebody's better film")
    await recovered(bench)
    assert flight.entry().processed_status is P.NEW
    assert tree(flight.swap) == {b"Film.mkv": b"somebody's better film"}


async def test_a_temporary_file_that_is_not_the_proved_one_is_not_used(bench, flight):
    await intend(flight)
    with open(flight.swap.temp, "ab") as out:
        out.write(b"torn")
    await recovered(bench)
    assert flight.entry().processed_status is P.NEW
    assert tree(flight.swap) == undone(flight.swap)


async def test_an_attempt_of_an_older_version_is_finished_all_the_same(bench, flight):
    """Its row does not have the film's name."""
    await intend(flight)
    bench.store.update_attempt(flight.spec.attempt_id, film=None)
    await recovered(bench)
    assert flight.entry().processed_status is P.CONVERTED
    assert read(flight.swap.film) == NEW


# --- what prevents a landing


@pytest.mark.parametrize("form", FORMS)
async def test_a_film_that_changed_while_its_track_was_made_is_left_alone(bench, form):
    flight = Flight(bench, form)
    write(flight.swap.film, b"somebody's better film")
    await flight.land()
    assert tree(flight.swap) == {**undone(flight.swap), os.path.basename(flight.swap.film): b"somebody's better film"}
    assert bench.store.attempts() == []


async def test_a_film_that_somebody_writes_to_is_not_replaced(bench, flight):
    with open(flight.swap.film, "r+b"):
        await flight.land()
    entry = flight.entry()
    assert (entry.processed_status, entry.reason) == (P.CONVERT_FAILED, "source_changed")
    assert entry.next_check_at_ms is not None
    assert tree(flight.swap) == undone(flight.swap)


async def test_a_sidecar_that_came_meanwhile_is_not_touched(bench):
    flight = Flight(bench, "sidecar")
    write(flight.swap.target, b"somebody's own")
    await flight.land()
    entry = flight.entry()
    assert (entry.processed_status, entry.reason, entry.next_check_at_ms) == (P.CONVERT_FAILED, "target_exists", None)
    assert tree(flight.swap) == {b"Film.mkv": OLD, b"Film.stereo.mkv": b"somebody's own"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
async def test_what_a_read_only_disk_holds_back_is_cleared_up_when_it_can_be_written(tmp_path, bench_on):
    """Until then its attempt stands, and nothing new starts on the film; no file stays for ever."""
    with mounted(tmp_path / "films", "-t", "tmpfs", "tmpfs") as mount:
        bench = bench_on(tmp_path)
        flight = Flight(bench, "in_place")
        subprocess.run(["mount", "-o", "remount,ro", mount], check=True)
        assert await flight.land() == [flight.spec.attempt_id]
        entry = flight.entry()
        assert (entry.processed_status, entry.reason) == (P.CONVERT_FAILED, "read_only")
        bench.clock.forward(10_000)
        now = bench.engine.now_ms()
        assert bench.store.due(complete=True, now_ms=now, limit=9, root_ids=[bench.root_id]) == []
        recovery = await recovered(bench)
        assert len(bench.store.attempts()) == 1
        subprocess.run(["mount", "-o", "remount,rw", mount], check=True)
        await recovery.settle(bench.root_id)
        assert bench.store.attempts() == []
        assert tree(flight.swap) == undone(flight.swap)
        assert [e.id for e in bench.store.due(complete=True, now_ms=now, limit=9, root_ids=[bench.root_id])] == [
            entry.id
        ]


@pytest.mark.parametrize("film", ["moved along", "replaced since"])
@pytest.mark.parametrize("when", ["while it is made", "while it lands", "while we were down"])
async def test_a_temporary_file_that_went_along_with_its_folder_is_removed_there(bench, when, film):
    """Whatever became of the film, which starts anew where it is."""
    flight = Flight(bench, "in_place", b"old")
    if when == "while it lands":
        await intend(flight)
    os.rename(bench.path("old"), bench.path("new"))
    if film == "replaced since":
        os.unlink(bench.path("new/Film.mkv"))
        write(bench.path("new/Film.mkv"), b"another film")
    if when == "while we were down":
        recovery = await recovered(bench)
        assert len(bench.store.attempts()) == 1
        bench.see("new/Film.mkv", "old/Film.mkv", hinted=False)
        await recovery.settle(bench.root_id, [bench.path("new/" + os.path.basename(flight.swap.temp).decode())])
    else:
        bench.see("new/Film.mkv", "old/Film.mkv", evidence="moved_in")
        await (flight.land() if when == "while it lands" else end(flight, Cancelled(flight.spec)))
    assert os.listdir(bench.path("new")) == [b"Film.mkv"]
    assert bench.store.attempts() == []
    entry = bench.entry("new/Film.mkv")
    assert (entry.id == flight.spec.entry_id) == (film == "moved along")
    assert entry.next_check_at_ms is not None


async def test_a_leftover_of_a_lost_database_is_removed_when_it_is_a_day_old_and_nobody_writes_it(bench):
    """Another service's result is written or moved sooner; one that is known here is left to its attempt."""
    flight = Flight(bench, "in_place")
    stray, busy = bench.path(".watcher-aaaaaaaaaaaa.tmp"), bench.path(".watcher-bbbbbbbbbbbb.tmp")
    write(stray, b"x")
    write(busy, b"x")
    bench.clock.now = time.time()
    recovery = await recovered(bench)
    write(flight.swap.temp, NEW)
    with bench.engine.turn():
        bench.engine.begin_attempt(flight.spec)
    found = next(iter(scan.walk(os.fsencode(bench.root), bench.engine.config.name_rules()))).temporary
    paths = [bench.path(name) for name in found]
    assert sorted(paths) == sorted([stray, busy, flight.swap.temp])
    await recovery.sweep(paths)
    assert all(map(os.path.exists, paths))
    bench.clock.forward(86_401)
    with open(busy, "ab"):
        await recovery.sweep(paths)
    assert [os.path.exists(path) for path in (stray, busy, flight.swap.temp)] == [False, True, True]


# --- what is said about attributes


@pytest.mark.parametrize("lost", ["note", "refuse"])
async def test_an_attribute_that_is_lost_is_said_or_refused(tmp_path, bench_on, monkeypatch, lost):
    """In the journal and in the proof, for `why`; a refusal is not tried again until the film changes."""

    def cannot(path, uid, gid):
        raise PermissionError(1, "Operation not permitted")

    bench = bench_on(tmp_path, audio=AudioSettings(lost_attributes=lost))
    flight = Flight(bench, "in_place")
    monkeypatch.setattr(os, "chown", cannot)
    await flight.land()
    entry = flight.entry()
    if lost == "refuse":
        assert (entry.processed_status, entry.reason, entry.next_check_at_ms) == (
            P.CONVERT_FAILED,
            "attributes_lost",
            None,
        )
        assert tree(flight.swap) == undone(flight.swap)
    else:
        words = "owner: Operation not permitted; group: Operation not permitted"
        assert (entry.processed_status, entry.reason) == (P.CONVERTED, f"stereo_added; not kept: {words}")
        assert "; ".join(bench.store.finding(entry.id).proof["lost_attributes"]) == words


async def test_a_hard_link_elsewhere_keeps_the_film_as_it_was_and_that_is_told(tmp_path, bench_on):
    """As a torrent that goes on seeding has one: its content is not touched, and its room is not free."""
    bench = bench_on(tmp_path)
    flight = Flight(bench, "in_place")
    elsewhere = tmp_path / "seeding.mkv"
    os.link(flight.swap.film, elsewhere)
    before = elsewhere.read_bytes()
    await flight.land()
    assert bench.store.finding(flight.entry().id).proof["other_names"] == 1
    assert elsewhere.read_bytes() == before


# --- when it is tried again


@contextmanager
def mounted_file(behind, path):
    subprocess.run(["mount", "--bind", behind, path], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", path], check=True)


def fail(flight, reason):
    with flight.bench.engine.turn():
        if flight.bench.store.attempts() == []:
            flight.bench.engine.begin_attempt(flight.spec)
        Conversions(flight.bench.engine).failed(Failed(flight.spec, reason, "because"))
    return flight.entry()


def retry(flight):
    with flight.bench.engine.turn():
        flight.bench.engine.move(flight.entry(), "retry", next_at=1)


def test_a_failing_conversion_waits_longer_each_time_and_in_the_end_for_a_person(bench, flight):
    for _ in range(4):
        entry = fail(flight, "ffmpeg_failed")
        assert entry.processed_status is P.CONVERT_FAILED
        assert entry.next_check_at_ms > bench.clock.now * 1000
        retry(flight)
    entry = fail(flight, "ffmpeg_failed")
    assert entry.next_check_at_ms is None
    assert "retry" in entry.waits_for


def test_a_full_disk_is_tried_again_for_as_long_as_it_takes(flight):
    for _ in range(8):
        assert fail(flight, "no_space").next_check_at_ms is not None
        retry(flight)


async def test_what_the_disk_refuses_only_after_the_work_is_not_tried_for_ever(bench, flight, monkeypatch):
    """Each try costs a whole conversion."""

    def cannot(old, new):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "rename", cannot)
    for _ in range(5):
        write(flight.swap.temp, NEW)
        if bench.store.attempts() == []:
            retry(flight)
            with bench.engine.turn():
                bench.engine.begin_attempt(flight.spec)
        await flight.land()
    entry = flight.entry()
    assert (entry.reason, entry.next_check_at_ms) == ("not_replaceable", None)
    assert tree(flight.swap) == undone(flight.swap)


@pytest.mark.parametrize("happened", [False, True], ids=["it did not happen", "it happened"])
@pytest.mark.parametrize("form", FORMS)
async def test_a_network_drive_that_is_away_for_a_moment_is_waited_for(bench, monkeypatch, form, happened):
    """At the last step of hours of work; also where it had done what it says has failed."""
    flight = Flight(bench, form)
    monkeypatch.setattr(landing, "Drive", functools.partial(Drive, waits_sec=(0.0,) * 6))
    for owner, name in ((os, "chmod"), (os, "rename"), (disk, "_rename_without_replacing"), (os, "unlink")):
        call, away = getattr(owner, name), [errno.ESTALE, errno.ETIMEDOUT]

        def hindered(*arguments, call=call, away=away, **options):
            if away and arguments[0] in (flight.swap.temp, flight.swap.film):
                if happened and len(away) == 1:
                    call(*arguments, **options)
                raise OSError(number := away.pop(), os.strerror(number))
            return call(*arguments, **options)

        monkeypatch.setattr(owner, name, hindered)
    assert await flight.land() == []
    assert tree(flight.swap) == done(flight.swap)
    assert flight.entry().processed_status is P.CONVERTED


async def test_a_result_of_which_the_disk_said_that_it_does_not_stand_is_known_when_it_does(bench, flight, monkeypatch):
    """It refused to make the rename last, and to clear up; afterwards the new film stands there, once."""

    def refuse(*_):
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    with monkeypatch.context() as patched:
        patched.setattr(disk, "sync_folder", refuse)
        patched.setattr(scratch, "clear", refuse)
        assert await flight.land() == [flight.spec.attempt_id]
    assert flight.entry().processed_status is P.CONVERT_FAILED
    await recovered(bench)
    entry = flight.entry()
    assert (entry.processed_status, entry.next_check_at_ms) == (P.CONVERTED, None)
    assert (tree(flight.swap), bench.store.attempts()) == (done(flight.swap), [])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
async def test_a_film_that_is_a_mount_of_its_own_stays_as_it_is(tmp_path, bench, flight):
    """A single file bound into a container: no rename reaches the file behind it."""
    behind = tmp_path / "behind.mkv"
    behind.write_bytes(OLD)
    with mounted_file(behind, flight.swap.film):
        spec = dataclasses.replace(
            flight.spec, signature=signature(flight.swap.film), replaces=signature(flight.swap.film)
        )
        bench.store.update_entry(flight.entry(), **signature_columns(spec.signature))
        await land(bench, spec)
        assert read(flight.swap.film) == OLD
    entry = flight.entry()
    assert (entry.processed_status, entry.reason) == (P.CONVERT_FAILED, "not_replaceable")
    assert tree(flight.swap) == undone(flight.swap)


def test_swapping_twice_is_refused(flight):
    """What stands there now is not what the second result was made from."""
    swap_all(flight.swap)
    write(flight.swap.temp, b"once more")
    with pytest.raises(replace.SourceChanged):
        replace.place(flight.swap, nobody)
    assert read(flight.swap.film) == NEW


# --- what happens to the film between the steps

STEPS = ("prepare", "intend", "place", "landed")


def happens(what, bench):
    """Let somebody have his way with old/Film.mkv; gives what must stand where afterwards, whatever we did."""
    film = bench.path("old/Film.mkv")
    match what:
        case "renamed":
            os.rename(film, bench.path("old/Other.mkv"))
            return "old/Other.mkv"
        case "moved":
            os.rename(film, bench.path("elsewhere.mkv"))
            return "elsewhere.mkv"
        case "folder moved":
            os.rename(bench.path("old"), bench.path("new"))
            return "new/Film.mkv"
        case "deleted":
            os.unlink(film)
            return None
        case "replaced":
            write(bench.path("other"), b"another film")
            os.rename(bench.path("other"), film)
            return "old/Film.mkv"
    raise AssertionError(what)


@pytest.mark.parametrize("noticed", ["at once", "later"])
@pytest.mark.parametrize("what", ["renamed", "moved", "folder moved", "deleted", "replaced"])
@pytest.mark.parametrize("step", STEPS)
async def test_whatever_happens_to_the_film_between_two_steps_nothing_is_lost_or_left(
    bench, monkeypatch, step, what, noticed
):
    """The film is where its owner put it, whole, the old or the new one; one row knows it; no file of ours is left."""
    flight = Flight(bench, "in_place", b"old")
    all_names = ["old/Film.mkv", "old/Other.mkv", "elsewhere.mkv", "new/Film.mkv"]
    where = []

    def before(owner, name):
        call = getattr(owner, name)

        def wrapped(*arguments, **options):
            if not where:
                where.append(happens(what, bench))
                if noticed == "at once":
                    bench.see(*reversed(all_names), evidence="moved_in")
            return call(*arguments, **options)

        monkeypatch.setattr(owner, name, wrapped)

    before(replace if step in ("prepare", "place") else Conversions, step)
    await flight.land()
    bench.see(*reversed(all_names), hinted=False)

    there = {
        os.path.relpath(os.path.join(top, name), bench.root) for top, _, names in os.walk(bench.root) for name in names
    }
    assert there == ({where[0]} if where[0] else set())
    assert bench.store.attempts() == []
    rows = [bench.store.entry(row[0]) for row in bench.store.sql("SELECT id FROM file_entry").fetchall()]
    assert [row.path for row in rows if row.missing_since_ms is None] == [bench.path(name) for name in there]
    for name in there:
        entry, content = bench.entry(name), read(bench.path(name))
        assert content in ((b"another film",) if what == "replaced" else (OLD, NEW))
        assert (entry.processed_status is P.CONVERTED) == (content == NEW)
        assert entry.processed_status is P.CONVERTED or entry.next_check_at_ms is not None
        assert (entry.id == flight.spec.entry_id) or what == "replaced"
