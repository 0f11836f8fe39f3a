"""The kernel's inotify, as much of it as is needed: open, watch a folder, wait, read, close. See inotify(7).

Bytes in, bytes out. One thread reads; `wake` may be called by any thread.
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CLOSE_WRITE = 0x00000008
MOVED_FROM = 0x00000040
MOVED_TO = 0x00000080
CREATE = 0x00000100
DELETE = 0x00000200
DELETE_SELF = 0x00000400
MOVE_SELF = 0x00000800
UNMOUNT = 0x00002000
Q_OVERFLOW = 0x00004000
IGNORED = 0x00008000
ONLYDIR = 0x01000000
DONT_FOLLOW = 0x02000000
EXCL_UNLINK = 0x04000000
ISDIR = 0x40000000

Event = tuple[int, int, int, bytes]
"""Watch descriptor (-1 for an overflow), mask, cookie that pairs MOVED_FROM with MOVED_TO, name in the watched folder."""

_HEADER = struct.Struct("iIII")
_READ_BYTES = 64 * 1024  # 2,000 events of usual names; the kernel's queue holds 16,384
_libc = ctypes.CDLL(None, use_errno=True)


class Inotify:
    """One inotify instance. Every failure of the kernel is an OSError with its errno: EMFILE, ENOSPC, EACCES, ENOENT, ..."""

    def __init__(self) -> None:
        self._fd = _checked(_libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK))
        try:
            self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        except OSError:
            os.close(self._fd)
            raise
        self._open = threading.Lock()
        """Held while the wake descriptor is written or closed: its number may be another file's the moment after."""
        self._closed = False
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)
        self._poll.register(self._wake_fd, select.POLLIN)

    def watch(self, path: bytes, mask: int) -> int:
        """Watch a folder and give the descriptor; one already watched keeps its descriptor, whatever its path is now."""
        return _checked(_libc.inotify_add_watch(self._fd, ctypes.c_char_p(path), ctypes.c_uint32(mask)), path)

    def unwatch(self, descriptor: int) -> None:
        """Watch a folder no more. One that the kernel has dropped before is no error."""
        _libc.inotify_rm_watch(self._fd, descriptor)

    def read(self, timeout_sec: float | None) -> Iterator[Event]:
        """Wait for events, at most so long (None: without end), and give a bufferful; nothing when woken or out of time."""
        ready = self._poll.poll(None if timeout_sec is None else timeout_sec * 1000)
        for fd, _ in ready:
            if fd == self._wake_fd:
                os.eventfd_read(self._wake_fd)
        if all(fd != self._fd for fd, _ in ready):
            return iter(())
        try:
            return _events(os.read(self._fd, _READ_BYTES))
        except BlockingIOError:
            return iter(())

    def wake(self) -> None:
        """End the wait of `read`, now or the next time; nothing when it is closed."""
        with self._open:
            if not self._closed:
                os.eventfd_write(self._wake_fd, 1)

    def close(self) -> None:
        """Give everything back; all watches end."""
        with self._open:
            if not self._closed:
                self._closed = True
                os.close(self._fd)
                os.close(self._wake_fd)


def _events(buffer: bytes) -> Iterator[Event]:
    unpack = _HEADER.unpack_from
    header = _HEADER.size
    at = 0
    while at < len(buffer):
        descriptor, mask, cookie, length = unpack(buffer, at)
        at += header
        yield descriptor, mask, cookie, buffer[at : at + length].rstrip(b"\0")
        at += length


def _checked(result: int, path: bytes = b"") -> int:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), path)
    return result
