"""What the kernel says, as hints: real folders, real inotify."""

import errno
import os
import resource
import shutil
import threading
import time
from functools import partial

import pytest

from watcher.rules import names
from watcher.rules.debounce import HintKind
from watcher.watch.emitter import why_unwatched
from watcher.watch.folders import FolderTable
from watcher.watch.inbox import Hint, Inbox
from watcher.watch.observers import Observers

is_film_name = partial(names.is_film_name, extensions=names.DEFAULT_EXTENSIONS)


class Watched:
    """One root under observation, and everything hinted so far."""

    def __init__(self, root):
        self.root = os.fsencode(root)
        self.woken = threading.Event()
        self.observers = Observers(self.woken.set)
        self.hints = []

    def path(self, name):
        return os.path.join(self.root, name)

    def write(self, name):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "wb") as file:
            file.write(b"film")

    def add(self, interesting=is_film_name):
        self.observers.add(1, self.root, interesting)

    def until(self, seen, timeout=20):
        """Drain until the predicate on the hints holds."""
        deadline = time.monotonic() + timeout
        while True:
            self.woken.clear()
            self.hints += self.observers.drain()
            if seen(self):
                return
            assert time.monotonic() < deadline, self.hints
            self.woken.wait(deadline - time.monotonic())

    def kinds(self, path):
        merged = HintKind(0)
        for hint in self.hints:
            if hint.path == path:
                merged |= hint.kind
        return merged

    def until_hinted(self, path, kind):
        self.until(lambda self: kind in self.kinds(path))

    def pass_by(self):
        """Let everything done so far be hinted at: events come in order, and this one is the last."""
        self.hints.clear()
        name = b"sentinel-%d.mkv" % time.monotonic_ns()
        self.write(name)
        self.until_hinted(name, HintKind.CLOSED)
        self.hints = [hint for hint in self.hints if hint.path != name]


