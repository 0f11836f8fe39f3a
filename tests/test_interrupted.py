"""What an interrupted conversion has left is kept as long as its film would be converted, and never longer."""

import dataclasses
import errno
import functools
import os
import re

import pytest
from swaps import Flight, end, names, recovered, write

from watcher import views
from watcher.operations import Drive, PauseManager, document
from watcher.rules import names as naming
from watcher.rules.statuses import IntegrityStatus as I
from watcher.rules.statuses import ProcessedStatus as P
from watcher.service import landing, wishes
from watcher.service.conversions import Conversions
from watcher.service.demand import OnDemand
from watcher.service.jobs import Cancelled, Failed
from watcher.service.steps import Steps, kept_share, state_file
from watcher.store.store import add_request

STREAMS = [
    {"index": 0, "codec_type": "video", "codec_name": "h264"},
    {"index": 1, "codec_type": "audio", "codec_name": "ac3", "channels": 6, "tags": {"language": "eng"}},
]
PROBE = {"streams": STREAMS, "format": {"format_name": "matroska,webm", "duration": "600", "size": "1000"}}
LEFT = [".watcher-0123456789ab.state.json", ".watcher-0123456789ab.track", "Film.mkv"]
IDENTITY = {"ffmpeg": "5.1"}


def steps_of(flight, **identity):
    return Steps(flight.spec, {**IDENTITY, **identity}, PauseManager(signals=()))


@pytest.fixture
def flight(bench):
    """A conversion that has come to 43 %, with a track and a state."""
    flight = Flight(bench, "in_place")
    bench.store.put_finding(flight.spec.entry_id, probe=PROBE)
    steps = steps_of(flight)
    steps.save("encode", 43.0, {"track": {"pieces": 5}})
    steps.release()
    write(naming.beside(flight.swap.temp, b"track"), b"half a track")
    assert left(flight) == LEFT
    return flight


def left(flight):
    return sorted(map(os.fsdecode, names(os.path.dirname(flight.swap.film))))


def due(flight):
    now = flight.bench.engine.now_ms()
    found = flight.bench.store.due(complete=True, now_ms=now, limit=9, root_ids=[flight.bench.root_id])
    return [entry.id for entry in found]


async def interrupted(flight):
    assert await end(flight, Cancelled(flight.spec)) == []
    (attempt,) = flight.bench.store.attempts()
    assert attempt.interrupted
    return attempt


async def given_up(flight):
    """Tell whether the next beat clears all of it away."""
    await recovered(flight.bench)
    return flight.bench.store.attempts() == [] and left(flight) == ["Film.mkv"]


async def test_what_was_cut_short_is_kept_and_the_next_conversion_takes_it_over(flight, bench):
    """Under the same name, from the same share on; its film is due at once."""
    attempt = await interrupted(flight)
    assert (left(flight), attempt.progress, due(flight)) == (LEFT, 0.43, [flight.spec.entry_id])
    with bench.engine.turn():
        spec = Conversions(bench.engine).begin(flight.entry())
    (attempt,) = bench.store.attempts()
    assert (spec.attempt_id, spec.temp) == (flight.spec.attempt_id, flight.spec.temp)
    assert (attempt.id, attempt.interrupted, attempt.progress) == (spec.attempt_id, False, 0.43)
    assert due(flight) == []
    bench.engine.write_progress({attempt.id: 0.0})
    assert bench.store.attempts()[0].progress == 0.43, "it has told nothing yet"


async def test_after_a_kill_the_next_start_keeps_it(flight, bench):
    """Before, it is nobody's; then its film is due, and another start changes nothing about it."""
    assert due(flight) == []
    for _ in range(2):
        await recovered(bench)
        (attempt,) = bench.store.attempts()
        assert (attempt.interrupted, attempt.progress, due(flight)) == (True, 0.43, [flight.spec.entry_id])
        assert left(flight) == LEFT


