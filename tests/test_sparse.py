"""media/sparse: what was never written, told from what is zero by right."""

import os
import random

import pytest

from watcher.media import sparse

MEGABYTE = 1 << 20
NOISE = random.Random(2).randbytes(MEGABYTE)


def write(path, parts, size=None):
    """Write {offset: bytes} and leave the rest a hole."""
    with open(path, "wb") as file:
        for offset, content in parts.items():
            file.seek(offset)
            file.write(content)
        file.truncate(size or file.tell())
    return os.fsencode(path)


@pytest.fixture
def with_hole(tmp_path):
    path = write(tmp_path / "film", {0: NOISE, 3 * MEGABYTE: NOISE})
    if not sparse.holes(path, ((0, 4 * MEGABYTE),)):
        pytest.skip("this file system has no holes")
    return path


def test_a_hole_in_the_payload_is_found(with_hole):
    """Exactly where it is, cut to the payload; outside it, nothing is reported."""
    assert sparse.holes(with_hole, ((0, 4 * MEGABYTE),)) == [(MEGABYTE, 3 * MEGABYTE)]
    assert sparse.holes(with_hole, ((2 * MEGABYTE, 4 * MEGABYTE),)) == [(2 * MEGABYTE, 3 * MEGABYTE)]
    assert sparse.holes(with_hole, ((0, MEGABYTE), (3 * MEGABYTE, 4 * MEGABYTE))) == []


def test_a_reserved_end_is_a_hole(tmp_path, with_hole):
    """posix_fallocate makes the size right before the content is: allocated, but never written."""
    path = write(tmp_path / "reserved", {0: NOISE})
    with open(path, "r+b") as file:
        os.posix_fallocate(file.fileno(), 0, 2 * MEGABYTE)
    found = sparse.holes(path, ((0, 2 * MEGABYTE),))
    assert found in ([(MEGABYTE, 2 * MEGABYTE)], [])  # tmpfs and overlayfs may tell nothing


def test_a_written_file_has_no_holes(tmp_path):
    """All bytes there, none reported."""
    assert sparse.holes(write(tmp_path / "film", {0: NOISE}), ((0, MEGABYTE),)) == []


@pytest.mark.parametrize("at", [0, 4096, MEGABYTE - 4096 * 5, MEGABYTE + 4096])
def test_the_longest_run_of_zeros_is_measured(tmp_path, at):
    """Its place and length in pages, also over the border of two chunks."""
    content = bytearray(NOISE * 2)
    content[at : at + 40960] = bytes(40960)
    path = write(tmp_path / "film", {0: bytes(content)})
    found = sparse.scan(path, ((0, len(content)),), whole=True)
    assert (found.longest, found.at, found.bytes_read) == (40960, at, 2 * MEGABYTE)


def test_zeros_outside_the_payload_are_lawful(tmp_path):
    """Padding boxes of zeros are no missing film, and two payloads' zeros do not add up."""
    path = write(tmp_path / "film", {0: NOISE[:8192] + bytes(65536) + NOISE[:8192]})
    assert sparse.scan(path, ((0, 8192), (73728, 81920)), whole=True).longest == 0


def test_a_large_file_is_sampled_unless_the_whole_is_asked(tmp_path):
    """Over 256 MB: 512 windows and the last 4 MiB; a run of 1/60 of the film cannot hide from them."""
    size = 300 << 20
    path = write(tmp_path / "film", {}, size)
    quick = sparse.scan(path, ((0, size),), whole=False)
    assert quick.bytes_read < 40 << 20
    assert quick.longest == 4 << 20
    assert sparse.scan(path, ((0, size),), whole=True).bytes_read == size


def test_a_scan_that_nobody_waits_for_ends(tmp_path):
    """Asked once a megabyte."""
    path = write(tmp_path / "film", {}, 64 << 20)
    assert sparse.scan(path, ((0, 64 << 20),), whole=True, should_stop=lambda: True).bytes_read == 0


def test_zeros_that_a_sample_falls_into_are_followed_to_their_end(tmp_path):
    """A window is 64 KiB, and FLAC needs 128 KiB of proof; where a run ends, the following ends."""
    size, step = 300 << 20, 200 << 10
    path = write(tmp_path / "film", dict.fromkeys(range(0, size, step), b"x"), size)
    for first in (0, 4000):
        found = sparse.scan(path, ((first, size),), whole=False)
        assert 128 << 10 < found.longest < step
        assert found.bytes_read < size // 2
