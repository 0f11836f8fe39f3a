"""A service is asked from another process how it is: what only it knows, and what is said when it cannot answer."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from running import Service

from watcher.config import StateConfig
from watcher.service import asking, health
from watcher.service.manager import StateManager


def codes(found):
    return {issue["code"] for issue in found["issues"]} - {"low_space"}


@pytest.fixture
async def monitoring(tmp_path):
    """A service in this process, asked through its socket as any other process would."""
    films = tmp_path / "films"
    films.mkdir()
    config = StateConfig(storage_url=str(tmp_path / "watcher.db"), loop_interval_sec=60, watch=[{"path": str(films)}])
    async with StateManager(config) as manager:
        task = asyncio.create_task(manager.start_monitoring())
        while not manager.is_compared():
            await asyncio.sleep(0.05)
        yield manager
        manager.stop()
        await task


async def test_what_only_the_service_knows_is_told_to_others(monitoring):
    """A watch that gives nothing, and a loop that hangs: a thread of its own answers."""
    outside = StateManager(monitoring.config)
    assert codes(await asyncio.to_thread(outside.get_health_status)) == set()
    running = monitoring._life.running
    (root,) = running.parts.roots.all()
    async with running.loop._one_turn:  # it hangs: no turn begins
        running.parts.roots.trouble(root.id, "the limit of inotify watches is reached")
        running.loop.last_turn -= 1000
        found = await asyncio.to_thread(outside.get_health_status)
    assert (found["status"], codes(found)) == ("unhealthy", {"events_lost", "loop_stale"})
    assert set(found) == {"status", "issues", "paused"}


async def test_a_socket_that_cannot_be_made_keeps_nothing_from_working(tmp_path):
    config = StateConfig(storage_url=str(tmp_path / "watcher.db"))
    asking.socket_of(config.database_path()).mkdir()
    async with StateManager(config) as manager:
        task = asyncio.create_task(manager.start_monitoring())
        while not manager.is_watching():
            await asyncio.sleep(0.05)
        assert health.told_by_service(config) is None
        manager.stop()
        await task


def test_a_service_that_hangs_was_killed_or_does_not_run(tmp_path, call, monkeypatch):
    """However long the way to its database is; an idle service is not woken by being askable, and writes nothing."""
    monkeypatch.setattr(asking, "ANSWER_WITHIN_SEC", 1)
    folder = tmp_path / ("deep" * 20) / ("down" * 20)
    (folder / "films").mkdir(parents=True)
    service = Service(folder, folder / "films", loop_interval_sec=30)
    config = StateConfig(storage_url=str(service.database), watch=[{"path": str(folder / "films")}])
    with service:
        service.until(lambda: health.told_by_service(config), "it answers")
        assert codes(health.told_by_service(config)) == set()
        service.until(lambda: _sleeps_for_a_second(service), "it sleeps, and writes nothing", timeout=15)
        os.kill(service.pid, signal.SIGSTOP)
        code, said, _ = call("health", "--config", service.config)
        assert (code, "does not answer" in said) == (2, True)
        os.kill(service.pid, signal.SIGCONT)
        service.stop(signal.SIGKILL)
    assert asking.socket_of(service.database).exists()
    code, said, _ = call("health", "--config", service.config)
    assert (code, "no service works on this database" in said) == (1, True)
    with service:
        service.until(lambda: health.told_by_service(config), "it answers again")
        assert service.stop() == 0
    assert not asking.socket_of(service.database).exists()


def _sleeps_for_a_second(service):
    before = _wakings(service.pid), _database(service)
    service.rest(1)
    return (_wakings(service.pid), _database(service)) == before


def _wakings(pid):
    """Give how often the threads of a process gave up the processor by themselves: they had been woken."""
    status = [(task / "status").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    return sum(int(text.split("voluntary_ctxt_switches:")[1].split()[0]) for text in status)


def _database(service):
    return {file.name: file.stat().st_mtime_ns for file in service.database.parent.iterdir()}
