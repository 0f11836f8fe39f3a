"""Network drives: what is waited for, how long, and what is not."""

import errno
import os
import threading

import pytest
from helpers import small_disk

from watcher.errors import StateNotSaved
from watcher.operations import (
    Drive,
    PauseManager,
    TranscodeOperation,
    UniversalStateManager,
    document,
    find_resumable_operations,
    network,
    places,
)


class Failing:
    """Work that fails with these errors, one a call, and then gives "done"."""

    def __init__(self, *codes):
        self.errors = [OSError(code, os.strerror(code)) for code in codes]
        self.calls = 0

    def __call__(self):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


@pytest.mark.parametrize("code", sorted(network.NETWORK_ERRORS), ids=errno.errorcode.get)
def test_an_error_of_the_network_is_waited_for(tmp_path, code):
    work = Failing(code)
    assert Drive(os.fsencode(tmp_path)).retry(work, sleep=lambda _: None) == "done"
    assert work.calls == 2


def test_the_pauses_grow_and_the_log_speaks_once_at_each_end(tmp_path, caplog):
    """1, 2, 5, 10, 30, 60 seconds; one line that the drive is away, one that it is back."""
    slept = []
    assert Drive(os.fsencode(tmp_path)).retry(Failing(*[errno.ESTALE] * 6), sleep=slept.append) == "done"
    assert slept == [1, 2, 5, 10, 30, 60]
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["drive is away", "drive is back"]


def test_what_stays_away_is_raised_as_it_is(tmp_path):
    """After seven tries, the system's own error."""
    work = Failing(*[errno.ETIMEDOUT] * 20)
    with pytest.raises(TimeoutError):
        Drive(os.fsencode(tmp_path)).retry(work, sleep=lambda _: None)
    assert work.calls == 7


@pytest.mark.parametrize("code", [errno.ENOENT, errno.EACCES, errno.ENOSPC, errno.EROFS, errno.ENOTDIR])
def test_an_error_that_time_does_not_mend_is_raised_at_once(tmp_path, code):
    """A missing file is missing, as long as its mount is there."""
    work = Failing(code)
    with pytest.raises(OSError, match=os.strerror(code)):
        Drive(os.fsencode(tmp_path / "gone" / "film.mkv")).retry(work, sleep=lambda _: pytest.fail("it waited"))
    assert work.calls == 1


def test_waiting_can_be_ended(tmp_path):
    """By another thread, in the middle of the longest pause: one more try, and the error."""
    cancel = threading.Event()
    work = Failing(*[errno.EIO] * 20)
    tried_twice = threading.Event()

    def watched():
        if work.calls == 1:
            tried_twice.set()
        return work()

    threading.Thread(target=lambda: tried_twice.wait() and cancel.set()).start()
    with pytest.raises(OSError, match="Input/output error"):
        Drive(os.fsencode(tmp_path), waits_sec=(0, 600)).retry(watched, cancel)
    assert work.calls == 3


def test_a_mount_that_went_away_is_told_from_a_folder_that_is_missing(tmp_path):
    """While it is away, nothing is written into the empty folder that shows through."""
    with small_disk(tmp_path / "nas", 100) as disk:
        (disk / "films").mkdir()
        film = os.fsencode(disk / "films" / "a.mkv")
        drive = Drive(film)
        assert not drive.is_gone()
        os.rmdir(disk / "films")
        assert not drive.is_gone()
    missing = FileNotFoundError(errno.ENOENT, "no such file")
    assert drive.is_gone()
    assert drive.is_worth_waiting(missing)
    assert not Drive(film).is_worth_waiting(missing)
    with pytest.raises(OSError, match="not mounted"):
        drive.require()


def test_a_state_is_not_looked_for_or_written_below_a_mount_point_without_its_mount(tmp_path):
    """It waits for the drive, and a leave ends the waiting; nor is it taken for missing, or removed."""
    pauses = PauseManager()
    with small_disk(tmp_path / "nas", 100) as disk:
        manager = UniversalStateManager(TranscodeOperation("vbr", disk / "a.mkv"), pauses=pauses)
        manager.update_step("encode")
        manager.release()  # a file of ours that is open would keep the disk busy
    pauses.leave()
    with pytest.raises(StateNotSaved, match="not mounted; the one saved before it stands"):
        manager.update_step("mux")
    with pytest.raises(OSError, match="not mounted"):
        manager.load_state()
    with pytest.raises(StateNotSaved, match="cannot be removed: its file system is not mounted"):
        manager.cleanup_state()
    assert os.listdir(tmp_path / "nas") == []


def test_a_full_disk_keeps_the_last_state(tmp_path):
    """A real one, filled to the last byte."""
    with small_disk(tmp_path / "disk", 64) as disk:
        manager = UniversalStateManager(TranscodeOperation("vbr", disk / "a.mkv"))
        manager.update_step("encode", 40)
        before = manager.state_file.read_bytes()
        with pytest.raises(OSError, match="No space left"), open(disk / "filler", "wb", buffering=0) as filler:
            while filler.write(b"x" * 4096):
                pass
        with pytest.raises(StateNotSaved, match="No space left on device; the one saved before it stands"):
            manager.update_step("mux")
        assert manager.state_file.read_bytes() == before
        assert not os.path.exists(os.fsencode(manager.state_file) + places.NEW)
        os.unlink(disk / "filler")
        manager.update_step("mux", 60)
        manager.cleanup_state()


def test_no_lock_is_held_while_a_drive_is_away(tmp_path, monkeypatch):
    """While one thread waits to save, another can read and save, and the older state does not come after the newer."""
    pauses = PauseManager()
    manager = UniversalStateManager(TranscodeOperation("vbr", tmp_path / "a.mkv"), pauses=pauses)
    manager.update_step("probe")
    away, back = threading.Event(), threading.Event()
    write = places.write

    def fail_once(path, content):
        if not away.is_set():
            away.set()
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        write(path, content)

    monkeypatch.setattr(places, "write", fail_once)
    monkeypatch.setattr(network, "sleep_using_event", lambda _: lambda _seconds: back.wait())
    waiting = threading.Thread(target=manager.update_step, args=("encode", 10))
    waiting.start()
    assert away.wait(10)
    manager.update_step("mux", 20)
    assert b'"mux"' in manager.state_file.read_bytes()
    back.set()
    waiting.join()
    assert b'"mux"' in manager.state_file.read_bytes()
    assert manager.state.steps_completed == ["probe", "encode"]


def test_a_list_of_interrupted_work_waits_for_its_drive(tmp_path, monkeypatch):
    """A state that cannot be read for a moment is not listed as broken."""
    UniversalStateManager(TranscodeOperation("vbr", tmp_path / "a.mkv")).update_step("encode")
    failing = [errno.ESTALE, errno.EIO]
    read = document.read

    def fail_first(path):
        if failing:
            code = failing.pop()
            raise OSError(code, os.strerror(code))
        return read(path)

    monkeypatch.setattr(document, "read", fail_first)
    monkeypatch.setattr(network, "sleep_using_event", lambda _: lambda _seconds: None)
    (found,) = find_resumable_operations(tmp_path)
    assert (found["broken"], found["current_step"], failing) == (None, "encode", [])
