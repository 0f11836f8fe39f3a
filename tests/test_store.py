"""The database: one writer, exact names, all or nothing, and found again after a crash."""

import json
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys

import pytest

from watcher.errors import LostRace, NewerDatabase, NotOurDatabase, StoreError
from watcher.rules.statuses import IntegrityStatus, ProcessedStatus
from watcher.store import connection, due_rows, models
from watcher.store.store import StateStore, add_request

ODD_NAME = b"caf\xe9 \n\x1b[31m'\"%s -rf .mkv"


@pytest.fixture
def store(tmp_path):
    with StateStore(tmp_path / "watcher.db") as store:
        yield store


def put(store, *names, folder=b"", root=b"/films", next_ms=1000):
    with store.transaction():
        folder_id = store.folder_id(store.root_at(root).id, folder)
        rows = [(folder_id, name, (1, number, 100, 7, 8), "") for number, name in enumerate(names)]
        store.insert_entries(rows, 500, {"": next_ms})
    return [store.entry_at(b"/".join(filter(None, (root, folder, name)))) for name in names]


def test_a_name_of_any_bytes_comes_back_as_it_was(store):
    (entry,) = put(store, ODD_NAME, folder=b"a\xff/b")
    assert entry.path == b"/films/a\xff/b/" + ODD_NAME
    assert store.entry_at(b"/films/a\xff/b/" + ODD_NAME).id == entry.id


@pytest.mark.usefixtures("may_not")
def test_whoever_may_not_read_or_write_it_is_told_what_to_do(tmp_path):
    """As on the machine of a service whose user and group they are not."""
    state = tmp_path / "state"
    with StateStore(state / "watcher.db"):
        os.chmod(state / "watcher.db", 0o444)
        with pytest.raises(StoreError, match=r"you may not write the database .*watcher.db.*sudo"):
            add_request(state / "watcher.db", "retry", b"/films/a.mkv", 1)
    os.chmod(state / "watcher.db", 0)
    with pytest.raises(StoreError, match=r"you may not read the database .*watcher.db.*sudo"):
        StateStore(state / "watcher.db", read_only=True)
    os.chmod(state, 0)
    try:
        for ask in (
            lambda: StateStore(state / "watcher.db", read_only=True),
            lambda: add_request(state / "watcher.db", "retry", b"", 1),
        ):
            with pytest.raises(StoreError, match=f"you may not look into {state}: say it again with sudo"):
                ask()
    finally:
        os.chmod(state, 0o755)


def test_a_new_entry_is_unknown_and_new_with_its_first_look_ahead(store):
    (entry,) = put(store, b"a.mkv")
    assert (entry.integrity_status, entry.processed_status) == (IntegrityStatus.UNKNOWN, ProcessedStatus.NEW)
    assert entry.next_check_at_ms == 1000


def test_due_gives_what_is_due_and_nothing_of_other_roots(store):
    put(store, b"late.mkv", next_ms=900)
    put(store, b"early.mkv", next_ms=800)
    put(store, b"future.mkv", next_ms=5000)
    put(store, b"elsewhere.mkv", root=b"/suspended", next_ms=700)
    root = store.root_at(b"/films").id
    due = store.due(complete=False, now_ms=1000, limit=10, root_ids=[root])
    assert sorted(entry.name for entry in due) == [b"early.mkv", b"late.mkv"]
    assert store.next_due_ms(complete=False, root_ids=[root]) == 800


def test_only_some_that_are_due_are_those_and_no_others(store):
    _, late = put(store, b"early.mkv", b"late.mkv", next_ms=800)
    (future,) = put(store, b"future.mkv", next_ms=5000)
    asked = {"complete": False, "root_ids": [store.root_at(b"/films").id], "only": [late.id, future.id]}
    assert [entry.id for entry in store.due(now_ms=1000, limit=10, **asked)] == [late.id]
    assert store.next_due_ms(**asked) == 800


def test_the_due_queries_walk_their_indexes_in_order_and_sort_nothing(store):
    for name, query in (("due", due_rows._LONGEST_DUE), ("fresh", due_rows._NEWEST_DUE)):
        for kind in due_rows._KINDS.values():
            plan = [row[3] for row in store.sql("EXPLAIN QUERY PLAN " + query.format(*kind), (1, 2, 3))]
            assert any(f"INDEX file_entry_{name}_{kind[0]} (root_id=?" in step for step in plan), plan
            assert not any("ORDER BY" in step for step in plan), plan


def test_an_entry_that_somebody_works_on_is_not_due(store):
    (entry,) = put(store, b"a.mkv")
    root = store.root_at(b"/films").id
    store.begin_attempt(id="x", entry=entry.id, kind="check", started_at_ms=1, lease_until_ms=2, source={})
    assert store.due(complete=False, now_ms=9999, limit=10, root_ids=[root]) == []
    assert store.next_due_ms(complete=False, root_ids=[root]) is None


