"""A root is itself or suspended, and watched as its file system allows."""

import os
import shutil

import pytest

from watcher.errors import RootError
from watcher.watch import mounts, roots
from watcher.watch.roots import Condition, RootIdentity, RootState, WatchMode, health, judge, look

MOUNTINFO = rb"""22 28 0:20 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw
28 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
40 28 8:17 / /mnt/usb\040disk rw,relatime - exfat /dev/sdb1 rw
41 28 0:44 / /srv/films rw,relatime shared:9 master:3 - nfs4 nas:/films rw,vers=4.2
42 28 0:45 / /srv/films-local rw - fuse.mergerfs a:b rw
43 41 0:46 / /srv/films rw - tmpfs none rw
nonsense
"""

HERE = RootIdentity(1, 2, 3, "ext4")
THERE = RootIdentity(9, 2, 4, "ext4")
OK = RootState(Condition.OK, "", THERE)


def sample(present, asked):
    return lambda: (present, asked)


def never_asked():
    raise AssertionError("the films need not be looked at")


@pytest.mark.parametrize(
    ("path", "fs_type"),
    [
        (b"/", "ext4"),
        (b"/home/a", "ext4"),
        (b"/sys/fs", "sysfs"),
        (b"/mnt/usb disk/films", "exfat"),
        (b"/srv/films-local/x", "fuse.mergerfs"),
        (b"/srv/filmsother", "ext4"),
        (b"/srv/films/a", "tmpfs"),
    ],
)
def test_the_file_system_is_that_of_the_deepest_and_of_equals_the_last_mount(path, fs_type):
    assert mounts.covering(mounts.parse(MOUNTINFO), path).fs_type == fs_type


def test_the_file_system_of_a_real_folder_is_known(tmp_path):
    assert roots.file_system_type(b"/proc") == "proc"
    here = roots.file_system_type(os.fsencode(tmp_path))
    assert here
    assert roots.file_system_type(os.fsencode(tmp_path / "not there")) == here


