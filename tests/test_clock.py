"""The wall clock is set back, set forward, or drifts: what waits waits as long as it was promised, and no longer."""

import time

import pytest
from helpers import Clock
from structlog.testing import capture_logs

from watcher.config import StateConfig
from watcher.service import clock
from watcher.service.manager import StateManager
from watcher.store import pauses
from watcher.store.store import add_request
from watcher.testing import create_temp_videos

HOUR = 3600


def due_in(bench, name):
    return bench.entry(name).next_check_at_ms / 1000 - bench.clock.now


@pytest.mark.parametrize(("by", "seen"), [(-HOUR, -HOUR), (HOUR, HOUR), (-1, 0), (3, 0)])
def test_a_jump_is_told_once_and_a_slow_correction_is_none(by, seen):
    wall, running = Clock(), Clock(50.0)
    jumps = clock.Jumps(wall, running)
    for each in (wall, running):
        each.forward(10)
    assert jumps.since() == 0
    wall.forward(by)
    assert jumps.since() == seen
    assert jumps.since() == 0


def test_a_clock_that_drifts_for_a_year_never_jumps():
    wall, running = Clock(), Clock(50.0)
    jumps = clock.Jumps(wall, running)
    for _ in range(1000):
        running.forward(10)
        wall.forward(10.005)
        assert jumps.since() == 0


@pytest.mark.parametrize("by", [-HOUR, HOUR])
def test_what_waits_to_be_quiet_or_for_another_try_waits_as_long_as_before(bench, by):
    for name in ("new.mkv", "broken.mkv", "done.mkv"):
        bench.write(name)
        bench.see(name)
    with bench.engine.turn():
        for name in ("broken.mkv", "done.mkv"):
            bench.engine.move(bench.entry(name), "check_started", next_at=None)
        bench.engine.move(bench.entry("broken.mkv"), "check_undecided", next_at=bench.clock.now + 300)
        bench.engine.move(bench.entry("done.mkv"), "check_passed", next_at=None)
    bench.clock.forward(20 + by)
    clock.follow(bench.engine, by)
    assert due_in(bench, "new.mkv") == pytest.approx(bench.engine.config.stable_wait_sec - 20)
    assert bench.clock.now - bench.entry("new.mkv").quiet_since_ms / 1000 == pytest.approx(20)
    assert due_in(bench, "broken.mkv") == pytest.approx(280)
    assert bench.entry("done.mkv").next_check_at_ms is None


def test_a_lease_moves_with_the_clock(bench):
    bench.write("a.mkv")
    bench.see("a.mkv")
    with bench.engine.turn():
        spec = bench.checks.begin(bench.entry("a.mkv"), "test")
    bench.clock.forward(HOUR)
    clock.follow(bench.engine, HOUR)
    (attempt,) = bench.store.attempts()
    assert attempt.lease_until_ms / 1000 - bench.clock.now == pytest.approx(spec.lease_sec, abs=0.01)


@pytest.mark.parametrize(("by", "left"), [(-HOUR, HOUR), (HOUR / 2, HOUR / 2)])
def test_a_pause_of_an_hour_lasts_no_longer_when_the_clock_is_set_back(bench, by, left):
    now_ms = bench.engine.now_ms()
    add_request(bench.store.path, "pause", b"", now_ms, {"until_ms": now_ms + HOUR * 1000})
    pauses.take(bench.store)
    bench.clock.forward(by)
    clock.follow(bench.engine, by)
    pause = pauses.lasting(bench.store, bench.engine.now_ms())
    assert pause.until_ms / 1000 - bench.clock.now == left


class Running(Clock):
    """A clock that runs, and can be set."""

    def __init__(self):
        super().__init__(0.0)

    def __call__(self):
        return time.time() + self.now


async def in_a_minute(manager, wall):
    """Let more than a minute go by in steps that are no jumps; gives what was worked on in each."""
    done = []
    for _ in range(15):
        wall.forward(4.2)
        done.append([result["processed_status"] for result in await manager.process_pending()])
    return done


async def test_a_clock_set_back_an_hour_leaves_no_film_unseen_for_an_hour(tmp_path):
    """Given a film that waits a minute; when the clock goes back an hour, its minute is over after a minute."""
    (film,) = create_temp_videos(1, tmp_path / "films", "english_stereo")
    wall = Running()
    config = StateConfig(storage_url=str(tmp_path / "watcher.db"), integrity_quick_mode=True, loop_interval_sec=1)
    async with StateManager(config, clock=wall) as manager:
        await manager.discover_directory(film.parent)
        wall.forward(-HOUR)
        with capture_logs() as lines:
            assert await manager.process_pending() == []
        (jump,) = [line for line in lines if line["event"] == "clock jumped"]
        assert (jump["by_sec"], jump["waiting_files"]) == (pytest.approx(-HOUR, abs=3), 1)
        done = await in_a_minute(manager, wall)
    assert [each for each in done if each] == [["skipped_has_en2"]]
    assert not done[0]


@pytest.mark.parametrize("wait", [60, 0])
async def test_a_clock_set_back_while_nothing_ran_is_noticed_at_the_start(tmp_path, wait):
    """For a film that waited its minute, and for one that was due at once, when the machine went off."""
    (film,) = create_temp_videos(1, tmp_path / "films", "english_stereo")
    wall = Running()
    config = StateConfig(
        storage_url=str(tmp_path / "watcher.db"), integrity_quick_mode=True, stable_wait_sec=wait, settle_sec=wait
    )
    async with StateManager(config, clock=wall) as manager:
        await manager.discover_directory(film.parent)
    wall.forward(-24 * HOUR)
    async with StateManager(config, clock=wall) as manager:
        now = [result["processed_status"] for result in await manager.process_pending()]
        later = [] if now else await in_a_minute(manager, wall)
    found = [each for each in (now, *later) if each]
    assert (found, bool(now)) == ([["skipped_has_en2"]], not wait)
