"""Asking the service how it is: over a socket beside its database, for whoever may write there.

What only the service knows (whether its loop turns, which watches are dead) is never written down for others: an idle
service writes nothing. A thread of its own answers, so a loop that hangs is told of too.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
from contextlib import closing
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

ANSWER_WITHIN_SEC = 10.0
"""It looks at its folders and reads a database of up to 100 MB before it answers."""


def socket_of(database: Path) -> Path:
    """Give the socket at which the service of a database is asked."""
    return database.with_name(f"{database.name}.sock")


def how_it_is(database: Path) -> dict[str, Any] | None:
    """Give what the running service says of its health; None where none listens, or not to us. Blocking.

    Raises TimeoutError when one listens and does not answer.
    """
    try:
        with closing(_OverSocket(socket_of(database))) as service:
            service.request("GET", "/healthz")
            answer: dict[str, Any] = json.loads(service.getresponse().read())
            return answer
    except TimeoutError:
        raise
    except (OSError, http.client.HTTPException, ValueError):
        return None


class _OverSocket(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=ANSWER_WITHIN_SEC)
        self._path = path

    def connect(self) -> None:
        """Connect, however long the path is: an address has room for 107 bytes."""
        folder = os.open(self._path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(self.timeout)
            self.sock.connect(f"/proc/self/fd/{folder}/{self._path.name}")
        finally:
            os.close(folder)
