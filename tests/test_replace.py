"""media/replace: a proved result takes a film's name whole, with the film's attributes, or not at all."""

import os
import stat
import subprocess
from contextlib import contextmanager

import pytest

from watcher.errors import ConversionFailed, SourceChanged
from watcher.media import replace
from watcher.rules.signature import Signature

OLD, NEW = b"the film as it was", b"the film with its new track"
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away and mount")


def nobody(path):
    return None


def somebody(path):
    return "it is open for writing (lease)"


def read(path):
    with open(path, "rb") as file:
        return file.read()


def signature(path):
    return Signature.of(os.lstat(path))


@pytest.fixture
def film(tmp_path):
    path = os.fsencode(tmp_path / "Film.mkv")
    (tmp_path / "Film.mkv").write_bytes(OLD)
    os.utime(path, ns=(1_500_000_000_000_000_001, 1_400_000_000_000_000_002))
    return path


@pytest.fixture
def temp(film):
    path = replace.temp_path(film, "0123456789ab")
    with open(path, "wb") as out:
        out.write(NEW)
    os.chmod(path, 0o600)
    return path


def names(film):
    return sorted(os.listdir(os.path.dirname(film)))


def test_the_temporary_name_is_short_hidden_and_beside_the_film():
    """No film's name is so long that this one is too long, and no watcher takes it for a film."""
    assert replace.temp_path(b"/f/" + b"x" * 255, "0123456789ab") == b"/f/.watcher-0123456789ab.tmp"


def test_a_prepared_result_takes_the_name_and_is_known_by_its_signature(film, temp):
    """What `prepare` announces is what stands there after `swap`."""
    expected = signature(film)
    intent = replace.prepare(film, temp, expected, nobody)
    final = replace.swap(film, temp, expected, nobody)
    assert final.same_file(intent)
    assert final == signature(film)
    assert read(film) == NEW
    assert names(film) == [b"Film.mkv"]


def test_mode_times_and_extended_attributes_are_the_films(film, temp):
    """The modification time too: players sort by it."""
    os.chmod(film, 0o640)
    try:
        os.setxattr(film, "user.note", b"\x00odd\xff")
    except OSError:
        pytest.skip("no extended attributes here")
    before = os.lstat(film)
    replace.prepare(film, temp, signature(film), nobody)
    after = os.lstat(temp)
    assert stat.S_IMODE(after.st_mode) == 0o640
    assert (after.st_mtime_ns, after.st_atime_ns) == (before.st_mtime_ns, before.st_atime_ns)
    assert os.getxattr(temp, "user.note") == b"\x00odd\xff"


@root_only
def test_owner_and_group_are_the_films_and_set_id_bits_are_not_passed_on(film, temp):
    """No film needs them."""
    os.chown(film, 12_345, 23_456)
    os.chmod(film, 0o6755)
    assert replace.copy_attributes(film, temp) == []
    found = os.lstat(temp)
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (12_345, 23_456, 0o755)


