"""Health: each thing that can be wrong is said with its code, in a sentence, with what to do; and nothing else is."""

import os
import shutil
import time

import pytest

from watcher.config import StateConfig
from watcher.service import health
from watcher.store.store import StateStore


@pytest.fixture
def config(bench):
    return StateConfig(storage_url=str(bench.store.path), watch=[{"path": str(bench.root)}])


@pytest.fixture(autouse=True)
def _plenty_of_space(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**13, 0, 10**13))


def codes(config, *arguments, **options):
    found = health.check(config, *arguments, **options)
    for issue in found["issues"]:
        assert set(issue) == {"code", "severity", "sentence", "remedy"}
        assert issue["sentence"]
        assert issue["remedy"]
    return found["status"], [issue["code"] for issue in found["issues"]]


def inside(**changes):
    return health.Inside(**{"watching": True, "beat_ago_sec": 1.0, "silent_roots": (), "waiting_hints": 0, **changes})


def put(bench, *moves, name="film.mkv"):
    bench.clock.now = time.time()
    bench.write(name)
    bench.see(name)
    for move in moves:
        bench.engine.move(bench.entry(name), move, next_at=None)


def test_where_nothing_is_wrong_nothing_is_said(bench, config):
    put(bench, "check_started", "check_passed", "has_stereo")
    assert codes(config) == ("healthy", [])
    assert codes(config, inside=inside()) == ("healthy", [])


def test_a_program_that_is_missing_and_a_service_that_does_not_run(bench, config):
    assert codes(config, "ffmpeg was not found on PATH") == ("unhealthy", ["ffmpeg"])
    bench.store.close()
    assert codes(config) == ("degraded", ["not_running"])


def test_a_database_that_is_not_there_or_broken(bench, config, tmp_path):
    assert codes(StateConfig(storage_url=str(tmp_path / "none.db")))[1][0] == "database_unreadable"
    bench.store.checkpoint()
    bench.store.close()
    with open(bench.store.path, "r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * 4096 * 4)
    assert codes(config) == ("unhealthy", ["database_damaged", "not_running"])
    StateStore(bench.store.path).close()
    assert "database_was_damaged" in codes(config)[1], "said until the person has seen to it"


def test_a_database_that_is_not_in_wal(bench, config):
    bench.store.sql("PRAGMA journal_mode = delete")
    assert codes(config) == ("degraded", ["database_not_wal"])


def test_backups_that_stopped(bench, config):
    bench.store.backup(now=time.time() - 5 * 86_400)
    assert codes(config) == ("degraded", ["backup_old"])


def test_folders_that_are_missing_suspended_or_cannot_be_written(bench, config, monkeypatch):
    bench.store.update_root(bench.root_id, suspended_because="it is empty, and was not")
    assert codes(config) == ("unhealthy", ["root_suspended"])
    bench.store.update_root(bench.root_id, suspended_because=None)
    monkeypatch.setattr(os, "access", lambda path, mode, **_: os.fsencode(path) != os.fsencode(bench.root))
    assert codes(config) == ("unhealthy", ["root_unwritable"])
    bench.root.rmdir()
    assert codes(config) == ("unhealthy", ["root_missing"])


@pytest.mark.parametrize(("free", "status"), [(5e7, "degraded"), (1e6, "unhealthy")])
def test_low_space_under_the_database_and_the_films(bench, config, monkeypatch, free, status):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**13, 0, int(free)))
    assert codes(StateConfig(storage_url=str(bench.store.path))) == (status, ["low_space"])
    assert codes(config)[1] == ["low_space", "low_space"]


def test_files_that_were_given_up_or_could_not_be_converted(bench, config):
    put(bench, "check_started", "check_failed", "gave_up", name="a.mkv")
    put(bench, "check_started", "check_passed", "conversion_failed", name="b.mkv")
    assert codes(config) == ("degraded", ["files_quarantined", "conversions_failed"])


def test_many_files_without_a_verdict_point_to_the_machine_and_one_does_not(bench, config):
    put(bench, "check_started", "check_undecided", name="0.mkv")
    assert codes(config) == ("healthy", [])
    for number in range(1, 4):
        put(bench, "check_started", "check_undecided", name=f"{number}.mkv")
    assert codes(config) == ("unhealthy", ["many_errors"])


def test_work_that_hangs_or_waits_too_long_while_a_service_runs(bench, config):
    put(bench, name="late.mkv")
    bench.store.update_entry(bench.entry("late.mkv"), next_check_at_ms=int((time.time() - 2 * 3600) * 1000))
    put(bench, name="stuck.mkv")
    stuck = bench.entry("stuck.mkv")
    bench.store.begin_attempt(id="x", entry=stuck.id, kind="check", started_at_ms=1, lease_until_ms=2, source={})
    assert codes(config) == ("unhealthy", ["lease_expired", "work_waits"])
    bench.store.close()
    assert codes(config) == ("degraded", ["not_running"])


def test_what_only_the_service_knows_of_itself(config):
    assert codes(config, inside=inside(beat_ago_sec=600)) == ("unhealthy", ["loop_stale"])
    assert codes(config, inside=inside(watching=False, beat_ago_sec=600)) == ("healthy", [])
    assert codes(config, inside=inside(silent_roots=((b"/films", "inotify limit"),))) == ("degraded", ["events_lost"])
    assert codes(config, inside=inside(waiting_hints=9000)) == ("degraded", ["memory_full"])
    assert codes(config, inside=inside(waiting_hints=8999)) == ("healthy", [])
