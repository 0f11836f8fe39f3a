"""What the service tells systemd, over NOTIFY_SOCKET; nothing where there is none. See sd_notify(3)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

EXTEND_EVERY_SEC = 10.0
STOP_AT_MOST_SEC = 600.0


class Notifier:
    """One datagram socket to the service manager. The variables are taken out of the environment, so that no child speaks for us."""

    def __init__(self) -> None:
        address = os.environ.pop("NOTIFY_SOCKET", "")
        own = os.environ.pop("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        usec = os.environ.pop("WATCHDOG_USEC", "0")
        self.watchdog_sec = int(usec) / 1e6 if own and usec.isdigit() else 0.0
        """The time within which systemd wants a sign of life; 0 when it wants none."""
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) if address else None
        self._status = ""

    def ready(self) -> None:
        """Say that the start-up is over."""
        self._send("READY=1")

    def alive(self) -> None:
        """Feed the watchdog."""
        if self.watchdog_sec:
            self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """Say in one line what goes on, when it is not what was said last."""
        if text != self._status:
            self._status = text
            self._send(f"STATUS={text}")

    def reloading(self) -> None:
        """Say that the settings are read anew; `ready` ends it. See sd_notify(3) for the clock."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Say that the shutdown has begun."""
        self._send("STOPPING=1")

    @contextlib.asynccontextmanager
    async def more_time(self) -> AsyncIterator[None]:
        """Ask for more time to stop, for as long as it takes to come out of this: a film's last bytes may be on their way.

        Not without end: whoever waits on a dead disk must be killed one day.
        """
        asking = asyncio.create_task(self._ask_for_time())
        try:
            yield
        finally:
            asking.cancel()

    async def _ask_for_time(self) -> None:
        for _ in range(int(STOP_AT_MOST_SEC / EXTEND_EVERY_SEC)):
            self._send(f"EXTEND_TIMEOUT_USEC={int(3 * EXTEND_EVERY_SEC * 1e6)}")
            await asyncio.sleep(EXTEND_EVERY_SEC)

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, message: str) -> None:
        if self._socket is not None:
            # systemd may be restarting itself; it asks for nothing that a later message does not say again.
            with contextlib.suppress(OSError):
                self._socket.sendto(message.encode("utf-8", "replace"), self._address)