def test_a_move_writes_row_and_journal_together(store):
    (entry,) = put(store, b"a.mkv")
    store.record_move(entry, "integrity", "check_started", IntegrityStatus.PENDING, reason="quiet", at_ms=7)
    line = store.run(models.Journal.select())[0]
    assert (line.move, line.before, line.after, line.reason) == ("check_started", "unknown", "pending", "quiet")
    assert store.entry(entry.id).integrity_status is IntegrityStatus.PENDING


def test_a_lost_race_changes_nothing_and_says_so(store):
    (entry,) = put(store, b"a.mkv")
    stale = store.entry(entry.id)
    store.record_move(entry, "integrity", "check_started", IntegrityStatus.PENDING, reason="", at_ms=7)
    with pytest.raises(LostRace, match="no longer UNKNOWN"):
        store.record_move(stale, "integrity", "content_changed", IntegrityStatus.UNKNOWN, reason="", at_ms=8)
    assert len(store.run(models.Journal.select())) == 1
    assert store.entry(entry.id).integrity_status is IntegrityStatus.PENDING


def test_a_failed_transaction_takes_back_everything_and_the_folder_ids_it_handed_out(store):
    root = store.root_at(b"/films").id

    def write_and_fail():
        with store.transaction():
            store.folder_id(root, b"new")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        write_and_fail()
    (entry,) = put(store, b"a.mkv", folder=b"new")
    assert store.entry(entry.id).path == b"/films/new/a.mkv"


def test_writing_a_finding_twice_keeps_the_columns_not_named_and_stays_one_row(store):
    (entry,) = put(store, b"a.mkv")
    store.put_finding(entry.id, verdict={"a": 1})
    store.put_finding(entry.id, probe={"b": 2})
    found = store.finding(entry.id)
    assert (found.verdict, found.probe) == ({"a": 1}, {"b": 2})


def test_siblings_are_those_with_the_stem_and_a_dot(store):
    put(store, b"Film.mkv", b"Film.mp4", b"Film 2.mkv", b"Film.stereo.mkv", b"Fil.mkv")
    film = store.entry_at(b"/films/Film.mkv")
    assert {entry.name for entry in store.siblings(film, b"Film")} == {b"Film.mkv", b"Film.mp4", b"Film.stereo.mkv"}


def test_forgetting_takes_only_what_has_been_gone_for_long_and_is_not_in_work(store):
    old, recent, there, busy = put(store, b"old.mkv", b"recent.mkv", b"there.mkv", b"busy.mkv")
    store.update_entry(old, missing_since_ms=10)
    store.update_entry(recent, missing_since_ms=5000)
    store.update_entry(busy, missing_since_ms=10)
    store.begin_attempt(id="x", entry=busy.id, kind="check", started_at_ms=1, lease_until_ms=2, source={})
    store.note(old, "path", "gone", "", "", reason="", at_ms=1)
    assert store.forget(1000, [store.root_at(b"/films").id]) == 1
    assert {e.name for e in (store.entry(i.id) for i in (old, recent, there, busy)) if e} == {
        b"recent.mkv", b"there.mkv", b"busy.mkv",
    }  # fmt: skip


def test_the_schema_made_by_the_migrations_has_the_columns_of_the_models(store):
    for model in models.MODELS:
        columns = {row[1] for row in store.sql(f"PRAGMA table_info({model._meta.table_name})")}
        assert columns == set(model._meta.columns), model


def test_a_second_writer_is_refused_by_the_pid_of_the_first(store):
    script = (
        "import sys, pathlib; from watcher.store.store import StateStore; from watcher.errors import StoreInUse\n"
        "try: StateStore(pathlib.Path(sys.argv[1]))\n"
        "except StoreInUse as error: print(error)"
    )
    out = subprocess.run([sys.executable, "-c", script, store.path], capture_output=True, text=True, check=True).stdout
    assert f"process {os.getpid()}" in out
    assert connection.writer_pid(store.path) == os.getpid()


def test_the_lock_is_free_again_after_close(tmp_path):
    StateStore(tmp_path / "a.db").close()
    assert connection.writer_pid(tmp_path / "a.db") is None
    StateStore(tmp_path / "a.db").close()


def test_a_reader_reads_beside_the_writer_and_cannot_write(store):
    (entry,) = put(store, b"a.mkv")
    with StateStore(store.path, read_only=True) as reader:
        assert reader.entry(entry.id).name == b"a.mkv"
        with pytest.raises(StoreError, match="may not write"):
            reader.update_entry(entry, reason="x")


def test_a_wish_is_stored_beside_the_writer(store):
    add_request(store.path, "retry", b"/films/a.mkv", 5)
    assert [(wish.kind, wish.path) for wish in store.requests()] == [("retry", b"/films/a.mkv")]


