"""The journal of systemd, spoken to in its own protocol: every key of a log line is a field that `journalctl` can match.

A field's value is bytes, so a file name arrives as it is on disk. See systemd.io/JOURNAL_NATIVE_PROTOCOL. No library does
this without compiled code and without losing names that are no UTF-8.
"""

from __future__ import annotations

import array
import contextlib
import errno
import fcntl
import os
import re
import socket
import struct
import sys
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from collections.abc import Mapping

SOCKET: Final = "/run/systemd/journal/socket"
_PATIENCE_SEC: Final = 1.0
"""A journald that stands still holds us up no longer; what it did not take goes to standard error."""
_NAME: Final = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_ADD_SEALS, _ALL_SEALS = 1033, 0xF  # fcntl.F_ADD_SEALS is missing in some builds of Python
_TOO_LARGE: Final = frozenset({errno.EMSGSIZE, errno.ENOBUFS})


def is_ours(stream: TextIO) -> bool:
    """Tell whether a stream leads to the journal.

    Its device and inode must be those that JOURNAL_STREAM names: children inherit the variable with another stream.
    """
    device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        there = os.fstat(stream.fileno())
    except (OSError, ValueError):  # closed, or no file at all
        return False
    return (device, inode) == (str(there.st_dev), str(there.st_ino))


class Journal:
    """A connection to journald. `send` may be called from any thread."""

    def __init__(self, address: str = SOCKET) -> None:
        self._address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(_PATIENCE_SEC)

    def send(self, fields: Mapping[str, bytes]) -> None:
        """Send one entry. Names that the journal would not take are left out; where there is no journald it is a line on stderr."""
        packet = b"".join(_field(name, value) for name, value in fields.items() if _NAME.fullmatch(name))
        try:
            self._deliver(packet)
        except OSError:
            priority, message = fields.get("PRIORITY", b"6"), fields.get("MESSAGE", b"")
            with contextlib.suppress(OSError, ValueError):  # nobody is left to be told
                sys.stderr.write(f"<{priority.decode()}>{message.decode('utf-8', 'backslashreplace')}\n")

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _deliver(self, packet: bytes) -> None:
        try:
            self._socket.sendto(packet, self._address)
        except OSError as error:
            if error.errno not in _TOO_LARGE:
                raise
            self._deliver_large(packet)

    def _deliver_large(self, packet: bytes) -> None:
        """Hand over what is too large for a datagram in a sealed file in memory."""
        descriptor = os.memfd_create("journal", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
        try:
            with os.fdopen(os.dup(descriptor), "wb") as file:
                file.write(packet)
            fcntl.fcntl(descriptor, _ADD_SEALS, _ALL_SEALS)
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))]
            self._socket.sendmsg([], rights, 0, self._address)  # send_fds() of Python 3.11 ignores its address
        finally:
            os.close(descriptor)


def _field(name: str, value: bytes) -> bytes:
    if b"\n" in value:
        return name.encode() + b"\n" + struct.pack("<Q", len(value)) + value + b"\n"
    return name.encode() + b"=" + value + b"\n"
