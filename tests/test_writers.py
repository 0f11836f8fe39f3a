"""Whether somebody still writes: asked of the kernel, on real files."""

import errno
import fcntl
import mmap
import os
import signal
import subprocess
import sys

import pytest

from watcher.watch import writers
from watcher.watch.writers import WriterEvidence, writer_of

BUSY, FREE = WriterEvidence("busy", "lease"), WriterEvidence("free", "lease")


@pytest.fixture
def path(tmp_path):
    (tmp_path / "Film.mkv").write_bytes(b"film" * 2000)
    return os.fsencode(tmp_path / "Film.mkv")


@pytest.fixture
def sigio():
    """SIGIO ignored, as the service does at its start."""
    before = signal.getsignal(signal.SIGIO)
    writers.ignore_sigio()
    yield
    signal.signal(signal.SIGIO, before)


@pytest.fixture
def sigio_kills():
    """SIGIO as every process has it at first: asking for a lease could end the process."""
    before = signal.signal(signal.SIGIO, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGIO, before)


def needs_leases(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        pytest.skip(f"no leases here: {error.strerror}")
    finally:
        os.close(descriptor)


def test_a_file_is_busy_while_it_is_open_for_writing_and_free_after(path, sigio):
    needs_leases(path)
    assert writer_of(path) == FREE
    with open(path, "ab"):
        assert writer_of(path) == BUSY
        with open(path, "rb"):
            assert writer_of(path) == BUSY
    assert writer_of(path) == FREE
    with open(path, "rb"):
        assert writer_of(path) == FREE


def test_a_writer_in_another_process_is_seen_even_while_it_pauses(path, sigio):
    needs_leases(path)
    script = "import sys; f = open(sys.argv[1], 'ab'); print(flush=True); sys.stdin.read()"
    child = subprocess.Popen(
        [sys.executable, "-c", script, os.fsdecode(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with child:
        child.stdout.readline()
        assert writer_of(path) == BUSY
        child.stdin.close()
    assert writer_of(path) == FREE


def test_a_mapping_that_is_written_after_the_close_is_seen(path, sigio):
    needs_leases(path)
    with open(path, "r+b") as file:
        mapped = mmap.mmap(file.fileno(), 0)
    assert writer_of(path) == BUSY
    mapped.close()
    assert writer_of(path) == FREE


def test_the_lease_is_given_back_at_once(path, sigio):
    needs_leases(path)
    writer_of(path)
    os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))  # would be refused while anyone holds the lease


def test_a_write_lease_of_another_means_busy(path, sigio):
    """Samba holds one for a client that writes."""
    needs_leases(path)
    holder = os.open(path, os.O_RDWR)
    try:
        fcntl.fcntl(holder, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        assert writer_of(path) == BUSY
    finally:
        fcntl.fcntl(holder, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        os.close(holder)


def test_no_lease_is_asked_for_in_a_process_that_it_could_kill(path, sigio_kills):
    assert writer_of(path).evidence != "lease"


def test_without_leases_open_descriptors_are_searched(path, sigio_kills):
    with open(path, "ab"):
        assert writer_of(path) == WriterEvidence("busy", "proc")
    with open(path, "rb"):
        assert writer_of(path) in (WriterEvidence("free", "proc"), WriterEvidence("unknown", "none"))


@pytest.mark.parametrize("answer", [errno.EACCES, errno.EINVAL, errno.ENOLCK, errno.EOPNOTSUPP])
def test_only_eagain_means_busy(path, sigio, monkeypatch, answer):
    """The other refusals speak of the file system or of permissions, and cannot be had here on demand."""

    def refuse(*_):
        raise OSError(answer, os.strerror(answer))

    monkeypatch.setattr(writers.fcntl, "fcntl", refuse)
    assert writer_of(path).state != "busy"


def test_eagain_of_a_network_client_is_no_proof(path, sigio, monkeypatch):
    def refuse(*_):
        raise BlockingIOError(errno.EAGAIN, "no delegation")

    monkeypatch.setattr(writers.fcntl, "fcntl", refuse)
    assert writer_of(path) == BUSY
    monkeypatch.setattr(writers.mounts, "fs_type_at", lambda *_: "nfs4")
    assert writer_of(path).state != "busy"


def test_what_is_no_regular_file_is_unknown_and_does_not_block(tmp_path, sigio):
    os.mkfifo(tmp_path / "pipe.mkv")
    assert writer_of(os.fsencode(tmp_path / "pipe.mkv")) == WriterEvidence("unknown", "none")


def test_a_file_that_is_gone_or_a_link_is_an_error(path, tmp_path, sigio):
    with pytest.raises(FileNotFoundError):
        writer_of(path + b".gone")
    os.symlink(path, tmp_path / "link.mkv")
    with pytest.raises(OSError, match="symbolic links"):
        writer_of(os.fsencode(tmp_path / "link.mkv"))
