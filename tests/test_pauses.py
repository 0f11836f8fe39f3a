"""A pause: what wishes make of it, how its length is written, and what is told of it while nothing runs."""

import json
import time

import pytest

from watcher.errors import UsageError
from watcher.rules import pauses
from watcher.rules.pauses import Pause
from watcher.service import health
from watcher.service.pausing import Pausing
from watcher.store import pauses as stored
from watcher.store.store import add_request

HOUR = 3_600_000


@pytest.fixture(autouse=True)
def _own_database(monkeypatch, tmp_path):
    monkeypatch.setenv("STATE_DB_URL", str(tmp_path / "watcher.db"))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("45m", 2700), ("2h", 7200), ("1h30m", 5400), (" 1D 2 h", 93600), ("1w", 604_800)],
)
def test_a_length_of_time_is_a_number_and_a_unit_or_several(text, seconds):
    assert pauses.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "h", "-2h", "0h", "2 hours", "1.5h", "2h!", "367d", "9999999999d"])
def test_what_is_no_length_of_time_is_refused_in_words(text):
    """Those that are wrong name what is right; a pause without an end is asked for by saying none."""
    with pytest.raises(UsageError, match=r"is one|somebody ends it"):
        pauses.seconds(text)


def test_who_asks_again_says_anew_how_long_it_lasts():
    """The beginning stays; the end and the reason are those said last; a new pause begins anew."""
    first = pauses.after(None, "pause", 10, {"until_ms": None, "reason": "film"})
    assert first == Pause(10, None, "film")
    again = pauses.after(first, "pause", 20, {"until_ms": 90, "reason": ""})
    assert again == Pause(10, 90, "")
    assert pauses.after(again, "pause", 95, {"until_ms": None}) == Pause(95)


def test_a_pause_lasts_until_its_end_or_until_it_is_ended():
    """Whichever is first; ending what is over, or was never begun, changes nothing."""
    timed = Pause(10, 90)
    assert [timed.lasts(now) for now in (10, 89, 90)] == [True, True, False]
    ended = pauses.after(timed, "resume", 50, None)
    assert ended.over_since_ms(60) == 50
    assert pauses.after(timed, "resume", 91, None) == timed
    assert pauses.after(ended, "resume", 60, None) == ended
    assert pauses.after(None, "resume", 60, None) is None


async def test_wishes_are_taken_once_and_outlive_a_restart(bench):
    """The pause is in the database; who reads it before the service does has the wishes, too."""

    async def in_store(call, *arguments):
        return call(*arguments)

    def pausing():
        return Pausing(bench.engine, in_store)

    now = bench.engine.now_ms()
    number = add_request(bench.store.path, "pause", b"", now, {"until_ms": now + HOUR, "reason": "film"})
    assert stored.lasting(bench.store, now) == Pause(now, now + HOUR, "film")
    first = pausing()
    await first.turn()
    assert (first.is_on, first.until, bench.store.has_request(number)) == (True, (now + HOUR) / 1000, False)
    second = pausing()
    await second.turn()
    assert second.is_on
    assert second.manager.is_paused
    assert "film" in second.sentence()
    bench.clock.forward(3600)
    await second.turn()
    assert (second.is_on, second.manager.is_paused, second.until) == (False, False, float("inf"))
    third = pausing()
    await third.turn()
    assert not third.is_on
    add_request(bench.store.path, "resume", b"", now)
    await third.turn()
    assert bench.store.requests() == []


async def test_the_time_of_a_pause_is_given_to_the_jobs_that_stood_still(bench):
    """A lease that would have run out has not."""

    async def in_store(call, *arguments):
        return call(*arguments)

    bench.write("film.mkv")
    bench.see("film.mkv")
    spec = bench.checks.begin(bench.entry("film.mkv"), "test")
    before = bench.store.attempt(spec.attempt_id).lease_until_ms
    pausing = Pausing(bench.engine, in_store)
    add_request(bench.store.path, "pause", b"", bench.engine.now_ms())
    await pausing.turn()
    bench.clock.forward(5000)
    await pausing.turn()
    assert bench.store.attempt(spec.attempt_id).lease_until_ms == before
    add_request(bench.store.path, "resume", b"", bench.engine.now_ms())
    await pausing.turn()
    assert bench.store.attempt(spec.attempt_id).lease_until_ms == before + 5_000_000


def test_nothing_is_late_while_it_is_paused_nor_for_the_time_it_was(bench):
    """A file due for hours, and a lease that has run out, say nothing then; a pause that may be forgotten does."""
    from watcher.config import StateConfig

    bench.clock.now = time.time() - 4 * 3600
    bench.write("film.mkv")
    bench.see("film.mkv")
    bench.write("other.mkv")
    bench.see("other.mkv")
    spec = bench.checks.begin(bench.entry("other.mkv"), "test")
    bench.store.update_attempt(spec.attempt_id, lease_until_ms=1)
    config = StateConfig(storage_url=str(bench.store.path), watch=[{"path": str(bench.root)}])

    def found():
        return {issue["code"] for issue in health.check(config)["issues"]} & {"work_waits", "lease_expired", "paused"}

    now = int(time.time() * 1000)
    assert found() == {"work_waits", "lease_expired"}
    add_request(bench.store.path, "pause", b"", now - 3 * HOUR)
    assert found() == set()
    assert health.check(config)["paused"]["sentence"] == "paused until somebody resumes it"
    add_request(bench.store.path, "resume", b"", now - HOUR // 2)
    assert found() == {"lease_expired"}
    add_request(bench.store.path, "pause", b"", now - 72 * HOUR)
    assert found() == {"paused"}


def test_a_pause_is_asked_for_and_told_of_while_no_service_runs(call, bench):
    """By `status`, `next` and `health`, in words and as JSON; said again, and ended, it says what was."""
    bench.write("film.mkv")
    bench.see("film.mkv")
    bench.store.close()
    code, out, _ = call("pause", "--for", "2h", "--reason", "film\n night")
    assert code == 0
    assert out.startswith("paused until 2")
    assert r"film\n night; no service runs now, nothing is begun when the service runs next" in out
    assert "Service   not running, paused until 2" in call("status")[1]
    told = json.loads(call("status", "--json")[1])["paused"]
    assert (told["reason"], told["until"][-1]) == (r"film\n night", "Z")
    assert call("next")[1].startswith("paused until 2")
    assert json.loads(call("next", "--json")[1])["paused"] == told
    assert "but no service runs now, and all is paused until 2" in " ".join(
        call("why", bench.path("film.mkv"))[1].split()
    )
    assert json.loads(call("why", "--json", bench.path("film.mkv"))[1])["paused"] == told
    assert "paused until 2" in call("health")[1]
    assert json.loads(call("health", "--json")[1])["paused"] == told
    assert call("pause")[1].startswith("it was paused already; now paused until somebody resumes it; no service")
    assert call("resume")[1] == "resumed; no service runs now, the service works when it runs next\n"
    assert call("resume") == (0, "it is not paused: nothing to do\n", "")
    assert json.loads(call("status", "--json")[1])["paused"] is None
    code, out, err = call("pause", "--for", "2 hours")
    assert (code, out) == (2, "")
    assert err == "watcher: '2 hours' is no length of time: 30m, 2h, 1h30m or 3d is one (s, m, h, d, w)\n"
    assert call("pause", "--reason", "x" * 201)[0] == 2
