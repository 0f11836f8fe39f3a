"""The manager's questions and answers: their shapes, on real films."""

import asyncio
import os
import signal

import pytest
from films import film, kinds
from structlog.testing import capture_logs

from watcher.config import StateConfig
from watcher.errors import StoreError
from watcher.rules.signature import Signature
from watcher.service import scans
from watcher.service.intake import Sighting
from watcher.service.manager import StateManager

RESULT = {
    "file_path", "file_id", "group_id", "is_stereo", "integrity_status", "processed_status", "size_bytes",
    "processing_time_sec", "integrity_score", "has_en2", "last_error", "status",
}  # fmt: skip


SYSTEM = {
    "total_files", "total_groups", "by_integrity_status", "by_processed_status", "due_files", "quarantined_files",
    "database_size_mb", "total_processing_time_sec", "processing_rate_fps", "running", "roots", "running_jobs", "config",
    "paused",
}  # fmt: skip


@pytest.fixture
def films(tmp_path):
    (tmp_path / "films").mkdir()
    return tmp_path / "films"


@pytest.fixture
def config(tmp_path):
    return StateConfig(
        storage_url=str(tmp_path / "watcher.db"), stable_wait_sec=0, settle_sec=0, integrity_quick_mode=True,
        backoff_step_sec=500, loop_interval_sec=1,
    )  # fmt: skip


@pytest.fixture
async def manager(config):
    async with StateManager(config) as manager:
        yield manager