def test_a_database_that_is_not_ours_is_refused_and_left_as_it_was(tmp_path):
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE t (x)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(NotOurDatabase, match="another program"):
        StateStore(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["other.db"]
    path.write_bytes(b"no database at all " * 100)
    with pytest.raises(NotOurDatabase, match="not a SQLite database"):
        StateStore(path)


def test_a_database_of_a_newer_version_is_refused(tmp_path):
    path = tmp_path / "a.db"
    StateStore(path).close()
    with sqlite3.connect(path) as raw:
        raw.execute("INSERT INTO schema_migration (name, applied) VALUES ('9999_future', '2030-01-01')")
    raw.close()
    with pytest.raises(NewerDatabase, match="9999_future"):
        StateStore(path)


def test_a_place_that_cannot_be_written_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be opened"):
        StateStore(tmp_path / "file" / "a.db")
    with pytest.raises(StoreError, match="no database"):
        StateStore(tmp_path / "none.db", read_only=True)


def _write_until_killed(path, ready):
    store = StateStore(path)
    (entry,) = put(store, b"a.mkv")
    for number in range(100_000):
        after = IntegrityStatus.PENDING if number % 2 == 0 else IntegrityStatus.UNKNOWN
        store.record_move(entry, "integrity", "move", after, reason=str(number), at_ms=number)
        if number == 20:
            ready.set()


def test_after_kill_9_the_last_journal_line_equals_the_row(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    child = context.Process(target=_write_until_killed, args=(tmp_path / "a.db", ready))
    child.start()
    assert ready.wait(30)
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    with StateStore(tmp_path / "a.db") as store:
        last = store.run(models.Journal.select().order_by(models.Journal.id.desc()).limit(1))[0]
        entry = store.entry(last.entry_id)
        assert (entry.integrity_status, entry.reason) == (last.after, last.reason)


def test_each_earlier_schema_is_brought_up_to_date(tmp_path):
    """Databases stopped after each migration open, and end with the schema of a new one."""
    from peewee import SqliteDatabase
    from playhouse.migrations import Runner

    def schema(path):
        with sqlite3.connect(path) as raw:
            rows = raw.execute("SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite%' ORDER BY name")
            found = json.dumps(rows.fetchall())
        raw.close()
        return found

    StateStore(tmp_path / "new.db").close()
    for number, migration in enumerate(sorted(connection.MIGRATIONS.glob("[0-9]*.py"))):
        path = tmp_path / f"{number}.db"
        database = SqliteDatabase(str(path))
        database.execute_sql(f"PRAGMA application_id = {connection.APPLICATION_ID}")
        Runner(database, str(connection.MIGRATIONS)).up(migration.stem)
        database.close()
        StateStore(path).close()
        assert schema(path) == schema(tmp_path / "new.db")


def test_a_root_around_a_known_one_takes_its_files_over(store):
    (entry,) = put(store, b"a.mkv", folder=b"x/y", root=b"/films/inner")
    root = store.root_at(b"/films")
    found = store.entry_at(b"/films/inner/x/y/a.mkv")
    assert (found.id, found.folder.root.id, found.folder.path) == (entry.id, root.id, b"inner/x/y")
    assert found.root_id == root.id


def test_a_root_inside_a_known_one_takes_its_own_files_and_no_others(store):
    inside, outside, similar = (put(store, b"a.mkv", folder=folder)[0] for folder in (b"inner/x", b"other", b"inner2"))
    root = store.root_at(b"/films/inner")
    assert store.entry(inside.id).path == b"/films/inner/x/a.mkv"
    assert store.entry(inside.id).folder.root.id == root.id
    assert store.entry(outside.id).folder.root.path == store.entry(similar.id).folder.root.path == b"/films"


def test_the_sample_of_a_root_is_spread_and_names_only_files_that_should_be_there(store):
    for number in range(40):
        put(store, b"a.mkv", b"gone.mkv", folder=b"%d" % number)
        store.update_entry(store.entry_at(b"/films/%d/gone.mkv" % number), missing_since_ms=1)
    sample = store.sample_paths(store.root_at(b"/films").id)
    assert len(sample) == 20
    assert all(path.endswith(b"/a.mkv") and store.entry_at(path) for path in sample)
    put(store, b"top.mkv", root=b"/top")
    assert store.sample_paths(store.root_at(b"/top").id) == [b"/top/top.mkv"]


def test_a_full_disk_under_the_database_is_one_sentence(store):
    store.sql("PRAGMA max_page_count = 1")
    some = [(1, b"%d" % number * 50, (1, 2, 3, 4, 5), "") for number in range(3000)]
    store.root_at(b"/films")
    store.folder_id(1, b"")
    with pytest.raises(StoreError, match=r"no room for the database .*: free space on its disk"), store.transaction():
        store.insert_entries(some, 1, {"": 1})
    with pytest.raises(StoreError, match=r"no room for the database .*: free space on its disk"), store.transaction():
        store.sql("INSERT INTO root (path) VALUES (zeroblob(1000000))")
    assert store.sql("SELECT count(*) FROM file_entry").fetchone() == (0,)