async def test_a_state_that_is_not_whole_is_none(flight, bench):
    """Nothing is gone on with that cannot be read."""
    write(naming.beside(flight.swap.temp, b"state.json"), b'{"schema_version": 1, "oper')
    assert kept_share(flight.swap.temp) is None
    assert await given_up(flight)
    assert due(flight) == [flight.spec.entry_id]


@pytest.mark.parametrize("reason", ["killed", "io_error", "tool_missing", "out_of_memory"])
async def test_trouble_of_the_machine_costs_nothing_of_what_was_done(flight, bench, reason):
    """The next try goes on from there."""
    await end(flight, Failed(flight.spec, reason, ""))
    (attempt,) = bench.store.attempts()
    assert (attempt.interrupted, flight.entry().processed_status, left(flight)) == (True, P.CONVERT_FAILED, LEFT)
    await recovered(bench)
    assert left(flight) == LEFT
    with bench.engine.turn():
        bench.engine.move(flight.entry(), "retry", next_at=bench.clock())
        spec = Conversions(bench.engine).begin(flight.entry())
    assert spec.attempt_id == attempt.id


@pytest.mark.parametrize("reason", ["no_space", "clipped", "stalled", "unsupported_streams", "source_changed"])
async def test_the_films_own_fault_and_a_full_disk_leave_nothing(flight, bench, reason):
    """Room is what lacks, and what fails for the film's own reasons fails again."""
    await end(flight, Failed(flight.spec, reason, ""))
    assert (bench.store.attempts(), left(flight)) == ([], ["Film.mkv"])


@pytest.mark.parametrize("step", ["chmod", "rename"])
async def test_a_drive_that_stays_away_at_the_very_end_costs_nothing_of_what_was_done(flight, bench, monkeypatch, step):
    """Neither before the intent nor after it; the next try goes on from there."""

    def away(*_):
        raise OSError(errno.EHOSTDOWN, os.strerror(errno.EHOSTDOWN))

    write(flight.swap.temp, b"the result")
    monkeypatch.setattr(landing, "Drive", functools.partial(Drive, waits_sec=(0.0,)))
    with monkeypatch.context() as patched:
        patched.setattr(os, step, away)
        await flight.land()
    entry = flight.entry()
    assert (entry.processed_status, entry.reason) == (P.CONVERT_FAILED, "io_error")
    assert entry.next_check_at_ms is not None
    await recovered(bench)
    assert left(flight) == [LEFT[0], ".watcher-0123456789ab.tmp", *LEFT[1:]]
    with bench.engine.turn():
        bench.engine.move(flight.entry(), "retry", next_at=bench.clock())
        spec = Conversions(bench.engine).begin(flight.entry())
    assert spec.attempt_id == flight.spec.attempt_id


def _changed(flight):
    write(flight.swap.film, b"another film")
    flight.bench.see("Film.mkv")


def _gone(flight):
    os.rename(flight.swap.film, flight.bench.path("../Film.mkv"))
    flight.bench.see("Film.mkv")


def _released(flight):
    with flight.bench.engine.turn():
        wishes._release(flight.bench.engine, flight.entry())


def _decided(flight):
    with flight.bench.engine.turn():
        flight.bench.engine.move(flight.entry(), "is_duplicate", next_at=None)


def _forgotten(flight):
    flight.bench.store.put_finding(flight.spec.entry_id, probe=None)


@pytest.mark.parametrize("what", [_changed, _gone, _released, _decided, _forgotten], ids=lambda what: what.__name__[1:])
@pytest.mark.parametrize("when", ["before it ends", "while it waits", "while we are down"])
async def test_what_would_not_be_converted_any_more_is_cleared_away(flight, bench, what, when):
    """Whoever changed the film or the mind, and whenever."""
    if when == "while it waits":
        await interrupted(flight)
    what(flight)
    if when == "before it ends":
        await end(flight, Cancelled(flight.spec))
    await recovered(bench)
    here = [] if what is _gone else ["Film.mkv"]
    assert (bench.store.attempts(), left(flight)) == ([], here)


