"""The commands that keep a watcher well: what they print, what they change, and with which code they end."""

import json
import os

import pytest

from watcher.service.metrics import StateMetrics
from watcher.service.upkeep import metrics_file
from watcher.store.store import StateStore


@pytest.fixture(autouse=True)
def _own_database(monkeypatch, tmp_path):
    monkeypatch.setenv("STATE_DB_URL", str(tmp_path / "watcher.db"))


@pytest.fixture
def database(bench):
    """Two files, of which one waits; nobody has the database open."""
    for name in ("waits.mkv", "rests.mkv"):
        bench.write(name)
        bench.see(name)
    bench.store.update_entry(bench.entry("rests.mkv"), next_check_at_ms=None)
    bench.store.close()
    return bench.store.path


def test_health_ends_with_0_1_or_2(call, bench, database, monkeypatch):
    code, out, _ = call("health", "--json")
    found = json.loads(out)
    assert (code, found["status"]) == (1, "degraded")
    assert "not_running" in [issue["code"] for issue in found["issues"]]
    with StateStore(database):
        assert call("health")[:2] == (0, "healthy\n")
    monkeypatch.setenv("WATCHER_FFMPEG__FFMPEG", "/nowhere/ffmpeg")
    code, out, _ = call("health")
    assert code == 2
    assert "/nowhere/ffmpeg was not found" in out


def test_metrics_are_those_the_service_wrote_down(call, database):
    assert call("metrics") == (0, "nothing was counted in the last 24 hours\n", "")
    theirs = StateMetrics()
    theirs.increment_counter("checks", 3, tags={"verdict": "complete"})
    theirs.record_timing("check", 2)
    theirs.save(metrics_file(database))
    summary = json.loads(call("metrics", "--since", "1", "--json")[1])
    assert summary["counters"] == {"checks": 3, "checks{verdict=complete}": 3}
    assert "checks{verdict=complete}" in call("metrics")[1]
    assert 'watcher_checks_total{verdict="complete"} 3.0' in call("metrics", "--openmetrics")[1]


def test_next_shows_what_waits_in_order(call, database):
    code, out, _ = call("next", "--json")
    (line,) = map(json.loads, out.splitlines())
    assert code == 0
    assert line["path"].endswith("waits.mkv")
    assert line["waits_for"]
    assert "waits.mkv" in call("next")[1]


def test_a_backup_is_made_beside_a_service_and_its_path_printed(call, database):
    with StateStore(database):
        code, out, _ = call("backup")
    assert code == 0
    with StateStore(type(database)(out.strip()), read_only=True) as copy:
        assert copy.counts().total == 2
    os.unlink(database)
    assert call("backup")[0] == 1


def test_maintenance_answers_with_counts_and_leaves_a_running_service_to_itself(call, database):
    code, out, _ = call("maintenance", "--json")
    assert (code, json.loads(out)["entries_deleted"]) == (0, 0)
    with StateStore(database):
        code, _, err = call("maintenance")
    assert (code, err) == (
        1, f"watcher: the service (process {os.getpid()}) has the database, and maintains it by itself every day\n",
    )  # fmt: skip


def test_reset_shows_what_will_be_lost_asks_and_takes_a_backup_first(call, database, monkeypatch):
    code, out, err = call("reset")
    assert (code, err) == (1, "watcher: reset asks first, and there is nobody to ask here: say --yes\n")
    assert "would forget 2 files" in out
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: "n")
    assert call("reset")[0] == 1
    with StateStore(database, read_only=True) as store:
        assert store.counts().total == 2
    monkeypatch.setattr("builtins.input", lambda _: "yes")
    code, out, _ = call("reset")
    assert code == 0
    (copy,) = (database.parent / "backups").iterdir()
    assert str(copy) in out
    with StateStore(database, read_only=True) as now, StateStore(copy, read_only=True) as before:
        assert (now.counts().total, before.counts().total) == (0, 2)


def test_migrate_takes_over_and_says_what_it_could_not_make_out(call, tmp_path, database):
    old = tmp_path / "old"
    old.mkdir()
    (old / "film.mkv").write_bytes(b"film")
    state = {"film.mkv": {"status": "converted"}, "odd.mkv": {"status": "odd"}}
    (old / ".audio_converter_state.json").write_text(json.dumps(state))
    code, out, err = call("migrate", old)
    assert code == 1
    assert "imported" in out
    assert "'odd' is none of" in err
    answer = json.loads(call("migrate", old, "--json")[1])
    assert (answer["imported"], answer["skipped_existing"], len(answer["errors"])) == (0, 1, 1)


def test_debug_and_batch_size_are_settings_of_the_command_line(call, tmp_path):
    (tmp_path / "films").mkdir()
    code, _, err = call("scan", "--debug", "--batch-size", "7", tmp_path / "films")
    assert code == 0
    assert '"event": "opened"' in err
    assert call("scan", "--batch-size", "0", tmp_path / "films")[0] == 2
