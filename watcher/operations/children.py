"""The processes a job has started and allows to be stopped: an encode of hours need not be waited for."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator


class Process(Protocol):
    """A subprocess.Popen, an asyncio process, or what is like them."""

    @property
    def pid(self) -> int:
        """Its number."""

    @property
    def returncode(self) -> int | None:
        """None while it runs, or nobody has waited for it."""


class Children:
    """Processes that stop with a pause, go on after it, and end when their job leaves.

    A child that leads a process group of its own is signalled with its group. It should: in the group of a terminal's
    job it would hear each Ctrl-C itself (start it with `start_new_session=True` or `process_group=0`).
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: list[Process] = []
        self._stopped = False
        self._since = 0.0
        """When they were stopped last, on the monotonic clock."""
        self._stopped_before = 0.0
        """The seconds of the stops that are over."""

    def __bool__(self) -> bool:
        """Whether there is one."""
        return bool(self._known)

    @property
    def stopped_sec(self) -> float:
        """For how long they have been stopped until now, all stops together: time that counts against no limit."""
        with self._lock:
            return self._stopped_before + (time.monotonic() - self._since if self._stopped else 0.0)

    @contextlib.contextmanager
    def allow(self, process: Process) -> Iterator[None]:
        """Let this process be stopped and continued inside; outside it is left alone, and running."""
        with self._lock:
            self._known.append(process)
            if self._stopped:
                _signal(process, signal.SIGSTOP)
        try:
            yield
        finally:
            with self._lock:
                self._known.remove(process)
                if self._stopped:
                    _signal(process, signal.SIGCONT)

    def stop(self) -> None:
        """Stop them all, and those that come, until `go_on`."""
        with self._lock:
            if not self._stopped:
                self._stopped, self._since = True, time.monotonic()
            for process in self._known:
                _signal(process, signal.SIGSTOP)

    def go_on(self) -> None:
        """Continue them all."""
        with self._lock:
            if self._stopped:
                self._stopped = False
                self._stopped_before += time.monotonic() - self._since
            for process in self._known:
                _signal(process, signal.SIGCONT)

    def end(self) -> None:
        """End them all: SIGTERM, and SIGCONT, without which a stopped one would not hear it.

        Takes no lock: a signal handler calls it before it raises, since the job forgets its child on its way out.
        """
        for process in tuple(self._known):
            _signal(process, signal.SIGTERM)
            _signal(process, signal.SIGCONT)


def _signal(process: Process, number: signal.Signals) -> None:
    if process.returncode is not None:
        return  # its number may be another process's by now
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.getpgid(process.pid) == process.pid:
            os.killpg(process.pid, number)
        else:
            os.kill(process.pid, number)
