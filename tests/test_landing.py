"""A swap that a stop has interrupted at any line of its table is finished or cleared up, and the film is whole."""

import os

import pytest

from watcher.media import replace
from watcher.rules.signature import Signature
from watcher.rules.statuses import IntegrityStatus as I
from watcher.rules.statuses import ProcessedStatus as P
from watcher.service import landing
from watcher.service.conversions import Conversions
from watcher.service.jobs import Failed, JobSpec, Made

OLD, NEW = b"the film as it was", b"the film with its new track"


def read(path):
    with open(path, "rb") as file:
        return file.read()


@pytest.fixture
def film(bench):
    path = bench.write("Film.mkv", OLD)
    bench.see("Film.mkv")
    entry = bench.entry("Film.mkv")
    with bench.engine.turn():
        bench.engine.move(entry, "check_started", next_at=None)
        bench.engine.move(entry, "check_passed", next_at=1)
    return path


def begin(bench, film, target=None):
    """Do what starting a conversion does, and write the temporary file as the job would."""
    entry = bench.store.entry_at(film)
    temp = replace.temp_path(film, "abc123")
    spec = JobSpec(
        "abc123",
        entry.id,
        "convert",
        film,
        entry.signature,
        60,
        target=target or film,
        temp=temp,
        probe={},
        decision={},
        replaces=None if target else entry.signature,
    )
    with bench.engine.turn():
        bench.engine.begin_attempt(spec)
    with open(temp, "wb") as out:
        out.write(NEW)
    return spec


def intend(bench, spec):
    result = replace.prepare(spec.path, spec.temp, spec.signature, lambda _: None)
    with bench.engine.turn():
        assert Conversions(bench.engine).intend(spec, result, {"hash": "x"})


def restart(bench, spec):
    """Settle the attempt as the next start does."""
    attempt = bench.store.attempt(spec.attempt_id)
    final = landing.settle_attempt(attempt, spec.path)
    conversions = Conversions(bench.engine)
    with bench.engine.turn():
        if final is None:
            conversions.void(spec.attempt_id)
        else:
            conversions.landed(spec.attempt_id, final)
    return bench.store.entry(spec.entry_id)


def names(bench):
    return sorted(os.listdir(os.fsencode(bench.root)))


def test_a_stop_before_the_intent_leaves_the_old_film_and_no_trace(bench, film):
    spec = begin(bench, film)
    entry = restart(bench, spec)
    assert entry.processed_status is P.NEW
    assert entry.next_check_at_ms is not None
    assert read(film) == OLD
    assert names(bench) == [b"Film.mkv"]


def test_a_stop_after_the_intent_finishes_the_swap(bench, film):
    spec = begin(bench, film)
    intend(bench, spec)
    entry = restart(bench, spec)
    assert entry.processed_status is P.CONVERTED
    assert read(film) == NEW
    assert names(bench) == [b"Film.mkv"]
    assert entry.signature.same_file(Signature.of(os.lstat(film)))


def test_a_stop_after_the_rename_knows_the_new_film_as_its_own(bench, film):
    spec = begin(bench, film)
    intend(bench, spec)
    replace.swap(film, spec.temp, spec.signature, lambda _: None)
    entry = restart(bench, spec)
    assert entry.processed_status is P.CONVERTED
    assert read(film) == NEW
    assert not bench.see("Film.mkv").any()


def test_a_film_replaced_while_we_were_down_is_never_overwritten(bench, film):
    spec = begin(bench, film)
    intend(bench, spec)
    bench.write("Film.mkv", b"somebody's better film")
    entry = restart(bench, spec)
    assert entry.processed_status is P.NEW
    assert read(film) == b"somebody's better film"
    assert names(bench) == [b"Film.mkv"]


def test_a_temporary_file_that_is_not_the_proved_one_is_not_used(bench, film):
    spec = begin(bench, film)
    intend(bench, spec)
    with open(spec.temp, "ab") as out:
        out.write(b"torn")
    assert restart(bench, spec).processed_status is P.NEW
    assert read(film) == OLD
    assert names(bench) == [b"Film.mkv"]


def test_our_own_swap_is_no_news_before_its_row_is_written(bench, film):
    spec = begin(bench, film)
    intend(bench, spec)
    replace.swap(film, spec.temp, spec.signature, lambda _: None)
    assert not bench.see("Film.mkv", evidence="moved_in").any()
    assert bench.entry("Film.mkv").integrity_status is I.COMPLETE


def test_a_sidecar_is_known_when_it_stands_and_its_film_is_untouched(bench, film):
    target = bench.path("Film.stereo.mkv")
    spec = begin(bench, film, target)
    intend(bench, spec)
    entry = restart(bench, spec)
    assert entry.processed_status is P.CONVERTED
    assert read(film) == OLD
    assert read(target) == NEW
    sidecar = bench.entry("Film.stereo.mkv")
    assert (sidecar.integrity_status, sidecar.processed_status, sidecar.made_from_id) == (
        I.COMPLETE, P.SKIPPED_HAS_EN2, entry.id,
    )  # fmt: skip
    assert sidecar.next_check_at_ms is None
    assert not bench.see("Film.stereo.mkv").any()


def test_a_sidecar_never_takes_the_name_of_a_file_that_is_there(bench, film):
    target = bench.write("Film.stereo.mkv", b"somebody's own")
    spec = begin(bench, film, target)
    intend(bench, spec)
    assert restart(bench, spec).processed_status is P.NEW
    assert read(target) == b"somebody's own"


async def test_a_film_that_changed_while_its_track_was_made_is_left_alone(bench, film):
    spec = begin(bench, film)
    bench.write("Film.mkv", b"somebody's better film")

    async def in_store(call, *arguments):
        with bench.engine.turn():
            return call(*arguments)

    await landing.land(Made(spec, {}), Conversions(bench.engine), in_store)
    assert read(film) == b"somebody's better film"
    assert names(bench) == [b"Film.mkv"]
    assert bench.store.attempts() == []


async def test_a_film_that_somebody_writes_to_is_not_replaced(bench, film):
    spec = begin(bench, film)

    async def in_store(call, *arguments):
        with bench.engine.turn():
            return call(*arguments)

    with open(film, "r+b"):
        await landing.land(Made(spec, {}), Conversions(bench.engine), in_store)
    entry = bench.entry("Film.mkv")
    assert (entry.processed_status, entry.reason) == (P.CONVERT_FAILED, "source_changed")
    assert entry.next_check_at_ms is not None
    assert read(film) == OLD
    assert names(bench) == [b"Film.mkv"]


def fail(bench, film, reason):
    spec = begin(bench, film)
    os.unlink(spec.temp)
    with bench.engine.turn():
        Conversions(bench.engine).failed(Failed(spec, reason, "because"))
    return bench.store.entry_at(film)


def test_a_failing_conversion_waits_longer_each_time_and_in_the_end_for_a_person(bench, film):
    for _ in range(4):
        entry = fail(bench, film, "ffmpeg_failed")
        assert entry.processed_status is P.CONVERT_FAILED
        assert entry.next_check_at_ms > bench.clock.now * 1000
        with bench.engine.turn():
            bench.engine.move(entry, "retry", next_at=1)
    entry = fail(bench, film, "ffmpeg_failed")
    assert entry.next_check_at_ms is None
    assert "retry" in entry.waits_for


def test_a_full_disk_is_tried_again_for_as_long_as_it_takes(bench, film):
    for _ in range(8):
        entry = fail(bench, film, "no_space")
        assert entry.next_check_at_ms is not None
        with bench.engine.turn():
            bench.engine.move(entry, "retry", next_at=1)