async def test_nothing_is_begun_on_a_film_before_what_was_left_of_it_is_cleared_away(flight, bench):
    """The due row moves into the future instead of coming up for ever."""
    from watcher.rules.stability import Observation
    from watcher.service.dispatch import CLEARING, Dispatch

    await interrupted(flight)
    _changed(flight)
    bench.clock.forward(3600)
    dispatch = Dispatch(bench.engine, bench.checks, Conversions(bench.engine), None, None, None)
    with bench.engine.turn():
        assert dispatch._decide(flight.spec.entry_id, Observation(flight.entry().signature, writer="free")) is None
    entry = flight.entry()
    assert (entry.waits_for, entry.next_check_at_ms > bench.engine.now_ms()) == (CLEARING, True)
    assert (entry.integrity_status, entry.processed_status) == (I.UNKNOWN, P.NEW)


def _moved(flight, name):
    os.makedirs(os.path.dirname(flight.bench.path(name)), exist_ok=True)
    os.rename(flight.swap.film, flight.bench.path(name))
    flight.bench.see(name, "Film.mkv", evidence="moved_in")


@pytest.mark.parametrize("when", ["before it ends", "while it waits", "while we are down"])
async def test_a_renamed_film_goes_on_under_its_new_name(flight, bench, when):
    """Whenever it was renamed; its result takes the new name."""
    if when == "while it waits":
        await interrupted(flight)
    _moved(flight, "New.mkv")
    if when == "before it ends":
        await interrupted(flight)
    await recovered(bench)
    assert left(flight) == [*LEFT[:2], "New.mkv"]
    with bench.engine.turn():
        spec = Conversions(bench.engine).begin(flight.entry())
    assert (spec.attempt_id, spec.path, spec.target) == (flight.spec.attempt_id, *2 * [bench.path("New.mkv")])
    steps = Steps(spec, IDENTITY, PauseManager(signals=()))
    assert (steps.goes_on, steps.percent, steps.kept()["track"]) == (True, 43.0, {"pieces": 5})
    steps.release()
    state = document.read(state_file(spec.temp))
    assert (state.operation.input_file, state.operation.output_file) == 2 * (os.fsdecode(bench.path("New.mkv")),)


@pytest.mark.parametrize("renamed", [True, False], ids=["renamed", "deleted"])
async def test_what_a_killed_run_left_waits_for_the_scan_that_finds_its_film(flight, bench, renamed):
    """Until then nobody knows whether it was renamed or deleted."""
    os.rename(flight.swap.film, bench.path("New.mkv"))
    if not renamed:
        os.unlink(bench.path("New.mkv"))
    recovery = await recovered(bench)
    assert left(flight)[:2] == LEFT[:2]
    assert due(flight) == []
    bench.see("New.mkv", "Film.mkv", evidence="moved_in")
    await recovery.settle(bench.root_id, [bench.path(name) for name in LEFT[:2]])
    assert left(flight) == ([*LEFT[:2], "New.mkv"] if renamed else [])
    assert [attempt.interrupted for attempt in bench.store.attempts()] == [True] * renamed


async def test_a_film_in_another_folder_begins_anew(flight, bench):
    """Its files are in the old one, which may be on another disk."""
    await interrupted(flight)
    _moved(flight, "elsewhere/New.mkv")
    await recovered(bench)
    assert (bench.store.attempts(), left(flight)) == ([], ["elsewhere"])


async def test_to_forget_everything_takes_what_is_kept_with_it(flight, bench):
    """Nothing of it would be found again."""
    from types import SimpleNamespace

    await interrupted(flight)
    recovery = await recovered(bench)

    async def in_store(call, *arguments):
        return call(*arguments)

    async def backup():
        return "copy"

    parts = SimpleNamespace(
        in_store=in_store, store=bench.store, engine=bench.engine, recovery=recovery,
        upkeep=SimpleNamespace(backup=backup), roots=SimpleNamespace(forget=lambda: None),
    )  # fmt: skip
    await OnDemand(parts, SimpleNamespace(watching=False), None).forget_all()
    assert (bench.store.attempts(), left(flight)) == ([], ["Film.mkv"])