@root_only
def test_what_cannot_be_kept_is_said(film, temp):
    """Somebody who is not root cannot give a file away."""
    os.chown(film, 12_345, 23_456)
    os.chmod(os.path.dirname(film), 0o777)
    os.chown(temp, 1, 1)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.chdir(os.path.dirname(film))  # pytest's own folders are closed to others
            os.setgroups([])
            os.setgid(1)
            os.setuid(1)
            os.write(writer, "|".join(replace.copy_attributes(*map(os.path.basename, (film, temp)))).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    with open(reader, "rb") as said:
        lost = said.read().decode()
    assert "owner: " in lost
    assert "group: " in lost


@pytest.mark.parametrize("step", [replace.prepare, replace.swap])
def test_a_film_that_changed_is_never_replaced(film, temp, step):
    """Other bytes, another time, another inode: each is another film."""
    expected = signature(film)
    with open(film, "ab") as out:
        out.write(b"!")
    with pytest.raises(SourceChanged, match="changed"):
        step(film, temp, expected, nobody)
    assert read(film) == OLD + b"!"


@pytest.mark.parametrize("step", [replace.prepare, replace.swap])
def test_a_film_of_the_same_size_and_time_but_another_inode_is_another_film(film, temp, step):
    """Replaced by a copy that kept the time: the inode differs."""
    expected = signature(film)
    with open(film + b".new", "wb") as out:
        out.write(OLD)
    os.utime(film + b".new", ns=(0, expected.mtime_ns))
    os.rename(film + b".new", film)
    with pytest.raises(SourceChanged):
        step(film, temp, expected, nobody)


@pytest.mark.parametrize("step", [replace.prepare, replace.swap])
def test_a_film_that_somebody_writes_is_not_replaced(film, temp, step):
    """Who writes it is said."""
    with pytest.raises(SourceChanged, match=r"open for writing \(lease\)") as failed:
        step(film, temp, signature(film), somebody)
    assert failed.value.reason == "source_changed"
    assert read(film) == OLD


@pytest.mark.parametrize("step", [replace.prepare, replace.swap])
def test_a_film_that_was_renamed_or_whose_folder_moved_is_not_made_anew(film, temp, step):
    """Nothing is put where the film was."""
    expected = signature(film)
    os.rename(film, film + b".moved")
    with pytest.raises(SourceChanged, match="not there any more"):
        step(film, temp, expected, nobody)
    assert not os.path.lexists(film)


def test_another_hard_link_keeps_the_old_film(film, temp):
    """The name is replaced, not the content behind it."""
    os.link(film, film + b".seeding")
    expected = signature(film)
    replace.prepare(film, temp, expected, nobody)
    replace.swap(film, temp, expected, nobody)
    assert (read(film), read(film + b".seeding")) == (NEW, OLD)


def test_a_sidecar_is_placed_beside_the_film(film, temp):
    """The film is untouched; the temporary name is gone."""
    target = os.path.join(os.path.dirname(film), b"Film.stereo.mkv")
    intent = replace.prepare(film, temp, signature(film), nobody)
    assert replace.place_sidecar(temp, target).same_file(intent)
    assert (read(film), read(target)) == (OLD, NEW)
    assert names(film) == [b"Film.mkv", b"Film.stereo.mkv"]


def test_a_sidecar_never_takes_the_name_of_what_is_there(film, temp):
    """A file, a folder or a dangling link of that name stays."""
    target = os.path.join(os.path.dirname(film), b"Film.stereo.mkv")
    os.symlink("nowhere", target)
    with pytest.raises(ConversionFailed) as failed:
        replace.place_sidecar(temp, target)
    assert failed.value.reason == "sidecar_exists"
    assert os.readlink(target) == b"nowhere"
    assert read(temp) == NEW


def test_too_little_space_is_said_in_numbers(tmp_path):
    """What is free, and what is needed."""
    with pytest.raises(ConversionFailed, match=r"MB are free in .*, 1000000000000 MB are needed") as failed:
        replace.require_space(os.fsencode(tmp_path), 10**18)
    assert failed.value.reason == "no_space"
    replace.require_space(os.fsencode(tmp_path), 1)


def test_the_space_needed_is_the_film_its_track_and_a_margin():
    """More than the film itself, always."""
    assert replace.free_space_needed(0) == replace.MARGIN_BYTES
    assert replace.free_space_needed(10**9) == 1_100_000_000 + replace.MARGIN_BYTES


@pytest.mark.parametrize("sidecar", [False, True])
def test_an_interrupted_swap_is_finished_only_when_all_still_stands(film, temp, sidecar):
    """The proved result, the same film, nobody writing."""
    target = film[:-4] + b".stereo.mkv" if sidecar else film
    expected = signature(film)
    replaces = None if sidecar else expected
    intent = replace.prepare(film, temp, expected, nobody)
    known = (expected, replaces, intent)
    assert replace.finish(film, target, temp, known, somebody) is None
    other = Signature(intent.device, intent.inode, intent.size_bytes + 1, intent.mtime_ns, 0)
    assert replace.finish(film, target, temp, (expected, replaces, other), nobody) is None
    assert replace.finish(film, target, film + b".none", known, nobody) is None
    assert (read(film), read(temp)) == (OLD, NEW)
    assert replace.finish(film, target, temp, known, nobody).same_file(intent)
    assert read(target) == NEW


@contextmanager
def mounted(folder, *options):
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", *options, folder], check=True, capture_output=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@root_only
def test_a_disk_that_became_read_only_is_named(tmp_path):
    """The old film stays."""
    with mounted(tmp_path / "disk", "-t", "tmpfs", "tmpfs") as disk:
        film, temp = os.fsencode(disk / "Film.mkv"), os.fsencode(disk / ".watcher-1.tmp")
        for path, content in ((film, OLD), (temp, NEW)):
            with open(path, "wb") as out:
                out.write(content)
        expected = signature(film)
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        for step in (replace.prepare, replace.swap):
            with pytest.raises(ConversionFailed) as failed:
                step(film, temp, expected, nobody)
            assert failed.value.reason == "read_only"
        assert read(film) == OLD


def test_without_hard_links_a_sidecar_is_placed_all_the_same(film, temp):
    """FAT and some network shares have none: the name is claimed first, and never taken from anybody."""
    target = film[:-4] + b".stereo.mkv"
    replace._place_without_links(temp, target)
    assert read(target) == NEW
    with open(temp, "wb") as out:
        out.write(NEW)
    with pytest.raises(ConversionFailed, match="sidecar_exists"):
        replace._place_without_links(temp, target)
