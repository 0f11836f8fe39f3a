"""The package as a stranger meets it: `import watcher`, the names of the documentation, and their examples."""

import asyncio
import doctest
import importlib
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import watcher

PACKAGE = Path(watcher.__file__).parent
WITH_EXAMPLES = sorted(
    "watcher." + ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
    if "    >>> " in path.read_text() and path.parent.name != "operations"
)


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_every_example_in_the_documentation_runs_and_says_what_it_says(name):
    found = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert found.attempted
    assert not found.failed


def test_every_public_name_is_there_with_its_documentation():
    assert set(dir(watcher)) >= {"__version__"}
    for name in watcher.__all__:
        thing = getattr(watcher, name)
        assert ">>> " in thing.__doc__, name
        assert not thing.__doc__.startswith(f"{name}("), name
    with pytest.raises(AttributeError, match="no attribute 'create_state_manger'"):
        _ = watcher.create_state_manger


def test_every_question_of_the_public_classes_is_documented():
    for name in (
        "StateManager",
        "StateStore",
        "StateMetrics",
        "StateConfigManager",
        "StatePlanner",
        "IntegrityAdapter",
    ):
        for method, thing in vars(getattr(watcher, name)).items():
            if callable(thing) and not method.startswith("_"):
                assert thing.__doc__, f"{name}.{method}"


def test_importing_the_package_loads_nothing_that_costs_time():
    code = (
        "import sys, watcher; print(sorted({m.split('.')[0] for m in sys.modules} & "
        "{'pydantic', 'peewee', 'typer', 'rich', 'structlog', 'asyncio', 'prometheus_client', 'tomlkit', 'transitions'}))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


async def test_the_way_of_the_first_example_from_arrival_to_the_answers(tmp_path, caplog, capsys):
    """Given five films; when a program takes them in and works them off; then all is told, logged and counted."""
    from watcher.testing import create_temp_videos, create_test_manager

    caplog.set_level(logging.INFO, "watcher")
    films = create_temp_videos(5, tmp_path / "films", ["english_51", "english_stereo", "german", "truncated", "empty"])
    async with await create_test_manager() as manager:
        database = manager.config.database_path()
        scan = await manager.discover_directory(tmp_path / "films")
        assert (scan["status"], scan["files_added"]) == ("success", 5)
        done = {result["file_path"]: result["processed_status"] for result in await manager.process_pending()}
        assert [done[str(film)] for film in films[:3]] == ["converted", "skipped_has_en2", "ignored"]
        health = manager.get_health_status()
        assert health["status"] in {"healthy", "degraded"}
        counts = await manager.run_maintenance()
        assert counts["entries_deleted"] == 0
        with watcher.StateStore(database, read_only=True) as store:
            plan = watcher.StatePlanner(store, manager.config)
            assert plan.due() == []
            entry = store.entry_at(bytes(films[0]))
            assert isinstance(entry, watcher.FileEntry)
            assert watcher.AudioStateMachine().may(entry, "content_changed")
            assert not watcher.AudioStateMachine().may(entry, "converted")
            assert [line.move for line in store.journal(entry.id)][-1] == "converted"
    assert not database.exists(), "a test's database goes away with its manager"
    assert watcher.get_metrics().get_summary(since_hours=1)["counters"]["files_discovered"] >= 5
    assert watcher.get_metrics().to_openmetrics().endswith("# EOF\n")
    assert capsys.readouterr().out == ""


async def test_a_library_logs_to_logging_and_prints_nothing(tmp_path, caplog, capsys):
    caplog.set_level(logging.INFO, "watcher")
    config = watcher.StateConfig(storage_url=str(tmp_path / "watcher.db"))
    async with watcher.create_state_manager(config=config):
        pass
    assert [record.getMessage() for record in caplog.records if record.name.startswith("watcher")][-1] == "closed"
    assert capsys.readouterr() == ("", "")


def test_a_preset_gives_way_to_file_and_environment(tmp_path, monkeypatch):
    file = tmp_path / "custom.toml"
    file.write_text(f'stable_wait_sec = 7\nstorage_url = "{tmp_path}/a.db"\n')
    assert watcher.create_state_manager("development", config=file).config.stable_wait_sec == 7
    assert watcher.create_state_manager("development", config=file).config.log_level == "debug"
    monkeypatch.setenv("STATE_LOG_LEVEL", "warning")
    monkeypatch.setenv("STATE_DB_URL", str(tmp_path / "b.db"))
    found = watcher.create_state_manager("development", config=file).config
    assert (found.log_level, found.database_path()) == ("warning", tmp_path / "b.db")


async def test_a_second_manager_on_one_database_is_refused_by_the_pid_of_the_first(tmp_path):
    config = watcher.StateConfig(storage_url=str(tmp_path / "watcher.db"))
    async with watcher.create_state_manager(config=config):
        second = watcher.create_state_manager(config=config)
        with pytest.raises(watcher.WatcherError, match=r"in use by another watcher \(process \d+\)"):
            await second.discover_directory(tmp_path)
        await second.close()


def test_a_manager_made_before_a_loop_runs_works_in_it(tmp_path):
    manager = watcher.create_state_manager(config=watcher.StateConfig(storage_url=str(tmp_path / "watcher.db")))

    async def use():
        found = await manager.discover_directory(tmp_path)
        await manager.close()
        return found["status"]

    assert asyncio.run(use()) == "success"


def test_the_example_of_the_readme_runs(tmp_path, monkeypatch):
    """Word for word, but for the folder."""
    monkeypatch.setenv("STATE_DB_URL", str(tmp_path / "watcher.db"))
    blocks = re.findall(r"```python\n(.*?)```", (PACKAGE.parent / "README.md").read_text(), re.DOTALL)
    (code,) = (block for block in blocks if "create_state_manager" in block)
    script = code.replace("/path/to/videos", os.fspath(tmp_path))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("{'directory': ")
    assert done.stderr == ""
