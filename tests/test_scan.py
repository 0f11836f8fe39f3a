"""The walk finds every film once, whatever the tree looks like, and says where it could not look."""

import errno
import os

import pytest

from watcher.rules.names import NameRules
from watcher.rules.signature import Signature
from watcher.watch import scan

ALL = NameRules()


@pytest.fixture
def tree(tmp_path):
    """Write a tree given as names; gives its root as bytes."""

    def write(*names):
        for name in names:
            path = os.path.join(os.fsencode(tmp_path), os.fsencode(name))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(b"film")
        return os.fsencode(tmp_path)

    return write


def films(root, rules=ALL, **options):
    found = {}
    for listing in scan.walk(root, rules, **options):
        assert listing.error is None
        for name, _ in listing.files:
            path = os.path.join(listing.folder, name)
            assert path not in found
            found[path] = listing
    return set(found)


def test_every_film_is_found_and_nothing_else(tree):
    root = tree(
        "Film.mkv", "a/b/Film.mp4", "a/Film.srt", "a/Film.mkv.part", ".x.mkv", "@eaDir/T.mkv", "a/.Trash-0/F.mkv"
    )
    os.mkdir(root + b"/folder.mkv")
    os.mkfifo(root + b"/pipe.mkv")
    assert films(root) == {b"Film.mkv", b"a/b/Film.mp4"}
    assert films(root + b"/") == {b"Film.mkv", b"a/b/Film.mp4"}


def test_each_folder_is_given_before_those_in_it_with_their_names(tree):
    root = tree("b/x.mkv", "a/deep/x.mkv", "@eaDir/x.mkv")
    listings = {listing.folder: listing for listing in scan.walk(root, ALL)}
    assert next(iter(listings)) == b""
    assert list(listings).index(b"a") < list(listings).index(b"a/deep")
    assert set(listings) == {b"", b"a", b"a/deep", b"b"}
    assert set(listings[b""].folders) == {b"a", b"b"}


def test_the_facts_of_the_walk_are_those_of_a_stat(tree):
    root = tree("Film.mkv")
    ((_, raw),) = next(scan.walk(root, ALL)).files
    assert Signature(*raw) == scan.observe(root + b"/Film.mkv") == Signature.of(os.lstat(root + b"/Film.mkv"))


def test_names_are_bytes_whatever_they_are(tree):
    root = tree(b"d\xff/two\nlines \xfe.mkv", "Zoë.mkv")
    assert films(root) == {b"d\xff/two\nlines \xfe.mkv", "Zoë.mkv".encode()}
    assert films(root, below=b"d\xff") == {b"d\xff/two\nlines \xfe.mkv"}


def test_links_are_not_followed_and_a_loop_of_links_ends(tree, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    (outside / "Film.mkv").write_bytes(b"film")
    root = tree("a/Film.mkv")
    os.symlink(outside, root + b"/outside")
    os.symlink(outside / "Film.mkv", root + b"/link.mkv")
    os.symlink(b"a/Film.mkv", root + b"/inside.mkv")
    os.symlink(b"..", root + b"/a/loop")
    assert films(root) == {b"a/Film.mkv"}


def test_a_root_may_itself_be_a_link(tree):
    root = tree("films/Film.mkv")
    os.symlink(b"films", root + b"/link")
    assert films(root + b"/link") == {b"Film.mkv"}


def test_only_what_lies_below_is_walked_when_asked(tree):
    root = tree("a/x.mkv", "a/b/y.mkv", "ab/z.mkv")
    assert films(root, below=b"a") == {b"a/x.mkv", b"a/b/y.mkv"}
    assert [listing.folder for listing in scan.walk(root, ALL, below=b"gone")] == []


def test_patterns_hold_and_excluded_folders_are_not_entered(tree):
    root = tree("Film.mkv", "Film.sample.mkv", "Extras/a/b.mkv", "Series/x.mkv")
    rules = NameRules(exclude=(b"*sample*", b"Extras/"))
    assert films(root, rules) == {b"Film.mkv", b"Series/x.mkv"}
    assert b"Extras" not in {listing.folder for listing in scan.walk(root, rules)}
    assert films(root, NameRules(include=(b"Series/",))) == {b"Series/x.mkv"}


def test_a_tree_that_is_too_deep_ends_with_an_error_there(tree):
    root = tree("1/2/3/Film.mkv", "1/Film.mkv")
    listings = {listing.folder: listing for listing in scan.walk(root, ALL, max_depth=2)}
    assert set(listings) == {b"", b"1", b"1/2", b"1/2/3"}
    assert listings[b"1/2/3"].error.errno == errno.ELOOP
    assert listings[b"1/2/3"].files == []
    assert len(listings[b"1"].files) == 1


def test_a_folder_that_is_one_of_its_own_ancestors_is_not_entered(tree):
    """What a bind mount of a root into itself looks like to the walk."""
    root = tree("a/Film.mkv")
    found = os.stat(root + b"/a")
    descriptor = os.open(root + b"/a", os.O_RDONLY)
    try:
        with pytest.raises(OSError, match="one of those"):
            scan._enter(descriptor, b"a", (1, 1, (found.st_dev, found.st_ino, None)), may_enter=True)
        assert scan._enter(descriptor, b"a", (1, 1, None), may_enter=True) == (found.st_dev, found.st_ino, (1, 1, None))
    finally:
        os.close(descriptor)


@pytest.mark.usefixtures("may_not")
def test_an_unreadable_folder_is_given_with_its_error_and_the_rest_is_walked(tree):
    root = tree("a/Film.mkv", "closed/Film.mkv", "listed/Film.mkv")
    os.chmod(root + b"/closed", 0o000)
    os.chmod(root + b"/listed", 0o400)
    listings = {listing.folder: listing for listing in scan.walk(root, ALL)}
    os.chmod(root + b"/closed", 0o700)
    os.chmod(root + b"/listed", 0o700)
    assert {folder for folder, listing in listings.items() if listing.error} == {b"closed", b"listed"}
    assert listings[b"closed"].error.errno == errno.EACCES
    assert len(listings[b"a"].files) == 1


def test_a_folder_that_vanishes_during_the_walk_is_not_given(tree):
    root = tree("a/Film.mkv", "b/Film.mkv")
    walk = scan.walk(root, ALL)
    assert set(next(walk).folders) == {b"a", b"b"}
    os.rename(root + b"/b", root + b"/.b")
    assert [listing.folder for listing in walk] == [b"a"]


def test_a_root_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        next(scan.walk(os.fsencode(tmp_path / "none"), ALL))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        next(scan.walk(os.fsencode(tmp_path / "file"), ALL))


def test_the_walk_ends_between_two_folders_when_told_to(tree):
    root = tree(*(f"{number}/Film.mkv" for number in range(10)))
    seen = []
    seen.extend(listing.folder for listing in scan.walk(root, ALL, should_stop=lambda: len(seen) == 3))
    assert len(seen) == 3
    before = len(os.listdir("/proc/self/fd"))
    walk = scan.walk(root, ALL)
    next(walk)
    walk.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_only_a_regular_file_is_observed(tree):
    root = tree("Film.mkv")
    os.symlink(b"Film.mkv", root + b"/link.mkv")
    os.mkfifo(root + b"/pipe.mkv")
    for name in (b"gone.mkv", b"Film.mkv/below.mkv", b"link.mkv", b"pipe.mkv", b""):
        assert scan.observe(root + b"/" + name) is None
    with pytest.raises(OSError, match="name too long"):
        scan.observe(root + b"/" + b"x" * 300)
