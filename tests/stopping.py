"""Somebody who stops processes by SIGSTOP, as a pause does, and knows for how long they stood."""

import contextlib
import os
import signal
import time


class Stopping:
    """Stops and continues what runs, and what begins to run while all stands; `stopped_sec` grows only meanwhile."""

    def __init__(self, *, stopped=False):
        self.running = []
        self._before = 0.0
        self._since = None
        if stopped:
            self.stop()

    @property
    def stopped_sec(self):
        return self._before + (time.monotonic() - self._since if self._since is not None else 0.0)

    @contextlib.contextmanager
    def allow(self, process):
        self.running.append(process)
        if self._since is not None:
            os.killpg(process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            self.running.remove(process)

    def stop(self):
        self._since = time.monotonic()
        for process in self.running:
            os.killpg(process.pid, signal.SIGSTOP)

    def go_on(self):
        self._before, self._since = self.stopped_sec, None
        for process in self.running:
            os.killpg(process.pid, signal.SIGCONT)


def ticks(pid):
    """Give the CPU time that a process has used, in ticks of the kernel's clock."""
    with open(f"/proc/{pid}/stat") as file:
        words = file.read().rpartition(")")[2].split()
    return int(words[11]) + int(words[12])
