"""A database lost or broken costs at most what the newest backup does not know; nobody else's file is ever moved."""

import json
import multiprocessing
import os
import shutil
import signal
import sqlite3
import textwrap

import pytest

from watcher.errors import DamagedDatabase, NotOurDatabase, StoreError
from watcher.store import backup, connection, rescue
from watcher.store.store import StateStore

PAGE = 4096


@pytest.fixture
def path(tmp_path):
    return tmp_path / "watcher.db"


def put(store, *names):
    with store.transaction():
        folder = store.folder_id(store.root_at(b"/films").id, b"")
        store.insert_entries([(folder, name, (1, 2, 3, 4, 5), "") for name in names], 500, {"": 1000})


def names_in(store):
    return {bytes(row[0]) for row in store.sql("SELECT name FROM file_entry")}


def filled(path):
    """A database with enough rows for many pages, one backup of it, and one row more that the backup lacks."""
    with StateStore(path) as store:
        put(store, *(b"film %04d with a name of some length.mkv" % number for number in range(2000)))
        store.checkpoint()
        copy = store.backup(now=1_800_000_000)
        put(store, b"after the backup.mkv")
    return copy


def overwrite(path, at, content):
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)


def garble(path, at, length):
    overwrite(path, at, b"\xa5\x5a" * (length // 2))


# --- backups


def test_a_backup_holds_what_is_committed_and_nothing_of_a_transaction_under_way(path):
    with StateStore(path) as store:
        put(store, b"before.mkv")
        with store.transaction():
            store.folder_id(1, b"being written")
            copy = store.backup()
        with StateStore(copy, read_only=True) as kept:
            assert names_in(kept) == {b"before.mkv"}
            assert not kept.sql("SELECT 1 FROM folder WHERE path = ?", (b"being written",)).fetchall()
    assert os.listdir(copy.parent) == [copy.name], "one file, without a log beside it"


def test_only_the_newest_backups_are_kept_and_those_of_other_databases_left_alone(path):
    with StateStore(path) as store, StateStore(path.with_name("watcher-2.db")) as other:
        theirs = other.backup(now=1)
        made = [store.backup(keep=2, now=day * 86_400) for day in (5, 6, 7)]
        strange = store.backups / "watcher-notes.db"
        strange.write_text("a person's")
        store.backup(keep=2, now=8 * 86_400)
    assert not made[0].exists()
    assert not made[1].exists()
    assert made[2].exists()
    assert theirs.exists()
    assert strange.exists()
    assert backup.taken_at(path, made[2]) == 7 * 86_400


def test_a_copy_left_by_a_stop_is_no_backup_and_is_cleared_up(path):
    with StateStore(path) as store:
        store.backups.mkdir()
        left = store.backups / ".watcher-20200101T000000Z.db.1.tmp"
        left.write_bytes(b"half")
        os.utime(left, (1, 1))
        assert backup.all_of(path, store.backups) == []
        copy = store.backup()
    assert os.listdir(copy.parent) == [copy.name]


def test_a_damaged_database_pushes_no_good_backup_out(path):
    copy = filled(path)
    garble(path, 5 * PAGE, 3 * PAGE)
    with pytest.raises(DamagedDatabase, match="not backed up"):
        backup.take(path, copy.parent, keep=1)
    assert os.listdir(copy.parent) == [copy.name]


def test_a_folder_that_cannot_hold_backups_is_one_sentence(path, tmp_path):
    (tmp_path / "file").write_text("")
    with StateStore(path, backups=tmp_path / "file") as store, pytest.raises(StoreError, match="cannot be backed up"):
        store.backup()


# --- damage


def _cut(path):
    os.truncate(path, path.stat().st_size // 2)


def _cut_to_nothing(path):
    os.truncate(path, 0)


DAMAGE = {
    "the head overwritten": lambda path: garble(path, 0, 100),
    "the head zeroed": lambda path: overwrite(path, 0, bytes(100)),
    "the head after its first words": lambda path: garble(path, 16, 84),
    "the first page": lambda path: garble(path, 0, PAGE),
    "the table of tables": lambda path: garble(path, 100, 900),
    "a page in the middle": lambda path: garble(path, path.stat().st_size // 2 & -PAGE, PAGE),
    "the last pages zeroed": lambda path: overwrite(path, path.stat().st_size - 8 * PAGE, bytes(8 * PAGE)),
    "cut in the middle": _cut,
    "cut in the middle of a page": lambda path: os.truncate(path, 3 * PAGE + 1000),
    "cut to nothing": _cut_to_nothing,
    "no database at all": lambda path: path.write_bytes(b"Dear diary, today I lost a film.\n" * 100),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_database_is_set_aside_and_the_newest_good_backup_takes_its_place(path, damage):
    copy = filled(path)
    newer = copy.with_name("watcher-20300101T000000Z.db")
    shutil.copy(copy, newer)
    garble(newer, 2 * PAGE, PAGE)  # the newest is not good itself
    damage(path)
    broken = path.read_bytes()
    with StateStore(path) as store:
        found = store.rescued
        assert (found.outcome, found.restored_from) == ("restored", copy)
        assert found.damage
        assert len(names_in(store)) == 2000
        assert store.integrity_check() == ""
    assert found.set_aside[0].read_bytes() == broken
    assert rescue.set_aside_files(path) == [found.set_aside[0]]
    with StateStore(path) as store:
        assert store.rescued is None


@pytest.mark.parametrize("damage", [one for one in DAMAGE if one != "cut to nothing"])
def test_without_a_backup_a_new_database_is_begun_the_same_way(path, damage):
    shutil.rmtree(filled(path).parent)
    DAMAGE[damage](path)
    broken = path.read_bytes()
    with StateStore(path) as store:
        assert (store.rescued.outcome, store.rescued.restored_from) == ("begun_anew", None)
        assert names_in(store) == set()
    assert store.rescued.set_aside[0].read_bytes() == broken


def test_an_empty_file_where_nothing_was_is_made_a_database(path):
    path.touch()
    with StateStore(path) as store:
        assert store.rescued is None


def test_a_deleted_database_begins_anew_whatever_backups_there_are(path):
    """Who deletes it wants it gone: nothing is restored behind their back."""
    filled(path)
    path.unlink()
    with StateStore(path) as store:
        assert store.rescued is None
        assert names_in(store) == set()


@pytest.mark.parametrize(
    "log", [b"\xa5" * 5000, bytes(5000), b"\x37\x7f\x06\x82" + bytes(5000)], ids=["garbage", "zeros", "magic"]
)
def test_a_log_that_is_none_is_set_aside_and_said_for_sqlite_would_pass_over_it(path, log):
    filled(path)
    path.with_name("watcher.db-wal").write_bytes(log)
    with StateStore(path) as store:
        assert store.rescued.outcome == "log_lost"
        assert b"after the backup.mkv" in names_in(store)
    (aside,) = store.rescued.set_aside
    assert aside.read_bytes() == log


def test_the_log_of_a_killed_writer_is_no_damage(path):
    filled(path)
    child = multiprocessing.get_context("spawn").Process(target=_write_and_die, args=(path,))
    child.start()
    child.join()
    assert path.with_name("watcher.db-wal").stat().st_size > 0
    with StateStore(path) as store:
        assert store.rescued is None
        assert b"in the log only.mkv" in names_in(store)


def _write_and_die(path):
    put(StateStore(path), b"in the log only.mkv")
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_damaged_database_goes_aside_with_its_own_log(path):
    filled(path)
    child = multiprocessing.get_context("spawn").Process(target=_write_and_die, args=(path,))
    child.start()
    child.join()
    os.truncate(path, 3 * PAGE + 1000)
    with StateStore(path) as store:
        aside, log = store.rescued.set_aside
        assert names_in(store).isdisjoint({b"in the log only.mkv"})
    assert log.name == aside.name + "-wal"
    assert log.stat().st_size > 0


def test_nothing_of_another_program_is_moved(tmp_path, path):
    """A stranger's database, whole or broken, and a stranger's text: refused and byte for byte as before."""
    strangers = {"whole.db": None, "broken.db": None, "letter.txt": b"Dear diary. " * 500}
    for name, content in strangers.items():
        target = tmp_path / name
        if content is None:
            with sqlite3.connect(target) as other:
                other.execute("CREATE TABLE t (x)")
                other.executemany("INSERT INTO t VALUES (?)", [("x" * 500,)] * 200)
            other.close()
        else:
            target.write_bytes(content)
    garble(tmp_path / "broken.db", 0, 400)
    before = {name: (tmp_path / name).read_bytes() for name in strangers}
    for name in strangers:
        with pytest.raises(NotOurDatabase):
            StateStore(tmp_path / name)
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == before


def test_another_programs_database_is_refused_even_where_ours_once_was(path):
    filled(path)
    path.unlink()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE t (x)")
    other.close()
    with pytest.raises(NotOurDatabase, match="another program"):
        StateStore(path)


def test_a_link_to_the_database_stays_one_when_what_it_leads_to_is_replaced(path, tmp_path):
    filled(path)
    link = tmp_path / "elsewhere" / "watcher.db"
    link.parent.mkdir()
    link.symlink_to(path)
    os.truncate(path, 3 * PAGE + 1000)
    with StateStore(link, backups=path.parent / "backups") as store:
        assert store.rescued.outcome == "restored"
        assert len(names_in(store)) == 2000
    assert link.is_symlink()
    assert rescue.set_aside_files(link) == rescue.set_aside_files(path) == list(store.rescued.set_aside)


def test_a_reader_of_a_damaged_database_says_what_will_be_done(path):
    filled(path)
    garble(path, 0, PAGE)
    with pytest.raises(DamagedDatabase, match="the next `watcher run` sets it aside"):
        StateStore(path, read_only=True)


def test_damage_met_at_work_is_one_sentence(path):
    filled(path)
    with StateStore(path) as store:
        garble(path, 3 * PAGE, path.stat().st_size - 3 * PAGE)
        with pytest.raises(DamagedDatabase, match="is damaged"):
            names_in(store)


def test_a_restored_database_of_an_older_version_is_brought_up_to_date(path, monkeypatch, tmp_path):
    copy = filled(path)
    later = tmp_path / "migrations"
    shutil.copytree(connection.MIGRATIONS, later)
    (later / "9000_later.py").write_text("def up(migrator, db):\n    db.execute_sql('CREATE TABLE later (x)')\n")
    monkeypatch.setattr(connection, "MIGRATIONS", later)
    garble(path, 0, PAGE)
    with StateStore(path) as store:
        assert store.rescued.restored_from == copy
        assert store.sql("SELECT count(*) FROM later").fetchone() == (0,)


# --- killed in the middle of a migration

_SLOW = textwrap.dedent("""
    import os, signal
    def up(migrator, db):
        db.execute_sql("CREATE TABLE later (x)")
        db.execute_sql("ALTER TABLE file_entry ADD COLUMN later INTEGER")
        for number in range(20000):
            db.execute_sql("INSERT INTO later VALUES (?)", (number,))
        if os.environ.get("DIE"):
            os.kill(os.getpid(), signal.SIGKILL)
""")


def _migrate_and_die(path, folder):
    os.environ["DIE"] = "1"
    connection.MIGRATIONS = folder
    StateStore(path)


def test_a_kill_in_the_middle_of_a_migration_leaves_all_of_the_old_and_the_next_start_makes_all_of_the_new(
    path, tmp_path, monkeypatch
):
    filled(path)
    before = _schema(path)
    later = tmp_path / "migrations"
    shutil.copytree(connection.MIGRATIONS, later)
    (later / "9000_slow.py").write_text(_SLOW)
    child = multiprocessing.get_context("spawn").Process(target=_migrate_and_die, args=(path, later))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    with StateStore(path) as store:  # today's program: nothing of the newer one is there
        assert len(names_in(store)) == 2001
    assert _schema(path) == before
    monkeypatch.setattr(connection, "MIGRATIONS", later)
    with StateStore(path) as store:
        assert store.sql("SELECT count(*) FROM later").fetchone() == (20_000,)
        assert len(names_in(store)) == 2001


def _schema(path):
    with sqlite3.connect(path) as raw:
        found = json.dumps(raw.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall())
    raw.close()
    return found
