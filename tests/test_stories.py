"""Stories of traps, each told through the whole service: what stands at the end, whatever happened on the way."""

import asyncio
import multiprocessing
import os
import shutil
import signal
import time

import pytest

from watcher.config import StateConfig
from watcher.service.manager import StateManager
from watcher.store.session import Session
from watcher.store.store import StateStore
from watcher.testing import create_temp_videos


def settings(tmp_path, **changes):
    return StateConfig(
        storage_url=str(tmp_path / "watcher.db"), stable_wait_sec=0, settle_sec=0, integrity_quick_mode=True,
        backoff_step_sec=500, loop_interval_sec=1, **changes,
    )  # fmt: skip


async def one_pass(config, folder):
    async with StateManager(config) as manager:
        await manager.discover_directory(folder)
        return await manager.process_pending()


async def test_films_converted_before_are_recognised_when_the_database_is_lost_without_a_backup(tmp_path):
    (film,) = create_temp_videos(1, tmp_path / "films", "english_51")
    config = settings(tmp_path)
    (before,) = await one_pass(config, film.parent)
    seen = os.stat(film)
    shutil.rmtree(tmp_path / "backups", ignore_errors=True)
    (tmp_path / "watcher.db").write_bytes(b"\xa5" * 9000)
    (after,) = await one_pass(config, film.parent)
    assert (before["processed_status"], after["processed_status"]) == ("converted", "skipped_has_en2")
    assert (os.stat(film).st_ino, os.stat(film).st_mtime_ns) == (seen.st_ino, seen.st_mtime_ns)


async def test_a_batch_of_two_with_many_rows_that_cannot_be_worked_on_starves_nobody(tmp_path):
    """Given ten films that somebody writes, due long before the eleventh; then the eleventh has its turn."""
    folder = tmp_path / "films"
    folder.mkdir()
    writers = [(folder / f"{number} being written.mkv").open("wb") for number in range(10)]
    try:
        config = settings(tmp_path, batch_size=2)
        async with StateManager(config) as manager:
            await manager.discover_directory(folder)
            create_temp_videos(1, folder, "english_stereo")
            await manager.discover_directory(folder)
            done = await manager.process_pending()
    finally:
        for writer in writers:
            writer.close()
    assert [result["processed_status"] for result in done] == ["skipped_has_en2"]


async def test_however_a_film_is_met_it_is_one_row_and_keeps_its_number(tmp_path):
    """By scans, by name, by an old tool's list, through another manager, and changed: it is the same film."""
    (film,) = create_temp_videos(1, tmp_path / "films", "english_stereo")
    config, met = settings(tmp_path), []
    async with StateManager(config) as manager:
        await manager.import_legacy_results({"files": [str(film)]})
        met.append(manager.get_file_status(film)["file_id"])
        await asyncio.gather(*(manager.discover_directory(film.parent) for _ in range(3)))
        met.append((await manager.process_file(film))["file_id"])
    create_temp_videos(1, tmp_path / "films", "german", seconds=2)[0].replace(film)
    async with StateManager(config) as manager:
        met.append((await manager.process_file(film))["file_id"])
        await manager.discover_directory(tmp_path)
        met.append(manager.get_file_status(film)["file_id"])
        assert manager.get_system_status()["total_files"] == 1
        assert manager.get_file_status(film)["processed_status"] == "ignored"
    assert len(set(met)) == 1


async def test_a_film_from_the_future_is_a_film(tmp_path):
    (film,) = create_temp_videos(1, tmp_path / "films", "english_stereo")
    os.utime(film, (time.time() + 86_400 * 365,) * 2)
    (result,) = await one_pass(settings(tmp_path), film.parent)
    assert result["processed_status"] == "skipped_has_en2"


def _pass_and_die(config, folder, after):
    """One pass that is killed after its n-th write to the database; ends with 0 when it made fewer."""
    made = 0

    def counted(method):
        def call(self, *arguments, **options):
            nonlocal made
            result = method(self, *arguments, **options)
            if self._lock is not None and not self._db.in_transaction() and self._db.connection().total_changes > made:
                made = self._db.connection().total_changes
                counted.writes += 1
                if counted.writes == after:
                    os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call

    counted.writes = 0
    Session.run, Session.sql = counted(Session.run), counted(Session.sql)
    asyncio.run(one_pass(config, folder))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_crash_after_a_write_of_a_pass_loses_and_repeats_nothing(tmp_path):
    """Killed after the first, second, third ... write, then run to its end: each time the same end."""
    (film,) = create_temp_videos(1, tmp_path / "films", "english_stereo")
    fork = multiprocessing.get_context("fork")
    for after in range(1, 40):
        (tmp_path / str(after)).mkdir()
        config = settings(tmp_path / str(after))
        child = fork.Process(target=_pass_and_die, args=(config, film.parent, after))
        child.start()
        child.join()
        ended_by_itself = child.exitcode == 0
        assert ended_by_itself or child.exitcode == -signal.SIGKILL
        asyncio.run(one_pass(config, film.parent))
        with StateStore(config.database_path()) as store:
            entry = store.entry_at(os.fsencode(film))
            assert (str(entry.integrity_status), str(entry.processed_status)) == ("complete", "skipped_has_en2"), after
            assert store.attempts() == []
            assert entry.next_check_at_ms is None
            moves = [line.move for line in store.journal(entry.id)]
            assert (moves.count("check_passed"), moves.count("has_stereo")) == (1, 1), moves
            assert store.integrity_check() == ""
        if ended_by_itself:
            assert after > 4, "writes were counted"
            return
    pytest.fail("a pass of one film makes fewer writes than this")