@pytest.fixture
def watched(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    watched = Watched(root)
    yield watched
    watched.observers.stop()


def test_a_file_written_is_hinted_as_created_and_closed(watched):
    watched.add()
    watched.write(b"Film.mkv")
    watched.until_hinted(b"Film.mkv", HintKind.CREATED | HintKind.CLOSED)


def test_folders_that_stand_already_are_watched_when_add_returns(watched):
    os.makedirs(watched.path(b"a/b/c"))
    watched.add()
    watched.write(b"a/b/c/Film.mkv")
    watched.until_hinted(b"a/b/c/Film.mkv", HintKind.CLOSED)


def test_the_final_name_of_a_download_is_hinted_at_and_its_first_is_not(watched):
    watched.add()
    watched.write(b"Film.mkv.part")
    os.rename(watched.path(b"Film.mkv.part"), watched.path(b"Film.mkv"))
    watched.until_hinted(b"Film.mkv", HintKind.MOVED_IN)
    assert {hint.path for hint in watched.hints} == {b"Film.mkv"}
    assert HintKind.FINISHED in watched.kinds(b"Film.mkv")


def test_a_rename_from_one_film_name_to_another_says_nothing_about_a_download(watched):
    watched.add()
    watched.write(b"Film.mkv.part")
    watched.write(b"old.mkv")
    os.rename(watched.path(b"Film.mkv.part"), watched.path(b"Film.mkv.!qB"))
    os.rename(watched.path(b"old.mkv"), watched.path(b"new.mkv"))
    watched.until_hinted(b"new.mkv", HintKind.MOVED_IN)
    assert HintKind.FINISHED not in watched.kinds(b"new.mkv")


def test_a_renamed_file_is_gone_under_its_old_name_and_there_under_its_new(watched):
    watched.write(b"a/old.mkv")
    os.mkdir(watched.path(b"b"))
    watched.add()
    os.rename(watched.path(b"a/old.mkv"), watched.path(b"b/new.mkv"))
    watched.until_hinted(b"b/new.mkv", HintKind.MOVED_IN)
    assert watched.kinds(b"a/old.mkv") == HintKind.DELETED


def test_a_file_moved_out_or_deleted_is_gone_at_once(watched, tmp_path):
    watched.write(b"out.mkv")
    watched.write(b"deleted.mkv")
    watched.add()
    os.rename(watched.path(b"out.mkv"), os.fsencode(tmp_path / "out.mkv"))
    os.unlink(watched.path(b"deleted.mkv"))
    watched.until_hinted(b"deleted.mkv", HintKind.DELETED)
    assert watched.kinds(b"out.mkv") == HintKind.DELETED


def test_hard_links_are_hinted_at_though_nothing_is_ever_closed(watched, tmp_path):
    (tmp_path / "seed.mkv").write_bytes(b"film")
    watched.add()
    os.link(tmp_path / "seed.mkv", watched.path(b"Film.mkv"))
    watched.until_hinted(b"Film.mkv", HintKind.CREATED)


def test_names_stay_the_bytes_they_are(watched):
    watched.add()
    watched.write(b"d\xff/two\nlines \xfe.mkv")
    watched.until_hinted(b"d\xff/two\nlines \xfe.mkv", HintKind.CREATED)


def test_films_written_into_folders_made_a_moment_before_are_all_hinted_at(watched):
    watched.add()
    expected = {b"new%d/sub/deep/%d.mkv" % (folder, film) for folder in range(60) for film in range(3)}
    for name in sorted(expected):
        watched.write(name)
    watched.until(lambda self: expected <= {hint.path for hint in self.hints})


def test_a_folder_moved_in_brings_its_films_and_is_watched(watched, tmp_path):
    (tmp_path / "in/deep/@eaDir").mkdir(parents=True)
    for name in ("in/deep/Film.mkv", "in/Film.txt", "in/deep/@eaDir/Thumb.mkv"):
        (tmp_path / name).write_bytes(b"film")
    watched.add()
    os.rename(tmp_path / "in", watched.path(b"in"))
    watched.until_hinted(b"in/deep/Film.mkv", HintKind.MOVED_IN)
    watched.write(b"in/deep/later.mkv")
    watched.until_hinted(b"in/deep/later.mkv", HintKind.CLOSED)
    assert {hint.path for hint in watched.hints} == {b"in/deep/Film.mkv", b"in/deep/later.mkv"}


def test_a_renamed_folder_is_hinted_at_by_both_names_and_watched_under_the_new(watched):
    watched.write(b"a/old/deep/Film.mkv")
    os.mkdir(watched.path(b"b"))
    watched.add()
    os.rename(watched.path(b"a/old"), watched.path(b"b/new"))
    watched.until_hinted(b"b/new/deep/Film.mkv", HintKind.MOVED_IN)
    assert watched.kinds(b"a/old") == HintKind.DELETED | HintKind.FOLDER
    watched.write(b"b/new/deep/later.mkv")
    watched.until_hinted(b"b/new/deep/later.mkv", HintKind.CLOSED)
    os.rename(watched.path(b"b"), watched.path(b"c"))
    watched.until_hinted(b"c/new/deep/Film.mkv", HintKind.MOVED_IN)
    watched.write(b"c/new/deep/last.mkv")
    watched.until_hinted(b"c/new/deep/last.mkv", HintKind.CLOSED)


def test_two_folders_that_change_places_are_told_apart(watched):
    os.makedirs(watched.path(b"a"))
    os.makedirs(watched.path(b"b"))
    watched.add()
    os.rename(watched.path(b"a"), watched.path(b"t"))
    os.rename(watched.path(b"b"), watched.path(b"a"))
    os.rename(watched.path(b"t"), watched.path(b"b"))
    watched.pass_by()
    watched.write(b"a/one.mkv")
    watched.write(b"b/two.mkv")
    watched.until_hinted(b"a/one.mkv", HintKind.CREATED)
    watched.until_hinted(b"b/two.mkv", HintKind.CREATED)
    assert {hint.path for hint in watched.hints if hint.path.endswith(b".mkv")} == {b"a/one.mkv", b"b/two.mkv"}


def test_a_folder_moved_out_is_gone_and_watched_no_more(watched, tmp_path):
    watched.write(b"out/deep/Film.mkv")
    watched.add()
    os.rename(watched.path(b"out"), tmp_path / "elsewhere")
    watched.until_hinted(b"out", HintKind.DELETED | HintKind.FOLDER)
    emitter = watched.observers._emitter(1)
    # A folder is given up when its new name has not come for a moment; an event later it must be.
    deadline = time.monotonic() + 20
    while len(emitter._table) > 1 and time.monotonic() < deadline:
        watched.pass_by()
    watched.hints.clear()
    (tmp_path / "elsewhere/deep/ghost.mkv").write_bytes(b"film")
    watched.pass_by()
    assert watched.hints == []


def test_a_folder_deleted_and_made_again_is_watched_again(watched):
    watched.write(b"a/b/Film.mkv")
    watched.add()
    for _ in range(5):
        shutil.rmtree(watched.path(b"a"))
        os.makedirs(watched.path(b"a/b"))
    watched.pass_by()
    watched.write(b"a/b/later.mkv")
    watched.until_hinted(b"a/b/later.mkv", HintKind.CLOSED)
    assert len(watched.observers._emitter(1)._table) == 3


def test_junk_folders_cost_no_watch_and_give_no_hint(watched):
    for name in (b"@eaDir", b"#recycle", b".stfolder", b"a/.Trash-1000"):
        os.makedirs(watched.path(name))
    watched.add()
    assert len(watched.observers._emitter(1)._table) == 2
    watched.write(b"@eaDir/Film.mkv")
    watched.write(b"a/.Trash-1000/Film.mkv")
    watched.write(b"a/.hidden/Film.mkv")
    watched.pass_by()
    assert watched.hints == []


def test_a_film_dropped_into_the_recycle_bin_is_gone_and_its_folder_too(watched):
    watched.write(b"a/Film.mkv")
    os.mkdir(watched.path(b"#recycle"))
    watched.add()
    os.rename(watched.path(b"a"), watched.path(b"#recycle/a"))
    watched.pass_by()
    assert watched.kinds(b"a") == HintKind.DELETED | HintKind.FOLDER
    assert {hint.path for hint in watched.hints} == {b"a"}


def test_links_to_folders_are_not_followed(watched, tmp_path):
    (tmp_path / "outside").mkdir()
    watched.add()
    os.symlink(tmp_path / "outside", watched.path(b"link"))
    os.symlink(b"..", watched.path(b"loop"))
    watched.pass_by()
    (tmp_path / "outside/Film.mkv").write_bytes(b"film")
    watched.pass_by()
    assert watched.hints == []
    assert len(watched.observers._emitter(1)._table) == 1


def test_an_overflow_means_scan_the_root_and_no_folder_stays_unwatched(watched):
    """The reader stands still while more happens than the kernel keeps."""
    gate = threading.Event()
    started = threading.Event()

    def slow(name):
        started.set()
        gate.wait(60)
        return is_film_name(name)

    watched.add(slow)
    watched.write(b"first.mkv")
    assert started.wait(20)
    with open("/proc/sys/fs/inotify/max_queued_events", encoding="ascii") as file:
        limit = int(file.read())
    if limit > 50_000:
        pytest.skip("this machine keeps too many events")
    for number in range(limit // 2 + 3000):  # created and closed: two events each
        os.close(os.open(watched.path(b"%d.txt" % number), os.O_CREAT | os.O_WRONLY))
    os.makedirs(watched.path(b"unseen/deep"))
    gate.set()
    watched.until_hinted(b"", HintKind.OVERFLOW)
    watched.write(b"unseen/deep/Film.mkv")
    watched.until_hinted(b"unseen/deep/Film.mkv", HintKind.CREATED)


def test_a_root_that_is_deleted_says_so(watched):
    watched.add()
    assert watched.observers.alive(1) is None
    os.rmdir(watched.root)
    watched.until_hinted(b"", HintKind.TROUBLE)
    assert "deleted" in watched.hints[-1].trouble
    assert "deleted" in watched.observers.alive(1)
    os.mkdir(watched.root)
    watched.add()
    assert watched.observers.alive(1) is None
    watched.write(b"Film.mkv")
    watched.until_hinted(b"Film.mkv", HintKind.CREATED)


def test_a_root_that_is_renamed_says_so(watched, tmp_path):
    watched.add()
    os.rename(watched.root, tmp_path / "elsewhere")
    watched.until_hinted(b"", HintKind.TROUBLE)
    assert "renamed" in watched.observers.alive(1)


def test_another_folder_in_the_place_of_the_root_is_noticed_without_an_event(watched, tmp_path):
    """As when something is mounted over it: here the root is reached through a folder that is exchanged."""
    (tmp_path / "disk/films").mkdir(parents=True)
    watched.observers.add(2, os.fsencode(tmp_path / "disk/films"), is_film_name)
    assert watched.observers.alive(2) is None
    os.rename(tmp_path / "disk", tmp_path / "old")
    assert "another folder" in watched.observers.alive(2)
    (tmp_path / "disk/films").mkdir(parents=True)
    assert "another folder" in watched.observers.alive(2)


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_what_cannot_be_watched_is_said_not_raised(watched, kind):
    path = watched.path(b"no root")
    if kind == "file":
        watched.write(b"no root")
    watched.observers.add(7, path, is_film_name)
    (hint,) = watched.observers.drain()
    assert (hint.root_id, hint.kind) == (7, HintKind.TROUBLE)
    assert "no root" in hint.trouble
    assert watched.observers.alive(7) == hint.trouble


def test_too_few_descriptors_are_said_not_raised(watched):
    """The limit is on the number of a descriptor: none below that of standard error is free, whatever gaps there are above."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        watched.add()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert "limit of open files" in watched.observers.alive(1)
    watched.add()
    assert watched.observers.alive(1) is None


@pytest.mark.usefixtures("may_not")
def test_an_unreadable_folder_is_said_and_the_others_are_watched(watched):
    os.makedirs(watched.path(b"closed"))
    os.chmod(watched.path(b"closed"), 0)
    watched.add()
    watched.until_hinted(b"closed", HintKind.TROUBLE)
    assert "no permission" in watched.hints[0].trouble
    watched.write(b"Film.mkv")
    watched.until_hinted(b"Film.mkv", HintKind.CREATED)


def test_each_refusal_of_the_kernel_says_what_helps():
    assert "max_user_watches" in why_unwatched("/films", OSError(errno.ENOSPC, "No space left on device"))
    assert "max_user_instances" in why_unwatched("/films", OSError(errno.EMFILE, "Too many open files"))
    assert "permission" in why_unwatched("/films", OSError(errno.EACCES, "Permission denied"))
    assert "Stale" in why_unwatched("/films", OSError(errno.ESTALE, "Stale file handle"))


def test_a_fault_in_the_thread_is_said_and_ends_only_that_root(watched, tmp_path):
    def broken(name):
        raise KeyError(name)

    (tmp_path / "other").mkdir()
    watched.observers.add(2, os.fsencode(tmp_path / "other"), is_film_name)
    watched.add(broken)
    watched.write(b"Film.mkv")
    watched.until_hinted(b"", HintKind.TROUBLE)
    assert "KeyError" in watched.observers.alive(1)
    (tmp_path / "other/Film.mkv").write_bytes(b"film")
    watched.until(lambda self: any(hint.root_id == 2 for hint in self.hints))


def test_a_removed_root_is_silent_and_its_descriptors_are_given_back(watched):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        watched.add()
        watched.observers.remove(1)
        watched.observers.remove(1)
    assert len(os.listdir("/proc/self/fd")) == before
    watched.write(b"Film.mkv")
    assert watched.observers.drain() == []
    assert watched.observers.alive(1) is not None


def test_a_refresh_watches_what_is_not_watched_yet(watched):
    """As after a limit was raised, a permission given, or a disk mounted below the root: none of these gives an event."""
    os.makedirs(watched.path(b"a/b"))
    watched.add()
    emitter = watched.observers._emitter(1)
    emitter._kernel.unwatch(emitter._table.root.child(b"a").child(b"b").descriptor)
    watched.pass_by()
    assert len(emitter._table) == 2
    watched.observers.refresh(1)
    watched.pass_by()
    watched.write(b"a/b/Film.mkv")
    watched.until_hinted(b"a/b/Film.mkv", HintKind.CREATED)


def test_a_thousand_folders_are_watched_well_within_two_seconds(watched):
    for folder in range(1000):
        os.makedirs(watched.path(b"g%d/f%d" % (folder // 50, folder)))
    began = time.monotonic()
    watched.add()
    assert time.monotonic() - began < 2
    assert len(watched.observers._emitter(1)._table) == 1021


def test_the_service_is_woken_once_until_it_drains():
    woken = []
    inbox = Inbox(lambda: woken.append(1), max_waiting=3)
    hint = Hint(1, b"a.mkv", HintKind.CREATED)
    inbox.put(1, [hint])
    inbox.put(1, [hint])
    assert len(woken) == 1
    assert inbox.drain() == [hint, hint]
    inbox.put(1, [hint])
    assert len(woken) == 2


def test_an_inbox_nobody_empties_keeps_only_that_the_root_is_to_be_scanned():
    inbox = Inbox(lambda: None, max_waiting=3)
    trouble = Hint(2, b"", HintKind.TROUBLE, "the disk is gone")
    inbox.put(1, [Hint(1, b"a.mkv", HintKind.CREATED)] * 3)
    inbox.put(2, [Hint(2, b"b.mkv", HintKind.CREATED), trouble])
    hints = inbox.drain()
    assert Hint(2, b"", HintKind.OVERFLOW) in hints
    assert trouble in hints
    assert len(hints) == 5
    assert inbox.drain() == []


def test_a_branch_that_moves_takes_all_below_it_along():
    table = FolderTable(1)
    a = table.place(2, table.root, b"a")
    b = table.place(3, a, b"b")
    c = table.place(4, b, b"c")
    assert c.prefix == b"a/b/c/"
    table.place(3, table.root, b"x")
    assert c.prefix == b"x/c/"
    assert a.child(b"b") is None
    assert table.drop(table.root.child(b"x")) == [3, 4]
    assert set(table.by_descriptor) == {1, 2}


def test_a_folder_inside_itself_ends_the_watching_there():
    """What a bind mount of a root into itself looks like."""
    table = FolderTable(1)
    a = table.place(2, table.root, b"a")
    assert table.place(1, a, b"loop") is None
    assert table.place(2, a, b"loop") is None
    assert len(table) == 2