async def test_a_folder_is_taken_in_worked_off_and_told_about(manager, films):
    """The way of the README's example: three films, of which one is cut."""
    film(films / "surround.mkv", **kinds["english_51"])
    film(films / "stereo.mkv", **kinds["english_stereo"])
    cut = film(films / "cut.mkv", seconds=3)
    os.truncate(cut, cut.stat().st_size // 2)
    scan = await manager.discover_directory(films)
    assert scan.pop("scan_time_sec") >= 0
    assert scan == {
        "directory": str(films), "discovered_files": 3, "files_added": 3, "files_updated": 0, "files_moved": 0,
        "status": "success",
    }  # fmt: skip
    done = {os.path.basename(result["file_path"]): result for result in await manager.process_pending()}
    assert all(set(result) == RESULT for result in done.values())
    found = {
        name: (result["status"], result["integrity_status"], result["processed_status"], result["has_en2"])
        for name, result in done.items()
    }
    assert found == {
        "surround.mkv": ("success", "complete", "converted", True),
        "stereo.mkv": ("success", "complete", "skipped_has_en2", True),
        "cut.mkv": ("error", "incomplete", "new", None),
    }
    assert done["surround.mkv"]["integrity_score"] == 1
    assert done["surround.mkv"]["processing_time_sec"] > 0
    assert "cut" in done["cut.mkv"]["last_error"]
    assert await manager.process_pending() == [], "the cut one waits for its next look"
    system = manager.get_system_status()
    assert set(system) == SYSTEM
    assert (system["total_files"], system["by_processed_status"]["converted"], system["due_files"]) == (3, 1, 0)
    assert (system["running"], system["running_jobs"]) == (False, [])
    assert system["processing_rate_fps"] == pytest.approx(2 / 3600, abs=1e-6)
    assert system["total_processing_time_sec"] > 0
    assert system["config"]["backoff_step_sec"] == 500
    assert [root["path"] for root in system["roots"]] == [str(films)]
    story = manager.get_file_status(films / "surround.mkv")
    assert [line["move"] for line in story["journal"]][:2] == ["check_started", "check_passed"]
    assert manager.get_file_status(films / "never.mkv") is None


async def test_changed_and_moved_and_gone_files_are_told_apart(manager, films):
    for name in ("a.mkv", "b.mkv", "c.mkv"):
        (films / name).write_bytes(name.encode())
    await manager.discover_directory(str(films))
    (films / "a.mkv").write_bytes(b"something else")
    (films / "b.mkv").rename(films / "moved.mkv")
    (films / "c.mkv").unlink()
    found = await manager.discover_directory(os.fsencode(films))
    assert {key: found[key] for key in found if key.startswith("files_")} == {
        "files_added": 0, "files_updated": 1, "files_moved": 1,
    }  # fmt: skip


async def test_what_a_scan_found_is_said_once_however_large_the_library(manager, films):
    """It is handed over in several batches."""
    names = [f"{number}.mkv" for number in range(scans.CHUNK_FILES + 1)]
    for folder in ("a", "b"):
        (films / folder).mkdir()
        for name in names:
            (films / folder / name).touch()
    with capture_logs() as lines:
        await manager.discover_directory(films)
    assert [(line["event"], line["new"]) for line in lines] == [("taken in", 2 * len(names))]


async def test_a_folder_that_is_not_there_is_an_answer_not_an_exception(manager, films):
    found = await manager.discover_directory(films / "none")
    assert (found["status"], found["discovered_files"]) == ("error", 0)
    assert found["error"] == f"{films / 'none'} is not there"


async def test_several_scans_at_once_are_safe(manager, films):
    for number in range(50):
        (films / f"{number}.mkv").write_bytes(b"x")
    found = await asyncio.gather(*(manager.discover_directory(films) for _ in range(4)))
    assert all(each["status"] == "success" for each in found)
    assert manager.get_system_status()["total_files"] == 50


async def test_a_limit_is_a_number_of_files_and_the_others_stay_due(manager, films):
    for name in ("a.mkv", "b.mkv", "c.mkv"):
        film(films / name, **kinds["english_stereo"])
    await manager.discover_directory(films)
    assert len(await manager.process_pending(limit=2)) == 2
    assert manager.get_system_status()["due_files"] == 1
    assert len(await manager.process_pending()) == 1


async def test_one_file_is_done_now_whatever_its_time_and_the_others_wait(config, films):
    config = config.model_copy(update={"stable_wait_sec": 3600, "settle_sec": 3600})
    for name in ("now.mkv", "later.mkv"):
        film(films / name, **kinds["english_stereo"])
    async with StateManager(config) as manager:
        await manager.discover_directory(films)
        assert await manager.process_pending() == []
        result = await manager.process_file(films / "now.mkv")
        assert (result["status"], result["processed_status"]) == ("success", "skipped_has_en2")
        assert result["processing_time_sec"] > 0
        assert manager.get_file_status(films / "later.mkv")["integrity_status"] == "unknown"
        again = await manager.process_file(films / "now.mkv")
        assert (again["status"], again["processing_time_sec"]) == ("success", 0)


async def test_a_file_nobody_knows_is_taken_in_and_one_that_failed_tried_again(manager, films):
    whole = film(films / "film.mkv", seconds=3)
    content = whole.read_bytes()
    os.truncate(whole, len(content) // 2)
    assert (await manager.process_file(whole))["integrity_status"] == "incomplete"
    assert [line["move"] for line in manager.get_file_status(whole)["journal"]] == ["check_started", "check_failed"]
    await manager.process_file(whole)
    assert len(manager.get_file_status(whole)["journal"]) == 4
    whole.write_bytes(content)
    assert (await manager.process_file(whole))["processed_status"] == "converted"
    with pytest.raises(FileNotFoundError, match="no file that is there"):
        await manager.process_file(films / "none.mkv")


async def test_what_another_manager_found_is_worked_off_by_the_next(config, films):
    film(films / "film.mkv", **kinds["english_stereo"])
    async with StateManager(config) as first:
        await first.discover_directory(films)
    async with StateManager(config) as second:
        assert [result["status"] for result in await second.process_pending()] == ["success"]


async def test_work_asked_for_beside_monitoring_is_done_by_it(config, films):
    film(films / "film.mkv", **kinds["english_stereo"])
    config = StateConfig(
        **{**config.model_dump(), "watch": [{"path": str(films)}], "stable_wait_sec": 3600, "settle_sec": 3600}
    )
    async with StateManager(config) as manager:
        monitoring = asyncio.create_task(manager.start_monitoring())
        result = await manager.process_file(films / "film.mkv")
        assert result["processed_status"] == "skipped_has_en2"
        manager.stop()
        await monitoring


async def test_what_is_seen_in_a_folder_that_was_just_taken_on_is_not_lost(config, films):
    """Monitoring takes folders on anew when it begins, at any moment of a call that works on one file."""
    seen = Signature.of(os.lstat(film(films / "film.mkv", **kinds["english_stereo"])))
    raw = (seen.device, seen.inode, seen.size_bytes, seen.mtime_ns, seen.blocks)
    async with StateManager(config) as manager:
        roots = (await manager._life.ready()).parts.roots
        root = await roots.take_on(os.fsencode(films), "poll")
        await roots.take(root.id, [Sighting(b"", [(b"film.mkv", raw)])])
        assert manager.get_file_status(films / "film.mkv") is not None


async def test_a_manager_opens_by_itself_and_closing_twice_or_while_it_monitors_is_safe(config, films):
    config = StateConfig(**{**config.model_dump(), "watch": [{"path": str(films)}]})
    manager = StateManager(config)
    assert (await manager.discover_directory(films))["status"] == "success"
    monitoring = asyncio.create_task(manager.start_monitoring())
    while not manager.is_watching():
        await asyncio.sleep(0)
    await asyncio.gather(manager.close(), manager.close())
    await monitoring
    await manager.close()
    with pytest.raises(StoreError, match="was closed"):
        await manager.discover_directory(films)
    await StateManager(config).close()


async def test_what_was_stopped_can_be_asked_for_work_and_monitor_again(config, films):
    """And a stop that comes before monitoring began counts for it."""
    film(films / "film.mkv", **kinds["english_stereo"])
    config = StateConfig(**{**config.model_dump(), "watch": [{"path": str(films)}]})
    async with StateManager(config) as manager:
        for _ in range(2):
            manager.stop()
            await manager.start_monitoring()
            assert not manager.is_watching()
        await manager.discover_directory(films)
        assert [result["status"] for result in await manager.process_pending()] == ["success"]


async def test_a_manager_that_is_not_open_can_be_stopped_and_told_to_reload(config):
    manager = StateManager(config)
    manager.stop()
    manager.reload()
    assert manager.running() == {}
    await manager.close()


async def test_closing_by_a_signal_handler_while_another_task_works_ends_that_work_first(config, films):
    """And a second time at once: the film that was being checked is as it was, and the next manager goes on."""
    film(films / "long.mkv", seconds=30)
    config = config.model_copy(update={"integrity_quick_mode": False})
    manager = StateManager(config)
    await manager.discover_directory(films)
    working = asyncio.create_task(manager.process_pending())
    while not manager.running():
        await asyncio.sleep(0)
    (job,) = manager.get_system_status()["running_jobs"]
    assert {key: job[key] for key in ("path", "kind", "percent")} == {
        "path": str(films / "long.mkv"), "kind": "check", "percent": 0,
    }  # fmt: skip
    assert job["started_at"].endswith("Z")
    asyncio.get_running_loop().add_signal_handler(
        signal.SIGUSR1, lambda: closing.append(asyncio.create_task(manager.close()))
    )
    closing = []
    os.kill(os.getpid(), signal.SIGUSR1)
    while not closing:
        await asyncio.sleep(0)
    await manager.close()
    asyncio.get_running_loop().remove_signal_handler(signal.SIGUSR1)
    assert all(result["status"] == "waiting" for result in await working)
    async with StateManager(config) as later:
        assert later.get_system_status()["due_files"] == 1


async def test_a_reset_wants_to_be_confirmed_leaves_a_backup_and_the_films(manager, films):
    film(films / "film.mkv", **kinds["english_stereo"])
    await manager.discover_directory(films)
    with pytest.raises(ValueError, match="confirm=True"):
        await manager.reset()
    answer = await manager.reset(confirm=True)
    assert answer["files_forgotten"] == 1
    assert os.path.exists(answer["backup"])
    assert manager.get_system_status()["total_files"] == 0
    assert (films / "film.mkv").exists()
    found = await manager.discover_directory(films)
    assert found["files_added"] == 1


async def test_a_group_is_told_with_its_files(manager, films):
    film(films / "Film.mkv", **kinds["english_stereo"])
    film(films / "Film.mp4", **kinds["english_stereo"])
    await manager.discover_directory(films)
    done = await manager.process_pending()
    group = manager.get_group_status(done[0]["group_id"])
    assert (group["directory"], group["name"], group["total_files"]) == (str(films), "Film", 2)
    assert sorted(file["processed_status"] for file in group["files"]) == ["duplicate", "skipped_has_en2"]
    assert group["status"] == "success"
    assert manager.get_group_status(12345) is None
