"""media/replace: a proved result takes its name whole, with the film's attributes, or not at all."""

import dataclasses
import json
import os
import stat
import struct
import subprocess

import pytest
from swaps import (
    FORMS,
    NEW,
    OLD,
    done,
    make_swap,
    mounted,
    names,
    nobody,
    read,
    signature,
    somebody,
    swap_all,
    tree,
    undone,
    write,
)

from watcher.errors import ConversionFailed, SourceChanged
from watcher.media import attributes, disk, replace
from watcher.media.replace import Keeping

KEEP = Keeping()
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away and mount")
steps = pytest.mark.parametrize(
    "step", [lambda swap, writer: replace.prepare(swap, KEEP, writer), replace.place], ids=["prepare", "place"]
)


@pytest.fixture
def folder(tmp_path):
    return os.fsencode(tmp_path)


@pytest.fixture
def swap(folder):
    return make_swap(folder, "in_place")


def refused(reason, call, *arguments):
    with pytest.raises(ConversionFailed) as failed:
        call(*arguments)
    assert failed.value.reason == reason
    return failed.value


# --- the names


def test_the_temporary_name_is_short_hidden_and_beside_the_film():
    """No film's name is so long that this one is too long, and no watcher takes it for a film."""
    assert replace.temp_path(b"/f/" + b"x" * 255, "0123456789ab") == b"/f/.watcher-0123456789ab.tmp"


def test_the_kept_original_has_a_free_name_that_is_no_film(folder):
    """One kept before is never overwritten; a name without room for the ending is refused."""
    film = os.path.join(folder, b"Film.mkv")
    assert replace.kept_path(film) == film + b".original"
    write(film + b".original", b"an older one")
    assert replace.kept_path(film) == film + b".original2"
    refused("name_too_long", replace.kept_path, os.path.join(folder, b"x" * 250))


def test_a_film_with_the_longest_name_is_swapped(folder):
    """The temporary name does not grow with it."""
    swap = make_swap(folder, "in_place")
    long = os.path.join(folder, b"x" * 251 + b".mkv")
    os.rename(swap.film, long)
    assert swap_all(dataclasses.replace(swap, film=long, target=long)) == signature(long)
    assert read(long) == NEW


# --- the swap


@pytest.mark.parametrize("form", FORMS)
def test_a_prepared_result_takes_its_name_and_is_known_by_its_signature(folder, form):
    """What `prepare` announces is what stands there after `place`."""
    swap = make_swap(folder, form)
    intent = replace.prepare(swap, KEEP, nobody).signature
    assert tree(swap) == undone(swap) | {os.path.basename(swap.temp): NEW}
    final = replace.place(swap, nobody)
    assert final.same_file(intent)
    assert final == signature(swap.target)
    assert tree(swap) == done(swap)


def test_a_hard_linked_film_keeps_its_other_links_content(folder, swap):
    """The result has the name, not the inode."""
    other = os.path.join(folder, b"seeding.mkv")
    os.link(swap.film, other)
    swap_all(swap)
    assert (read(swap.film), read(other)) == (NEW, OLD)


@pytest.mark.parametrize("form", ["sidecar", "instead", "instead_kept"])
def test_a_result_never_takes_the_name_of_what_is_there(folder, form):
    """A file, a folder or a dangling link of that name stays, and so does the film."""
    swap = make_swap(folder, form)
    os.symlink("nowhere", swap.target)
    replace.prepare(swap, KEEP, nobody)
    refused("target_exists", replace.place, swap, nobody)
    replace.clear(swap, signature(swap.temp))
    assert os.readlink(swap.target) == b"nowhere"
    assert names(folder) == sorted([os.path.basename(swap.film), os.path.basename(swap.target)])
    assert read(swap.film) == OLD


def test_where_a_rename_cannot_be_told_not_to_replace_a_link_does_it(folder, monkeypatch):
    """NFS: the name is taken all the same, and never from anybody."""

    def cannot(path, name):
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(disk, "_rename_without_replacing", cannot)
    swap = make_swap(folder, "sidecar")
    swap_all(swap)
    assert tree(swap) == done(swap)
    write(swap.temp, b"another")
    refused("target_exists", replace.place, swap, nobody)
    assert read(swap.target) == NEW


# --- what must not be replaced


@steps
def test_a_film_that_changed_is_never_replaced(swap, step):
    """Other bytes, another time, another inode: each is another film."""
    with open(swap.film, "ab") as out:
        out.write(b"!")
    with pytest.raises(SourceChanged, match="changed"):
        step(swap, nobody)
    assert read(swap.film) == OLD + b"!"


@steps
def test_a_film_of_the_same_size_and_time_but_another_inode_is_another_film(swap, step):
    """Replaced by a copy that kept the time: the inode differs."""
    write(swap.film + b".new", OLD)
    os.utime(swap.film + b".new", ns=(0, swap.source.mtime_ns))
    os.rename(swap.film + b".new", swap.film)
    with pytest.raises(SourceChanged):
        step(swap, nobody)


