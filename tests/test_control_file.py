"""What aria2 says about a download in progress, from control files as aria2 1.36 writes them."""

import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.media import control_file, integrity, tools
from watcher.rules.statuses import IntegrityStatus, Mode, Reason


def account(total, piece, there, info_hash=b""):
    """Write a control file: the pieces in `there` are on disk."""
    pieces = -(-total // piece)
    bits = sum(1 << (pieces + (-pieces) % 8 - 1 - index) for index in there).to_bytes(-(-pieces // 8))
    head = b"\0\1" + bytes(4) + struct.pack(">I", len(info_hash)) + info_hash
    return head + struct.pack(">IQQI", piece, total, 0, len(bits)) + bits + bytes(4)


@pytest.fixture
def film(tmp_path):
    path = tmp_path / "film.mkv"
    path.write_bytes(b"as much as has come")
    return path


def beside(film, content):
    film.with_name(film.name + ".aria2").write_bytes(content)
    return control_file.beside(os.fsencode(film))


def test_the_pieces_that_are_there_are_counted_and_the_last_one_is_shorter(film):
    told = beside(film, account(20_000_000, 1 << 20, range(10)))
    assert (told.total_bytes, told.present_bytes, told.source) == (20_000_000, 10 << 20, "film.mkv.aria2")
    assert beside(film, account(20_000_000, 1 << 20, [19])).present_bytes == 20_000_000 - (19 << 20)
    assert beside(film, account(20_000_000, 1 << 20, range(20))).present_bytes == 20_000_000
    assert beside(film, account(3000, 1000, [0, 2], info_hash=bytes(20))).present_bytes == 2000


def test_without_a_control_file_nothing_is_told(film):
    assert control_file.beside(os.fsencode(film)) is None


@given(content=st.binary(max_size=80))
def test_no_content_of_it_raises(tmp_path_factory, content):
    film = tmp_path_factory.getbasetemp() / "any.mkv"
    told = beside(film, content)
    assert told is None or 0 <= told.present_bytes <= told.total_bytes


@pytest.mark.parametrize("wrong", [b"", b"\0\1", b"\0\0" + account(3000, 1000, [0])[2:], account(3000, 1000, [0])[:-5]])
def test_one_that_is_cut_or_of_another_version_tells_nothing(film, wrong):
    assert beside(film, wrong) is None


@pytest.mark.parametrize(("length", "reason"), [(1500, Reason.TRUNCATED), (3000, Reason.HOLE)])
async def test_a_check_believes_it_whatever_the_file_looks_like(film, length, reason):
    """Cut when it is to grow, with holes when its space was reserved."""
    film.write_bytes(bytes(range(250)) * (length // 250))
    film.with_name(film.name + ".aria2").write_bytes(account(3000, 1000, [0]))
    verdict = (await integrity.check(await tools.find_tools(), os.fsencode(film), Mode.QUICK)).verdict
    assert (verdict.status, verdict.reason, verdict.missing_bytes) == (IntegrityStatus.INCOMPLETE, reason, 2000)
    assert verdict.evidence == ("reference: film.mkv.aria2 says that 1,000 of 3,000 bytes are there",)
