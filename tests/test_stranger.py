"""The package as a stranger meets it: `import watcher`, the names of the documentation, and their examples."""

import asyncio
import doctest
import importlib
import json
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


async def test_every_other_question_of_the_library_asked_by_who_only_knows_its_name(tmp_path):
    """Given films and what an old tool left; when each name is used once; then each does what it says."""
    from watcher.testing import create_temp_videos

    whole, twin, cut = create_temp_videos(3, tmp_path / "films", ["english_stereo", "english_stereo", "truncated"])
    whole, twin = whole.rename(whole.with_name("Film.mkv")), twin.rename(twin.with_name("Film.mk3d"))
    (tmp_path / "films" / ".audio_converter_state.json").write_text(
        json.dumps({cut.name: {"file": cut.name, "status": "no_english", "message": "", "timestamp": 1}})
    )
    settings = watcher.StateConfigManager(tmp_path / "custom.json")
    settings.update_config({"storage_url": str(tmp_path / "a.db"), "stable_wait_sec": 0, "settle_sec": 0})
    settings.update_config({"watch": [{"path": str(tmp_path / "films")}], "loop_interval_sec": 1})
    settings.save_config()
    manager = watcher.create_state_manager("development", config=str(tmp_path / "custom.json"))
    assert isinstance(manager, watcher.StateManager)
    taken = await manager.migrate_legacy_state_files(tmp_path / "films")
    assert taken == {"imported": 1, "skipped_existing": 0, "skipped_missing": 0, "errors": []}
    assert (await manager.import_legacy_results({"files": [str(cut)]}))["skipped_existing"] == 1
    assert (await manager.process_file(str(whole)))["processed_status"] == "skipped_has_en2"
    monitoring = asyncio.create_task(manager.start_monitoring())
    while (manager.get_file_status(bytes(twin)) or {}).get("processed_status") != "duplicate":
        await asyncio.sleep(0)
    assert manager.get_system_status()["running"]
    manager.stop()
    await monitoring
    group = manager.get_group_status(manager.get_file_status(whole)["group_id"])
    assert (group["name"], group["total_files"], group["status"]) == ("Film", 2, "success")
    with watcher.StateStore(str(tmp_path / "a.db"), read_only=True) as store:
        assert isinstance(store.group(group["group_id"]), watcher.GroupEntry)
        assert [member.name for member in store.members_of(group["group_id"])] == [b"Film.mkv", b"Film.mk3d"]
        assert watcher.StatePlanner(store, watcher.get_production_config()).next_deadline() is None
    adapter = watcher.IntegrityAdapter(watcher.get_development_config())
    assert await adapter.check_integrity(whole)
    assert not await adapter.check_integrity(cut)
    assert (await adapter.verdict("none.mkv")).sentence() == "the file could not be read: No such file or directory"
    assert (await adapter.verdict(cut)).status is watcher.IntegrityStatus.INCOMPLETE
    copy = await manager.backup()
    assert (await manager.reset(confirm=True))["files_forgotten"] == 3
    await manager.close()
    await manager.close()
    assert os.path.exists(copy)
    metrics = watcher.StateMetrics()
    with metrics.timer("mine"):
        metrics.record_gauge("depth", 3)
    assert set(metrics.get_summary(since_hours=1.0)["timings"]["mine"]) == {
        "count", "sum", "avg", "min", "max", "p50", "p95",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: watcher.create_state_manager("staging"), "one of production, development, not 'staging'"),
        (lambda: watcher.create_state_manager(config={"batch_size": 1}), "a file of settings, not a dict"),
        (lambda: watcher.create_state_manager(config="/none.toml"), "/none.toml: cannot be read"),
        (lambda: watcher.StateConfig(stable_wait_sec=-1), "stable_wait_sec = -1: input should be greater"),
        (lambda: watcher.StateConfig(batch_sise=1), "did you mean 'batch_size'"),
        (lambda: watcher.IntegrityAdapter(mode="deep"), "one of quick, audio, full, not 'deep'"),
        (lambda: watcher.StateStore("none.db", read_only=True), "there is no database at none.db"),
    ],
)
def test_what_a_stranger_gets_wrong_is_one_sentence(wrong, said):
    with pytest.raises(watcher.WatcherError, match=re.escape(said)):
        wrong()


def test_a_text_is_no_status():
    with pytest.raises(TypeError, match="an IntegrityStatus or a ProcessedStatus is wanted, not 'new'"):
        watcher.AudioStateMachine().moves_from("new")


async def test_a_library_logs_to_logging_and_prints_nothing(tmp_path, caplog, capsys):
    caplog.set_level(logging.INFO, "watcher")
    config = watcher.StateConfig(storage_url=str(tmp_path / "watcher.db"))
    async with watcher.create_state_manager(config=config) as manager:
        await manager.discover_directory(tmp_path / "none")
    records = [record for record in caplog.records if record.name.startswith("watcher")]
    assert records[-1].getMessage() == "closed"
    (trouble,) = [record for record in records if record.levelname == "WARNING"]
    assert trouble.getMessage() == f"folder suspended: {tmp_path}/none ({tmp_path}/none is not there)"
    assert (trouble.event_name, trouble.root) == ("root suspended", f"{tmp_path}/none")
    assert capsys.readouterr() == ("", "")


def test_a_program_that_set_no_logging_up_sees_nothing_of_it(tmp_path):
    code = (
        "import asyncio, watcher\n"
        f"manager = watcher.create_state_manager(config=watcher.StateConfig(storage_url={str(tmp_path / 'a.db')!r}))\n"
        "async def use():\n"
        f"    async with manager: return await manager.discover_directory({str(tmp_path / 'none')!r})\n"
        "assert asyncio.run(use())['status'] == 'error'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


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