@steps
def test_a_film_that_somebody_writes_is_not_replaced(swap, step):
    """Who writes it is said."""
    assert "open for writing (lease)" in refused("source_changed", step, swap, somebody).detail
    assert read(swap.film) == OLD


@steps
@pytest.mark.parametrize("happens", ["renamed", "deleted", "folder_moved", "folder_deleted"])
def test_a_film_that_is_elsewhere_is_not_made_anew(tmp_path, step, happens):
    """No file comes to stand where the film was; where it is now, it is as it was."""
    folder = tmp_path / "folder"
    folder.mkdir()
    swap = make_swap(os.fsencode(folder), "in_place")
    away = os.fsencode(tmp_path / "away")
    match happens:
        case "renamed":
            os.rename(swap.film, away)
        case "deleted":
            os.unlink(swap.film)
        case "folder_moved":
            os.rename(folder, away)
            away = os.path.join(away, b"Film.mkv")
        case "folder_deleted":
            os.unlink(swap.film)
            os.unlink(swap.temp)
            os.rmdir(folder)
    refused("source_changed", step, swap, nobody)
    replace.clear(swap, None)
    assert not os.path.lexists(swap.film)
    if "deleted" not in happens:
        assert read(away) == OLD


@pytest.mark.parametrize("form", ["instead", "instead_kept"])
def test_a_film_written_to_when_its_replacement_stands_already_stays_alone(folder, form):
    """The result is taken away again: the film that somebody goes on with is the film."""
    swap = make_swap(folder, form)
    replace.prepare(swap, KEEP, nobody)
    looks = iter([None, "it is open for writing (lease)"])
    refused("source_changed", replace.place, swap, lambda _: next(looks))
    replace.clear(swap, None)
    assert tree(swap) == undone(swap)


def test_a_sidecar_somebody_changed_is_not_replaced(folder):
    """It is theirs now."""
    swap = make_swap(folder, "sidecar_again")
    replace.prepare(swap, KEEP, nobody)
    write(swap.target, b"theirs, and longer than ours")
    refused("source_changed", replace.place, swap, nobody)
    assert read(swap.target) == b"theirs, and longer than ours"


# --- after a stop


@pytest.mark.parametrize("form", FORMS)
def test_an_intended_swap_is_finished_only_when_all_still_stands(folder, form):
    """The proved result, the same film, nobody writing."""
    swap = make_swap(folder, form)
    intent = replace.prepare(swap, KEEP, nobody).signature
    assert replace.settle(swap, intent, nobody).same_file(intent)
    assert tree(swap) == done(swap)
    assert replace.settle(swap, intent, nobody).same_file(intent)  # a stop before the row was written
    assert tree(swap) == done(swap)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("wrong", ["somebody writes", "another result", "no intent"])
def test_an_intended_swap_that_must_not_be_finished_leaves_no_trace(folder, form, wrong):
    """The film is as it was, the temporary file gone."""
    swap = make_swap(folder, form)
    intent = replace.prepare(swap, KEEP, nobody).signature
    if wrong == "another result":
        intent = dataclasses.replace(intent, size_bytes=1)
    writer = somebody if wrong == "somebody writes" else nobody
    assert replace.settle(swap, None if wrong == "no intent" else intent, writer) is None
    assert tree(swap) == undone(swap)


# --- what the disk refuses


@root_only
def test_a_disk_that_became_read_only_is_named(tmp_path):
    """The old film stays, and what cannot be cleared up is an error that the caller sees."""
    with mounted(tmp_path / "disk", "-t", "tmpfs", "tmpfs") as mount:
        swap = make_swap(os.fsencode(mount), "in_place")
        subprocess.run(["mount", "-o", "remount,ro", mount], check=True)
        for step in (lambda: replace.prepare(swap, KEEP, nobody), lambda: replace.place(swap, nobody)):
            refused("read_only", step)
        with pytest.raises(OSError, match="Read-only"):
            replace.clear(swap, None)
        assert read(swap.film) == OLD


@root_only
@pytest.mark.parametrize("locked", ["film", "folder"])
def test_an_immutable_film_or_folder_is_named_before_any_work(folder, swap, locked):
    """`chattr +i`: no rename could ever replace the film."""
    os.unlink(swap.temp)
    path = swap.film if locked == "film" else folder
    if subprocess.run(["chattr", "+i", path], check=False, capture_output=True).returncode != 0:
        pytest.skip("no immutable files here")
    try:
        assert "chattr -i" in refused("immutable", replace.rehearse, swap, KEEP).detail
    finally:
        subprocess.run(["chattr", "-i", path], check=True)
    replace.rehearse(swap, KEEP)
    assert names(folder) == [b"Film.mkv"]


