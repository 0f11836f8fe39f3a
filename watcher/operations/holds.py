"""Who works on an operation: one process at a time, told by a lock that a kill cannot leave behind.

The kernel drops the lock (flock) with the process, so what is left of a killed one is an empty claim. Managers of one
process share it. A file system without locks leaves everybody free: better than not to work there at all.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import os
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Final

from watcher.errors import OperationHeld
from watcher.operations import places
from watcher.rules.names import readable

log = logging.getLogger("watcher.operations")

_NO_LOCKS: Final = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})


@dataclass(slots=True, eq=False)
class Hold:
    """The right to write one state file, shared by the managers of this process."""

    path: bytes
    operation_id: str
    descriptor: int
    pid: int
    """A forked child has a copy of this, but not the right."""
    managers: int = 1
    writing: threading.Lock = field(default_factory=threading.Lock)
    """Held while one version is written, and never while waiting for a network drive."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that works on an operation."""

    pid: int
    host: str
    operation_id: str
    since: float
    """Seconds since 1970."""

    def __str__(self) -> str:
        """Name it for a person."""
        return f"process {self.pid}" if self.host == socket.gethostname() else f"process {self.pid} on {self.host}"


_held: dict[bytes, Hold] = {}
_registry = threading.RLock()  # a manager may be collected, and release its hold, in the middle of another's claim


def claim(path: bytes, operation_id: str) -> Hold | None:
    """Take the right to write a state file; None when another job of this process or another has the name.

    Raises OperationHeld when another process works on this very operation, OSError when the lock cannot be written.
    """
    with _registry:
        hold = _held.get(path)
        if hold is not None and hold.pid != os.getpid():
            os.close(_held.pop(path).descriptor)  # the parent's, whose lock would outlive it here
            hold = None
        if hold is not None:
            if hold.operation_id != operation_id:
                return None
            hold.managers += 1
            return hold
        descriptor = _lock(path, operation_id)
        if descriptor is None:
            return None
        hold = _held[path] = Hold(path, operation_id, descriptor, os.getpid())
        return hold


def release(hold: Hold) -> None:
    """Give the right back; the last manager of the process takes the lock away."""
    with _registry:
        hold.managers -= 1
        if hold.managers or hold.pid != os.getpid():
            return
        _held.pop(hold.path, None)
        with contextlib.suppress(OSError):  # a lock file left behind is free to take: the lock itself ends here
            # Another's is left, where the folder was cleared away meanwhile.
            if _is_still(hold.path + places.LOCK, hold.descriptor):
                os.unlink(hold.path + places.LOCK)
        os.close(hold.descriptor)


def _lock(path: bytes, operation_id: str) -> int | None:
    lock = path + places.LOCK
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        refused = _refused(descriptor)
        if refused in _NO_LOCKS:
            log.warning("this file system has no locks: nothing keeps a second process from %s", readable(path))
            return descriptor
        if refused:
            os.close(descriptor)
            if refused not in (errno.EWOULDBLOCK, errno.EACCES):
                raise OSError(refused, os.strerror(refused), lock)
            _require_other(path, operation_id)
            return None
        if _is_still(lock, descriptor):
            break
        os.close(descriptor)  # its holder ended and took the file away between our opening and our locking
    about = {"pid": os.getpid(), "host": socket.gethostname(), "operation_id": operation_id, "since": time.time()}
    with contextlib.suppress(OSError):  # a full disk: the lock holds all the same, it only names nobody
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({**about, "started": _started(os.getpid())}).encode(), 0)
    return descriptor


def _refused(descriptor: int) -> int:
    """Give the number of the error with which the kernel refuses the lock; 0 when we have it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno or errno.EIO
    return 0


def _is_still(lock: bytes, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(lock), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _require_other(path: bytes, operation_id: str) -> None:
    holder = holder_of(path)
    if holder is not None and holder.operation_id != operation_id:
        return
    who = holder or "another process"
    raise OperationHeld(f"{readable(path)}: {who} works on this operation now; wait for it, or end it first")


def holder_of(path: bytes) -> Holder | None:
    """Tell who works on the operation of a state file; None when nobody does, or nobody said."""
    try:
        about: dict[str, Any] = json.loads(places.read(path + places.LOCK, 4096))
        holder = Holder(int(about["pid"]), str(about["host"]), str(about["operation_id"]), float(about["since"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if holder.host == socket.gethostname() and _started(holder.pid) != about.get("started"):
        return None  # killed; the number may be another process's by now
    return holder


def _started(pid: int) -> str | None:
    """Give when a process began, as the kernel counts: with its number it names a process for good."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[19].decode()
    except (OSError, IndexError):
        return None