# --- the state file


def test_the_same_work_goes_on_and_any_other_begins_anew(flight):
    """Another FFmpeg, other settings, another film: what was left goes."""
    same = steps_of(flight)
    assert (same.goes_on, same.step, same.percent, same.kept()["track"]) == (True, "encode", 43.0, {"pieces": 5})
    same.release()
    other = steps_of(flight, ffmpeg="8.0")
    assert (other.goes_on, other.kept(), left(flight)[-1]) == (False, {}, "Film.mkv")
    assert ".watcher-0123456789ab.track" not in left(flight)
    other.release()
    spec = dataclasses.replace(flight.spec, signature=dataclasses.replace(flight.spec.signature, mtime_ns=1))
    assert not Steps(spec, {"ffmpeg": "8.0"}, PauseManager(signals=())).goes_on


def test_the_file_tells_which_steps_are_done_and_a_step_back_makes_them_undone(flight):
    """What is lost is done again, and what was saved about it stays until it is saved anew."""
    steps = steps_of(flight)
    steps.save("verify", 95.0, {"muxed": 1})
    steps.swap()
    state = steps._state.state
    assert (state.current_step, state.steps_completed) == ("swap", ["probe", "encode", "mux", "verify"])
    steps.save("encode", 20.0, {"track": {"pieces": 1}})
    state = steps._state.state
    assert (state.current_step, state.steps_completed, state.progress_percent) == ("encode", ["probe"], 20.0)
    assert state.data == {"track": {"pieces": 1}, "muxed": 1}


def test_it_is_listed_with_all_other_operations_and_resumed_by_the_service_alone(flight, call):
    """`watcher operations resume` would start a second service."""
    folder = os.path.dirname(flight.swap.film)
    listed = call("operations", "list", folder)[1].rstrip("\n").split("\t")
    assert listed == [os.fsdecode(flight.swap.film), "stereo", "43.0", "encode", ""]
    code, _, err = call("operations", "resume", "--yes", flight.swap.film)
    assert (code, "goes on by itself when the service runs" in err) == (1, True)


async def test_why_and_status_say_where_it_will_go_on(flight, bench, call, monkeypatch):
    """It does not run, and is not forgotten; in a pause it does not run either, and the pause is named."""
    monkeypatch.setenv("STATE_DB_URL", str(bench.store.path))
    await interrupted(flight)
    assert "its turn: its conversion was interrupted, and goes on at 43 %" in call("why", flight.swap.film)[1]
    assert re.search(r"convert +43 % +waits +/", call("status")[1])
    assert '"running_jobs": []' in call("status", "--json")[1]

    add_request(bench.store.path, "pause", b"", views.now_ms(), {"reason": "film night"})
    paused = "paused until somebody resumes it: film night"
    assert f"goes on at 43 %; but all is {paused}" in " ".join(call("why", flight.swap.film)[1].split())
    with bench.engine.turn():
        Conversions(bench.engine).begin(flight.entry())
    assert f"its conversion, which stands still at 43 %: {paused}" in " ".join(call("why", flight.swap.film)[1].split())


async def test_after_a_kill_status_does_not_promise_how_much_of_it_is_kept(flight, bench, call, monkeypatch):
    """The next start finds that out; the time since it began runs no more."""
    monkeypatch.setenv("STATE_DB_URL", str(bench.store.path))
    bench.engine.write_progress({flight.spec.attempt_id: 0.39})
    bench.store.close()
    assert re.search(r"taken up again by the next run\n +convert +was at 39 % +waits +/", call("status")[1])
