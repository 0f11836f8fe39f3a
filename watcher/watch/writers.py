"""Does anyone still have a file open for writing? What knows it even while a copy pauses.

The kernel grants a read lease on a file only while nobody on this machine has it open for writing; the lease is asked
for and given back at once, since a held one would make a writer wait. Only EAGAIN means that somebody writes; any
other refusal means that leases cannot be had here (another's file without CAP_LEASE, a file system without them), and
NFS and CIFS clients say EAGAIN for want of a delegation or oplock. Then /proc is searched for open descriptors, which
without root sees only this user's processes. Neither sees a writer on another machine.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
from dataclasses import dataclass
from typing import Literal

from watcher.watch import mounts


@dataclass(frozen=True, slots=True)
class WriterEvidence:
    """What was found out, and by what."""

    state: Literal["busy", "free", "unknown"]
    evidence: Literal["lease", "proc", "none"]
    """"lease"; "proc" when the processes' descriptors were searched; "none"."""


def ignore_sigio() -> None:
    """Ignore SIGIO, which the kernel sends to the holder of a lease that somebody breaks, and whose default is to kill.

    To be called once, in the main thread, before `writer_of`, which asks for no lease in a process where it would kill.
    """
    signal.signal(signal.SIGIO, signal.SIG_IGN)


def writer_of(path: bytes) -> WriterEvidence:
    """Find out whether anyone here has a file open for writing. 20 us by a lease, 70 ms and more by /proc.

    Raises OSError when the file is gone or cannot be looked at; what is no regular file is unknown.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except BlockingIOError:  # a write lease is held: Samba gives its clients one to write under
        return WriterEvidence("busy", "lease")
    except PermissionError:
        return _by_proc(os.lstat(path))
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            return WriterEvidence("unknown", "none")
        return _by_lease(descriptor, path) or _by_proc(found)
    finally:
        os.close(descriptor)


def _by_lease(descriptor: int, path: bytes) -> WriterEvidence | None:
    """Ask for a lease; None when leases tell nothing here."""
    if signal.getsignal(signal.SIGIO) is signal.SIG_DFL:
        return None
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        if error.errno != errno.EAGAIN or mounts.is_remote(mounts.fs_type_at(path, mounts.mount_id(descriptor))):
            return None
        return WriterEvidence("busy", "lease")
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return WriterEvidence("free", "lease")


def _by_proc(file: os.stat_result) -> WriterEvidence:
    """Search all processes. Free only when each of them could be looked at."""
    all_seen = os.path.exists("/proc/1")  # hidepid, and ProtectProc= of systemd, leave the processes of others out
    for process in os.listdir("/proc"):
        if not process.isdigit():
            continue
        try:
            if _writes(f"/proc/{process}", file):
                return WriterEvidence("busy", "proc")
        except PermissionError:
            all_seen = False
        except OSError:  # the process has ended
            continue
    return WriterEvidence("free", "proc") if all_seen else WriterEvidence("unknown", "none")


def _writes(process: str, file: os.stat_result) -> bool:
    with os.scandir(f"{process}/fd") as descriptors:
        for each in descriptors:
            try:
                found = each.stat()
            except FileNotFoundError:
                continue
            if (found.st_dev, found.st_ino) == (file.st_dev, file.st_ino) and _for_writing(process, each.name):
                return True
    return False


def _for_writing(process: str, descriptor: str) -> bool:
    try:
        with open(f"{process}/fdinfo/{descriptor}", "rb") as info:
            for line in info:
                if line.startswith(b"flags:"):
                    return int(line.split()[1], 8) & os.O_ACCMODE != os.O_RDONLY
    except FileNotFoundError:
        pass
    return False
