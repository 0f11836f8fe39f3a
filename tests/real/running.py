"""A running service in a process of its own, and what is seen of it from outside: its database and its log."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Self

from watcher.errors import StoreError
from watcher.media import selftest, tools
from watcher.store.store import StateStore

if TYPE_CHECKING:
    from pathlib import Path

FAST = {
    "stable_wait_sec": 1, "settle_sec": 0.3, "debounce_quiet_sec": 0.1, "debounce_at_most_sec": 1, "loop_interval_sec": 1,
    "backoff_step_sec": 1, "backoff_max_sec": 4, "integrity_quick_mode": True, "log_level": "debug",
}  # fmt: skip


def slow_ffmpeg(folder: Path, times: float) -> Path:
    """Give an FFmpeg that reads so many times as fast as a film plays: there is time to do something to it.

    What it was started for is in the file `started` beside it, a line each.
    """
    script = folder / "ffmpeg"
    script.write_text(
        f'#!/bin/sh\necho "$*" >> {folder}/started\n'
        f'case " $* " in *" -i "*) exec ffmpeg -readrate {times} "$@" ;; *) exec ffmpeg "$@" ;; esac\n'
    )
    script.chmod(0o755)
    return script


class Service:
    """`watcher run` as a child process with settings from a file."""

    def __init__(self, folder: Path, *roots: Path, **settings: object) -> None:
        self.folder = folder
        self.database = folder / "state" / "watcher.db"
        self.log = folder / "log"
        self.config = folder / "config.json"
        watch = [{"path": str(root), "mode": "events"} for root in roots]
        self.config.write_text(json.dumps({**FAST, "storage_url": str(self.database), **settings, "watch": watch}))
        self._process: subprocess.Popen[bytes] | None = None
        self._lines_before = 0
        self.database.parent.mkdir(exist_ok=True)
        selftest.remember(self.database.with_name("ffmpeg.json"), asyncio.run(tools.find_tools()))

    def start(
        self, *, wait: bool = True, env: dict[str, str] | None = None, program: tuple[str, ...] = ("-m", "watcher")
    ) -> Service:
        with self.log.open("ab") as log:
            self._lines_before = len(self.lines())
            self._process = subprocess.Popen(
                [sys.executable, *program, "run", "--config", self.config],
                stderr=log, stdout=log, stdin=subprocess.DEVNULL, env={**os.environ, **(env or {})}, start_new_session=True,
            )  # fmt: skip
        if wait:
            self.until(lambda: any(line["event"] == "watching" for line in self.lines_of_this_run()), "it watches")
        return self

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        assert self._process is not None
        self._process.send_signal(how)
        code = self._process.wait(30)
        self._process = None
        return code

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.stop()

    # --- seen from outside

    def lines(self) -> list[dict]:
        found = []
        for line in self.log.read_text(errors="replace").splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                found.append({"event": f"not JSON: {line}"})
        return found

    def lines_of_this_run(self) -> list[dict]:
        return self.lines()[self._lines_before :]

    def until(self, true, what: str, timeout: float = 60) -> None:
        end = time.monotonic() + timeout
        while not true():
            if self._process is not None and self._process.poll() is not None:
                raise AssertionError(f"the service ended: {self.log.read_text(errors='replace')[-3000:]}")
            if time.monotonic() > end:
                raise AssertionError(f"not within {timeout} s: {what}\n{self.log.read_text(errors='replace')[-6000:]}")
            time.sleep(0.05)

    def rest(self, seconds: float) -> None:
        """Let the service have its way for a moment."""
        time.sleep(seconds)

    def statuses(self, path: Path | bytes) -> tuple[str, str, str] | None:
        """Give (integrity, processed, reason) of a file that is there, or None while it has no row."""
        try:
            with StateStore(self.database, read_only=True) as store:
                entry = store.entry_at(os.fsencode(path))
                if entry is None or entry.missing_since_ms is not None:
                    return None
                return entry.integrity_status.name, entry.processed_status.name, entry.reason
        except StoreError:
            return None

    def reaches(self, path: Path | bytes, *wanted: str, timeout: float = 60) -> None:
        """Wait until a file has these statuses: integrity, processed and reason, as many as are given."""
        self.until(
            lambda: (self.statuses(path) or ())[: len(wanted)] == wanted,
            f"{path!r} is {wanted}, not {self.statuses(path)}", timeout,
        )  # fmt: skip

    def moves(self, path: Path | bytes) -> list[str]:
        with StateStore(self.database, read_only=True) as store:
            entry = store.entry_at(os.fsencode(path))
            rows = store.sql("SELECT move FROM journal WHERE entry_id = ? ORDER BY id", (entry.id,))
            return [row[0] for row in rows]

    def all_statuses(self) -> list[tuple[str, str]]:
        with StateStore(self.database, read_only=True) as store:
            return store.sql(
                "SELECT integrity_status, processed_status FROM file_entry WHERE missing_since_ms IS NULL"
            ).fetchall()
