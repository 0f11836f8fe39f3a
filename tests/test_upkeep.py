"""Backups come by themselves, maintenance takes only what nobody needs, and a broken database is not the end."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from watcher.config import StateConfig
from watcher.errors import StoreError
from watcher.service import upkeep
from watcher.service.manager import StateManager
from watcher.service.upkeep import Upkeep
from watcher.store import care
from watcher.watch import mounts, roots

DAY = 86_400


@pytest.fixture
def thread():
    with ThreadPoolExecutor(1) as pool:
        yield lambda call, *arguments: asyncio.get_running_loop().run_in_executor(pool, call, *arguments)


@pytest.fixture
def keeper(bench, thread):
    identity = roots.look(os.fsencode(bench.root)).identity
    for column in ("device", "inode", "fs_type"):
        bench.store.update_root(bench.root_id, **{column: getattr(identity, column)})
    return Upkeep(bench.engine, thread)


def seen_and_gone(bench, *names):
    for name in names:
        bench.write(name)
        bench.see(name)
        os.unlink(bench.path(name))
        bench.see(name)


# --- maintenance


async def test_entries_gone_for_long_are_forgotten_and_others_stay(bench, keeper):
    bench.write("there.mkv")
    bench.see("there.mkv")
    seen_and_gone(bench, "long gone.mkv")
    bench.clock.forward(50 * DAY)
    seen_and_gone(bench, "gone.mkv")
    bench.clock.forward(11 * DAY)
    counts = await keeper.maintain()
    assert counts["entries_deleted"] == 1
    assert bench.entry("long gone.mkv") is None
    assert bench.entry("there.mkv") is not None
    assert bench.entry("gone.mkv") is not None


async def test_nothing_is_forgotten_of_a_folder_that_is_not_there_or_in_doubt(bench, keeper):
    bench.write("there.mkv")
    bench.see("there.mkv")
    seen_and_gone(bench, "gone.mkv")
    bench.clock.forward(61 * DAY)
    bench.root.rename(bench.root.with_name("unmounted"))
    assert (await keeper.maintain())["entries_deleted"] == 0
    bench.root.with_name("unmounted").rename(bench.root)
    bench.store.update_root(bench.root_id, suspended_because="files are gone at once")
    assert (await keeper.maintain())["entries_deleted"] == 0
    bench.store.update_root(bench.root_id, suspended_because=None)
    assert (await keeper.maintain())["entries_deleted"] == 1


async def test_an_entry_in_work_is_never_forgotten(bench, keeper):
    seen_and_gone(bench, "film.mkv")
    entry = bench.entry("film.mkv")
    bench.store.begin_attempt(id="x", entry=entry.id, kind="convert", started_at_ms=1, lease_until_ms=2, source={})
    bench.clock.forward(61 * DAY)
    assert (await keeper.maintain())["entries_deleted"] == 0


async def test_old_journal_lines_go_but_the_last_about_each_thing_of_a_file_stays(bench, keeper, monkeypatch):
    monkeypatch.setattr(care, "STEP", 3)
    bench.write("film.mkv")
    bench.see("film.mkv")
    for move in ("check_started", "check_passed", "has_stereo", "check_started", "check_passed"):
        bench.engine.move(bench.entry("film.mkv"), move, next_at=None)
    assert len(bench.journal("film.mkv")) == 5
    bench.clock.forward(61 * DAY)
    bench.engine.move(bench.entry("film.mkv"), "released", next_at=None)
    assert (await keeper.maintain())["journal_lines_deleted"] == 4
    assert bench.journal("film.mkv") == ["has_stereo", "released"]


async def test_groups_without_files_go(bench, keeper):
    bench.write("film.mkv")
    bench.see("film.mkv")
    entry = bench.entry("film.mkv")
    full, empty = (bench.store.group_of(entry.folder_id, stem) for stem in (b"film", b"other"))
    bench.store.update_entry(entry, group=full)
    assert (await keeper.maintain())["groups_deleted"] == 1
    assert bench.store.group_of(entry.folder_id, b"film") == full
    assert bench.store.sql("SELECT count(*) FROM group_entry WHERE id = ?", (empty,)).fetchone() == (0,)


async def test_the_file_is_rewritten_when_that_frees_much_of_it_and_not_otherwise(bench, keeper, monkeypatch):
    monkeypatch.setattr(care, "_VACUUM_MIN_BYTES", 100_000)
    bench.write("there.mkv")
    bench.see("there.mkv")
    bench.store.put_finding(bench.entry("there.mkv").id, verdict={"a": "x" * 300_000})
    bench.store.put_finding(bench.entry("there.mkv").id, verdict=None)
    bench.store.checkpoint()
    before = bench.store.path.stat().st_size
    counts = await keeper.maintain()
    assert counts["freed_bytes"] > 100_000
    assert bench.store.path.stat().st_size < before - 100_000
    assert (await keeper.maintain())["freed_bytes"] == 0


async def test_maintenance_beside_running_work_loses_no_move(bench, keeper, thread, monkeypatch):
    monkeypatch.setattr(care, "STEP", 10)
    bench.write("film.mkv")
    bench.see("film.mkv")
    for _ in range(150):
        for move in ("check_started", "check_cancelled"):
            bench.engine.move(bench.entry("film.mkv"), move, next_at=None)
    bench.clock.forward(61 * DAY)
    made = 0

    def move(name, **changes):
        bench.engine.move(bench.entry("film.mkv"), name, next_at=None, **changes)

    async def worker(done):
        nonlocal made
        while not done.is_set():
            for name in ("check_started", "check_cancelled"):
                await thread(move, name)
                made += 1

    done = asyncio.Event()
    working = asyncio.create_task(worker(done))
    counts = await keeper.maintain()
    done.set()
    await working
    assert made > 2, "work went on in between"
    assert counts["journal_lines_deleted"] >= 299
    assert bench.journal("film.mkv")[-1] == "check_cancelled"
    assert bench.store.integrity_check() == ""


# --- backups by themselves


async def _daily(keeper):
    keeper.turn()
    if keeper._task is not None:
        await keeper._task
    keeper.turn()


async def test_a_backup_is_made_when_the_newest_is_a_day_old_also_after_a_restart(bench, keeper, thread):
    await _daily(keeper)
    await _daily(keeper)
    assert len(os.listdir(bench.store.backups)) == 1
    bench.clock.forward(23 * 3600)
    restarted = Upkeep(bench.engine, thread)
    await _daily(restarted)
    assert len(os.listdir(bench.store.backups)) == 1
    bench.clock.forward(3600)
    await _daily(restarted)
    assert len(os.listdir(bench.store.backups)) == 2


async def test_a_backup_that_cannot_be_made_is_said_and_tried_again_within_the_hour(bench, keeper):
    bench.store.backups.write_text("in the way")
    with capture_logs() as lines:
        await _daily(keeper)
        await _daily(keeper)
        assert [line["event"] for line in lines if line["log_level"] == "error"] == ["no backup"]
        bench.store.backups.unlink()
        bench.clock.forward(upkeep.RETRY_SEC)
        await _daily(keeper)
    assert len(os.listdir(bench.store.backups)) == 1


# --- where the database may lie, and what is said when it is broken


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "smb3"])
def test_a_database_on_a_network_file_system_is_refused_unless_the_risk_is_taken(monkeypatch, tmp_path, kind):
    monkeypatch.setattr(mounts, "fs_type_at", lambda path: kind)
    place = str(tmp_path / "watcher.db")
    with pytest.raises(StoreError, match=f"network file system \\({kind}\\).*allow_network_database"):
        upkeep.refuse_network(StateConfig(storage_url=place))
    upkeep.refuse_network(StateConfig(storage_url=place, allow_network_database=True))


async def test_a_broken_database_is_said_loudly_and_a_scan_finds_what_the_backup_does_not_know(tmp_path):
    films = tmp_path / "films"
    films.mkdir()
    config = StateConfig(storage_url=str(tmp_path / "watcher.db"), backup_dir=str(tmp_path / "copies"))
    (films / "old.mkv").write_bytes(b"old")
    async with StateManager(config) as manager:
        await manager.discover_directory(os.fsencode(films))
        copy = await manager.backup()
        (films / "new.mkv").write_bytes(b"new")
        await manager.discover_directory(os.fsencode(films))
    assert Path(copy).parent == tmp_path / "copies"
    os.truncate(tmp_path / "watcher.db", 5000)
    with capture_logs() as lines:
        async with StateManager(config) as manager:
            found = await manager.discover_directory(os.fsencode(films))
    (loud,) = [line for line in lines if line["log_level"] == "error"]
    assert loud["event"] == "database restored from a backup"
    assert loud["restored_from"] == copy
    assert all(os.path.exists(path) for path in loud["set_aside"])
    assert (found["discovered_files"], found["files_added"]) == (2, 1)
