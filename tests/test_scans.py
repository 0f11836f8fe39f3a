"""One scan against the database: what is new, what is gone, and of what nothing is known."""

import os
import subprocess

import pytest

from watcher.rules.names import NameRules
from watcher.service import scans


def run(bench, below=b"", rules=None, devices=None):
    state = scans.Scan(
        bench.root_id, os.fsencode(bench.root), below, devices or frozenset({os.stat(bench.root).st_dev})
    )
    found = []
    scans.run(state, bench.store.path, rules or NameRules(), 32, found.extend, lambda: False)
    return state, {(sighting.folder, name) for sighting in found for name, _ in sighting.files}


def gone(state):
    return {(sighting.folder, name) for sighting in state.gone for name in sighting.gone}


def put(bench, *names):
    for name in names:
        bench.write(name)
    bench.see(*names)


def test_an_unchanged_tree_gives_nothing(bench):
    put(bench, "a.mkv", "x/b.mkv", b"x/c \xff\n.mkv")
    state, found = run(bench)
    assert (state.files, found, state.gone) == (3, set(), [])


def test_new_and_changed_files_are_found_and_unfinished_ones_are_not(bench):
    put(bench, "a.mkv", "b.mkv")
    bench.write("a.mkv", b"longer than it was")
    bench.write("x/y/new.mkv")
    bench.write("new.mkv.part")
    _, found = run(bench)
    assert found == {(b"", b"a.mkv"), (b"x/y", b"new.mkv")}


def test_a_missing_file_and_all_of_a_missing_folder_are_gone(bench):
    put(bench, "a.mkv", "x/y/b.mkv", "x/c.mkv")
    os.unlink(bench.path("a.mkv"))
    subprocess.run(["rm", "-r", bench.path("x")], check=True)
    state, _ = run(bench)
    assert gone(state) == {(b"", b"a.mkv"), (b"x/y", b"b.mkv"), (b"x", b"c.mkv")}
    assert (state.gone_files, state.known) == (3, 3)


def test_a_scan_of_a_folder_that_is_gone_finds_what_was_in_it_gone_and_nothing_else(bench):
    put(bench, "a.mkv", "x/y/b.mkv", "x2/c.mkv")
    subprocess.run(["rm", "-r", bench.path("x")], check=True)
    os.unlink(bench.path("a.mkv"))
    state, _ = run(bench, below=b"x")
    assert gone(state) == {(b"x/y", b"b.mkv")}


def test_a_file_that_todays_settings_leave_out_is_not_gone(bench):
    put(bench, "a.mkv", "b.avi", "x/c.avi")
    state, found = run(bench, rules=NameRules(extensions=frozenset({b".mkv"}), exclude=(b"x/",)))
    assert (found, gone(state)) == (set(), set())


def test_nothing_is_known_of_a_disk_that_is_no_longer_mounted_below_the_root(bench):
    os.makedirs(bench.path("disk"))
    if (
        os.geteuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "none", bench.path("disk")], check=False).returncode
    ):
        pytest.skip("needs to mount")
    try:
        put(bench, "disk/a.mkv", "disk/x/b.mkv", "c.mkv")
    finally:
        subprocess.run(["umount", "-l", bench.path("disk")], check=True)
    os.unlink(bench.path("c.mkv"))
    state, _ = run(bench)
    assert gone(state) == {(b"", b"c.mkv")}
    assert set(state.unmounted) == {b"disk", b"disk/x"}


def test_a_root_that_is_gone_is_an_error_and_no_conclusion(bench):
    put(bench, "a.mkv")
    os.rename(bench.root, bench.root.with_name("away"))
    state = scans.Scan(bench.root_id, os.fsencode(bench.root))
    with pytest.raises(OSError, match="No such file"):
        scans.run(state, bench.store.path, NameRules(), 32, list, lambda: False)
    assert state.gone == []