@pytest.mark.parametrize(
    ("fs_type", "mode"),
    [
        *((name, WatchMode.EVENTS) for name in ("ext4", "xfs", "btrfs", "zfs", "tmpfs", "f2fs", "overlay", "exfat")),
        *((name, WatchMode.POLL) for name in ("nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "vboxsf", "ceph")),
        *((name, WatchMode.POLL) for name in ("fuse", "fuseblk", "fuse.mergerfs", "fuse.sshfs", "fuse.rclone")),
        *((name, WatchMode.POLL) for name in ("never-heard-of-fs", "")),
    ],
)
def test_auto_trusts_events_only_where_every_change_goes_through_this_kernel(fs_type, mode):
    assert roots.choose_mode("auto", fs_type) is mode


def test_what_a_person_chose_is_done():
    assert roots.choose_mode("events", "nfs4") is WatchMode.EVENTS
    assert roots.choose_mode("poll", "ext4") is WatchMode.POLL


def test_a_look_tells_what_stands_there(tmp_path):
    (tmp_path / "films").mkdir()
    (tmp_path / "file").write_bytes(b"")
    path = os.fsencode(tmp_path / "films")
    state = look(path)
    found = os.stat(path)
    assert (state.condition, state.empty) == (Condition.OK, True)
    assert (state.identity.device, state.identity.inode) == (found.st_dev, found.st_ino)
    assert state.identity.mount_id > 0
    assert state.identity.fs_type == roots.file_system_type(path)
    (tmp_path / "films/a").write_bytes(b"")
    assert not look(path).empty
    assert look(path).identity == state.identity
    missing = look(os.fsencode(tmp_path / "two\nlines"))
    assert (missing.condition, missing.identity) == (Condition.MISSING, None)
    assert "\n" not in missing.sentence
    assert look(os.fsencode(tmp_path / "file")).condition is Condition.NOT_A_FOLDER


@pytest.mark.usefixtures("may_not")
@pytest.mark.parametrize("mode", [0o000, 0o300, 0o600])
def test_a_folder_that_cannot_be_listed_or_searched_is_unreadable(tmp_path, mode):
    (tmp_path / "films").mkdir()
    (tmp_path / "films").chmod(mode)
    assert look(os.fsencode(tmp_path / "films")).condition is Condition.UNREADABLE
    (tmp_path / "films").chmod(0o700)


def test_the_same_numbers_are_the_same_root():
    assert health(THERE, OK, never_asked, had_entries=True).ok


def test_a_root_seen_for_the_first_time_is_taken_as_it_is():
    found = health(None, OK, never_asked, had_entries=False)
    assert (found.suspended_because, found.identity) == ("", THERE)


@pytest.mark.parametrize("condition", [Condition.MISSING, Condition.NOT_A_FOLDER, Condition.UNREADABLE])
def test_a_root_that_cannot_be_looked_at_is_suspended_and_its_identity_kept(condition):
    found = health(HERE, RootState(condition, "it is not there"), never_asked, had_entries=True)
    assert found == roots.Health("it is not there", HERE)
    assert not found.ok


def test_a_root_that_is_suddenly_empty_is_suspended_even_under_its_own_numbers():
    found = health(THERE, RootState(Condition.OK, "", THERE, empty=True), never_asked, had_entries=True)
    assert "empty" in found.suspended_because
    assert health(THERE, RootState(Condition.OK, "", THERE, empty=True), never_asked, had_entries=False).ok


def test_new_numbers_with_the_old_films_are_the_same_root_after_a_reboot():
    assert health(HERE, OK, sample(18, 20), had_entries=True) == roots.Health("", THERE)


def test_new_numbers_without_the_old_films_are_another_root():
    found = health(HERE, OK, sample(1, 20), had_entries=True)
    assert "1 of 20" in found.suspended_because
    assert found.identity == HERE
    other = RootState(Condition.OK, "", RootIdentity(1, 2, 5, "tmpfs"))
    assert "tmpfs is mounted where ext4 was" in health(HERE, other, sample(0, 20), had_entries=True).suspended_because


def test_the_last_few_films_may_be_taken_away_while_nobody_watches():
    """The number of the mount is that of an earlier run; of more films than a few, most must stand."""
    before, now = RootIdentity(1, 2, None, "ext4"), RootState(Condition.OK, "", HERE)
    assert health(before, now, sample(0, 9), had_entries=True) == roots.Health("", HERE)
    assert health(before, now, sample(12, 20), had_entries=True) == roots.Health("", HERE)
    assert "0 of 10" in health(before, now, sample(0, 10), had_entries=True).suspended_because
    assert "0 of 9" in health(before, now, sample(0, 9), had_entries=True, displaced=True).suspended_because
    assert "0 of 9" in health(THERE, now, sample(0, 9), had_entries=True).suspended_because


def test_after_something_else_stood_there_the_films_decide_even_under_its_own_numbers():
    """The next disk in the same slot has the device, the inode and the mount of the one before."""
    same = RootState(Condition.OK, "", HERE)
    assert "0 of 3" in health(HERE, same, sample(0, 3), had_entries=True, displaced=True).suspended_because
    assert health(HERE, same, sample(3, 3), had_entries=True, displaced=True).ok
    assert health(HERE, same, sample(0, 0), had_entries=False, displaced=True).ok


def test_new_numbers_of_a_root_without_known_films_lose_nothing():
    assert health(HERE, OK, sample(0, 0), had_entries=False) == roots.Health("", THERE)


def test_a_real_root_is_judged_through_its_whole_life(tmp_path):
    root = tmp_path / "films"
    (root / "a").mkdir(parents=True)
    known = [b"a/%d.mkv" % number for number in range(4)]
    for name in known:
        (root / os.fsdecode(name)).write_bytes(b"film")
    path = os.fsencode(root)
    first = judge(path, None, [])
    assert first.ok
    assert judge(path, first.identity, known).ok

    root.rename(tmp_path / "away")
    assert "not there" in judge(path, first.identity, known).suspended_because
    root.mkdir()
    assert "empty" in judge(path, first.identity, known).suspended_because
    (root / "readme.txt").write_bytes(b"")
    replaced = judge(path, first.identity, known)
    assert "0 of 4" in replaced.suspended_because
    assert judge(path, first.identity, known, vouched=True).ok

    shutil.rmtree(root)
    shutil.copytree(tmp_path / "away", root)
    back = judge(path, first.identity, [os.path.join(path, name) for name in known])
    assert back.ok
    assert back.identity != first.identity


def test_roots_are_apart_from_each_other(tmp_path):
    for name in ("films", "films2", "series/deep"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "link").symlink_to("films")
    base = os.fsencode(tmp_path)
    roots.refuse_nested([])
    roots.refuse_nested([base + b"/films", base + b"/films2", base + b"/series", base + b"/not/there"])
    for same in (b"/films", b"/films/", b"/series/../films", b"/link"):
        with pytest.raises(RootError, match="same folder"):
            roots.refuse_nested([base + b"/films", base + same])
    with pytest.raises(RootError, match=r"series/deep lies inside .*series:"):
        roots.refuse_nested([base + b"/series/deep", base + b"/films", base + b"/series"])
    with pytest.raises(RootError, match="not/there/deep lies inside"):
        roots.refuse_nested([base + b"/not/there", base + b"/not/there/deep"])