@root_only
def test_an_immutable_film_may_get_its_sidecar_anew(folder):
    """It is not touched."""
    swap = make_swap(folder, "sidecar_again")
    os.unlink(swap.temp)
    if subprocess.run(["chattr", "+i", swap.film], check=False, capture_output=True).returncode != 0:
        pytest.skip("no immutable files here")
    try:
        replace.rehearse(swap, KEEP)
    finally:
        subprocess.run(["chattr", "-i", swap.film], check=True)


@pytest.mark.parametrize("form", FORMS)
def test_a_rehearsal_leaves_no_trace(folder, form):
    """Neither a temporary file nor a kept name."""
    swap = make_swap(folder, form)
    os.unlink(swap.temp)
    replace.rehearse(swap, Keeping(refuse_loss=True))
    assert tree(swap) == undone(swap)


# --- attributes


def test_mode_times_and_extended_attributes_are_the_films(swap):
    """The modification time too: players sort by it."""
    os.chmod(swap.film, 0o640)
    os.utime(swap.film, ns=(1_500_000_000_000_000_001, 1_400_000_000_000_000_002))
    try:
        os.setxattr(swap.film, "user.note", b"\x00odd\xff")
    except OSError:
        pytest.skip("no extended attributes here")
    swap_all(dataclasses.replace(swap, source=signature(swap.film)))
    after = os.lstat(swap.film)
    assert stat.S_IMODE(after.st_mode) == 0o640
    assert (after.st_mtime_ns, after.st_atime_ns) == (1_400_000_000_000_000_002, 1_500_000_000_000_000_001)
    assert os.getxattr(swap.film, "user.note") == b"\x00odd\xff"


def test_an_acl_is_the_films_and_one_that_the_folder_gives_is_no_loss(swap, monkeypatch):
    """Who may read the film may read the new one; what is there already need not be set."""
    entries = [
        (1, 6, -1),
        (2, 4, 1234),
        (4, 4, -1),
        (0x10, 4, -1),
        (0x20, 0, -1),
    ]  # user, user 1234, group, mask, others
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
    try:
        os.setxattr(swap.film, "system.posix_acl_access", acl)
    except OSError:
        pytest.skip("no ACLs here")
    assert attributes.copy(swap.film, swap.temp) == []
    assert os.getxattr(swap.temp, "system.posix_acl_access") == acl

    def cannot(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "setxattr", cannot)
    assert attributes.copy(swap.film, swap.temp) == []
    os.removexattr(swap.temp, "system.posix_acl_access")
    assert attributes.copy(swap.film, swap.temp) == ["attribute system.posix_acl_access: Operation not permitted"]


def test_the_modification_time_may_be_that_of_the_swap(swap):
    """So that a backup by time sees the new film."""
    os.utime(swap.film, ns=(0, 1_400_000_000_000_000_000))
    swap_all(dataclasses.replace(swap, source=signature(swap.film)), Keeping(mtime=False))
    assert os.lstat(swap.film).st_mtime_ns > 1_700_000_000_000_000_000


@root_only
def test_owner_and_group_are_the_films_and_set_id_bits_are_not_passed_on(swap):
    """No film needs them."""
    os.chown(swap.film, 12_345, 23_456)
    os.chmod(swap.film, 0o6755)
    assert attributes.copy(swap.film, swap.temp) == []
    found = os.lstat(swap.temp)
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (12_345, 23_456, 0o755)


@root_only
def test_what_cannot_be_kept_is_said_or_refused_as_the_owner_wants(folder, swap):
    """Somebody who is not root cannot give a file away: before any work, and again at the end."""
    os.chown(swap.film, 12_345, 23_456)
    os.chmod(swap.film, 0o644)
    os.chmod(folder, 0o777)
    os.chown(swap.temp, 1, 1)
    local = dataclasses.replace(
        swap, film=b"Film.mkv", target=b"Film.mkv", temp=os.path.basename(swap.temp)
    )  # pytest's own folders are closed to others

    def work():
        rehearsed = dataclasses.replace(local, temp=b"rehearsed")
        lost = replace.prepare(local, KEEP, nobody).lost
        refusals = []
        for call in (
            lambda: replace.prepare(local, Keeping(refuse_loss=True), nobody),
            lambda: replace.rehearse(rehearsed, Keeping(refuse_loss=True)),
        ):
            with pytest.raises(ConversionFailed) as failed:
                call()
            refusals.append(failed.value.reason)
        return json.dumps((lost, refusals))

    lost, refusals = json.loads(_as_user_1(folder, work))
    assert [word.partition(":")[0] for word in lost] == ["owner", "group"]
    assert refusals == ["attributes_lost"] * 2
    assert names(folder) == [os.path.basename(swap.temp), b"Film.mkv"]


def _as_user_1(folder, work):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.chdir(folder)
            os.setgroups([])
            os.setgid(1)
            os.setuid(1)
            os.write(writer, work().encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    with open(reader, "rb") as said:
        return said.read().decode()
