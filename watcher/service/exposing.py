"""The numbers for others to fetch: `/metrics` and `/healthz` over HTTP, on a port of this machine or a Unix socket.

A thread of its own answers, from what the service has counted and from the database read-only: whoever asks often, or
holds a connection open, holds up nothing.
"""

from __future__ import annotations

import contextlib
import errno
import http.server
import json
import os
import socket
import socketserver
import threading
from typing import TYPE_CHECKING, Any

from watcher.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

_OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_NO_NETWORK = "the sandbox of the unit has no network: say `watcher install-unit` again"
_PATIENCE_SEC = 10.0
"""For a client that connects and says nothing."""


class _Handler(http.server.BaseHTTPRequestHandler):
    timeout = _PATIENCE_SEC
    server: _Tcp | _Unix

    def do_GET(self) -> None:
        """Answer the two addresses there are."""
        if self.path == "/metrics":
            self._answer(200, _OPENMETRICS, self.server.metrics())
        elif self.path == "/healthz":
            health = self.server.health()
            self._answer(503 if health["status"] == "unhealthy" else 200, "application/json", json.dumps(health))
        else:
            self._answer(404, "text/plain; charset=utf-8", "there are /metrics and /healthz\n")

    def _answer(self, code: int, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):  # whoever asked has gone
            self.wfile.write(body)

    def address_string(self) -> str:
        """Give nothing: a Unix socket has no address."""
        return ""

    def log_message(self, *_: object) -> None:
        """Say nothing: a question a minute is no news."""


class _Server(socketserver.ThreadingMixIn):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: Any, metrics: Callable[[], str], health: Callable[[], dict[str, Any]]) -> None:
        self.metrics = metrics
        self.health = health
        super().__init__(address, _Handler)  # type: ignore[call-arg]  # of the server that it is mixed into


class _Tcp(_Server, socketserver.TCPServer):
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], *rest: Any) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, *rest)


class _Unix(_Server, socketserver.UnixStreamServer):
    def server_bind(self) -> None:
        """Bind, however long the path is: an address has room for 107 bytes."""
        folder, name = os.path.split(str(self.server_address))
        descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.socket.bind(f"/proc/self/fd/{descriptor}/{name}")
        finally:
            os.close(descriptor)


class Exposed:
    """A listening address. Raises SettingsError when it cannot be had; `close` ends it."""

    def __init__(self, listen: str, metrics: Callable[[], str], health: Callable[[], dict[str, Any]]) -> None:
        """`listen` is HOST:PORT, or unix:PATH of a socket, whose left-over of an earlier run is replaced."""
        self._path = listen.removeprefix("unix:") if listen.startswith("unix:") else ""
        try:
            if self._path:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._path)
                self._server: _Tcp | _Unix = _Unix(self._path, metrics, health)
            else:
                host, _, port = listen.rpartition(":")
                self._server = _Tcp((host.strip("[]"), int(port)), metrics, health)
        except OSError as error:
            closed = error.errno == errno.EAFNOSUPPORT
            why = _NO_NETWORK if closed else error.strerror
            raise SettingsError(f"metrics_listen = {listen!r}: cannot be listened on: {why}") from None
        self.address = self._server.server_address
        threading.Thread(target=self._server.serve_forever, args=(None,), name="metrics", daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        with contextlib.suppress(OSError):
            self._server.socket.shutdown(socket.SHUT_RDWR)  # the thread sleeps until somebody connects, or until this
        self._server.shutdown()
        self._server.server_close()
        if self._path:
            with contextlib.suppress(OSError):
                os.unlink(self._path)
