"""The watched roots: watch first, then scan, then compare; and nothing is concluded about a root that is not itself.

A root is judged before every scan and once a beat. One that is unmounted, replaced, unreadable or suddenly empty is
suspended: no file of it is gone, changed or broken until it is back, or until a person vouches for it.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from watcher.errors import RootError
from watcher.rules import names
from watcher.service.scanner import DOUBT, Scanner, WatchedRoot
from watcher.watch import roots

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from watcher.config import WatchSettings
    from watcher.service.engine import Engine
    from watcher.service.intake import Intake, Sighting
    from watcher.service.recovery import Recovery
    from watcher.watch.observers import Observers

log = structlog.get_logger("watcher")


class Roots:
    """Keeps the roots of one service: their health, their watches and their scans."""

    def __init__(
        self,
        engine: Engine,
        recovery: Recovery,
        intake: Intake,
        observers: Observers,
        in_store: Callable[..., Awaitable[Any]],
        wake: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._recovery = recovery
        self._observers = observers
        self._in_store = in_store
        self._wake = wake
        self._config = engine.config
        self._rules = engine.config.name_rules()
        self._roots: dict[int, WatchedRoot] = {}
        self._closing = threading.Event()
        self._next_beat = 0.0
        self._observing = False
        self._scanner = Scanner(
            engine, intake, in_store, judge=self._judge, suspend=self._suspend, closing=self._closing.is_set
        )

    # --- beginning and end

    async def start(self, watched: Sequence[WatchSettings], *, observing: bool) -> None:
        """Take on the configured roots: judge, watch, and have each scanned. Raises RootError for nested ones."""
        self._observing = observing
        paths = [str(item.path).encode(errors="surrogateescape") for item in watched]
        roots.refuse_nested(paths)
        for item, path in zip(watched, paths, strict=True):
            await self._take_on(path, item.mode)
        await self._beat(time.monotonic())

    async def _take_on(self, path: bytes, wanted: str) -> WatchedRoot:
        row = await self._in_store(self._engine.store.root_at, path)
        mode = roots.choose_mode(wanted, await asyncio.to_thread(roots.file_system_type, path))
        doubted = DOUBT in (row.suspended_because or "")
        root = WatchedRoot(row.id, path, mode, suspended=row.suspended_because or "not looked at yet", doubted=doubted)
        root.identity = identity_of(row)
        root.was_suspended = row.suspended_because is not None
        self._roots[root.id] = root
        return root

    async def close(self) -> None:
        """Stop the scans and wait for their threads."""
        self._closing.set()
        tasks = [root.task for root in self._roots.values() if root.task is not None]
        if tasks:
            await asyncio.wait(tasks)

    # --- what others ask

    def active(self) -> list[int]:
        """Give the ids of the roots that are themselves."""
        return [root.id for root in self._roots.values() if root.suspended is None]

    def is_active(self, root_id: int) -> bool:
        """Tell whether something may be concluded about a root's files."""
        root = self._roots.get(root_id)
        return root is not None and root.suspended is None

    def paths(self) -> dict[int, bytes]:
        """Give root id -> path."""
        return {root.id: root.path for root in self._roots.values()}

    def summary(self) -> dict[str, Any]:
        """Give the roots for the log: path -> how it is watched."""
        return {"roots": {names.readable(root.path): root.suspended or str(root.mode) for root in self._roots.values()}}

    def sentence(self) -> str:
        """Say in a few words how the roots are."""
        suspended = sum(1 for root in self._roots.values() if root.suspended)
        many = "" if len(self._roots) == 1 else "s"
        return f"{len(self._roots)} folder{many} watched" + (f", {suspended} suspended" if suspended else "")

    def scanning(self) -> bool:
        """Tell whether a scan runs or is wanted now."""
        return any(root.task is not None or root.folders for root in self._roots.values())

    def compared(self) -> bool:
        """Tell whether every root that is itself has been scanned since the start."""
        return all(root.suspended or root.compared for root in self._roots.values())

    def scan_soon(self, root_id: int, folders: Iterable[bytes]) -> None:
        """Have these folders compared with what is known, in the next turn."""
        if (root := self._roots.get(root_id)) is not None:
            root.folders.update(folders)

    def trouble(self, root_id: int, sentence: str) -> None:
        """Take note that events of a root are not to be relied on: it is scanned instead, and as often as a polled one."""
        root = self._roots.get(root_id)
        if root is not None and root.trouble != sentence:
            root.trouble = sentence
            root.due_scan = 0.0
            log.warning("watching trouble", root=names.readable(root.path), trouble=sentence)

    def vouch(self, path: bytes) -> None:
        """Take a root as it is now, since a person says that it is right."""
        for root in self._roots.values():
            if root.path == path:
                root.vouched = True
                self._next_beat = 0.0

    async def take(self, root_id: int, sightings: Sequence[Sighting]) -> None:
        """Take in what the hints led to."""
        if (root := self._roots.get(root_id)) is not None:
            await self._scanner.take(root, sightings, whole=False)

    # --- the beat

    async def turn(self) -> float:
        """Judge the roots when the beat is due and start due scans; gives the time of the next turn, on the wall clock."""
        now = time.monotonic()
        if now >= self._next_beat:
            await self._beat(now)
        due = self._next_beat
        for root in self._roots.values():
            if root.task is not None and root.task.done():
                root.task.result()
                root.task = None
            if root.suspended is None and root.task is None:
                if now >= root.due_scan:
                    root.folders.add(b"")
                if root.folders:
                    root.task = asyncio.create_task(self._scan(root), name=f"scan {root.id}")
                else:
                    due = min(due, root.due_scan)
        return self._engine.clock() + due - now

    async def _beat(self, now: float) -> None:
        self._next_beat = now + self._config.loop_interval_sec
        for root in self._roots.values():
            if await self._judge(root):
                await self._recovery.settle(
                    root.id, scanned=False
                )  # what its disk refused to clear up may be possible now
            if self._observing and root.suspended is None and root.mode == "events":
                wrong = self._observers.alive(root.id)
                if wrong:
                    self.trouble(root.id, wrong)

    async def _judge(self, root: WatchedRoot) -> bool:
        """Look whether a root is itself; suspend it or take it up again. Gives whether it is."""
        state = await asyncio.to_thread(roots.look, root.path)
        same = state.identity is not None and state.identity == root.identity
        if root.suspended is None and same and (root.empty or not state.empty):
            root.empty = state.empty
            return True
        sample = await self._in_store(self._engine.store.sample_paths, root.id)
        health = await asyncio.to_thread(_health, root, sample)
        if health.suspended_because:
            if root.suspended != health.suspended_because:
                await self._suspend(root, health.suspended_because)
            return False
        root.empty = state.empty
        before = root.identity
        root.devices = frozenset(each.device for each in (before, health.identity) if each is not None) | root.devices
        if health.identity != before or root.was_suspended:
            root.identity = health.identity
            await self._in_store(self._accept, root.id, health.identity)
        if root.suspended is not None:
            await self._take_up(root)
        return True

    async def _take_up(self, root: WatchedRoot) -> None:
        """Watch a root that is itself, or is again: watch first, then clear up, then scan."""
        if root.was_suspended:
            log.info("root is back", root=names.readable(root.path))
        await asyncio.to_thread(self._watch, root)
        await self._recovery.settle(root.id, scanned=False)
        root.suspended = None
        root.was_suspended = False
        root.due_scan = 0.0

    def _watch(self, root: WatchedRoot) -> None:
        if self._observing and root.mode == "events":
            self._observers.remove(root.id)
            self._observers.add(root.id, root.path, partial(names.is_film_name, extensions=self._rules.extensions))

    async def _suspend(self, root: WatchedRoot, why: str) -> None:
        """Conclude nothing more about a root's files."""
        root.suspended = why
        root.was_suspended = True
        await self._in_store(self._write_suspension, root.id, why)
        await asyncio.to_thread(self._observers.remove, root.id)
        log.warning("root suspended", root=names.readable(root.path), reason=why)

    def _write_suspension(self, root_id: int, why: str) -> None:
        self._engine.store.update_root(root_id, suspended_because=why, suspended_since_ms=self._engine.now_ms())

    def _accept(self, root_id: int, identity: roots.RootIdentity) -> None:
        self._engine.store.update_root(
            root_id,
            device=identity.device,
            inode=identity.inode,
            mount_id=identity.mount_id,
            fs_type=identity.fs_type,
            suspended_because=None,
            suspended_since_ms=None,
        )

    # --- scans

    async def _scan(self, root: WatchedRoot) -> None:
        folders, root.folders = root.folders, set()
        whole = b"" in folders
        try:
            if whole and root.trouble and self._observers.alive(root.id):
                await asyncio.to_thread(self._watch, root)
            for below in [b""] if whole else sorted(folders):
                await self._scanner.scan(root, below, None)
            if whole:
                await self._recovery.settle(root.id, scanned=True)
                root.compared = True
                every = (
                    self._config.poll_interval_sec
                    if root.mode == "poll" or root.trouble
                    else self._config.scan_interval_sec
                )
                root.due_scan = time.monotonic() + every
                self._observers.refresh(root.id)  # folders that could not be watched, or were mounted, since
                if self._observers.alive(root.id) is None:
                    root.trouble = ""
        finally:
            self._wake()

    async def discover(self, path: bytes, on_progress: Callable[[int], None] | None) -> dict[str, Any]:
        """Scan one folder as a root, once. Raises RootError when it cannot be."""
        top, below = await self._in_store(self._root_around, path)
        known = next((each for each in self._roots.values() if each.path == top), None)
        root = known or await self._take_on(top, "poll")
        began = time.monotonic()
        if not await self._judge(root):
            raise RootError(f"{names.readable(path)}: {root.suspended}")
        before = await self._in_store(self._engine.store.count_entries, root.id)
        state = await self._scanner.scan(root, below, on_progress)
        if state is None or root.suspended:
            raise RootError(f"{names.readable(path)}: {root.suspended or 'it cannot be read'}")
        await self._recovery.settle(root.id, scanned=True)
        root.due_scan = float("inf")
        after = await self._in_store(self._engine.store.count_entries, root.id)
        return {
            "directory": names.readable(path),
            "discovered_files": state.files,
            "files_added": after - before,
            "files_gone": state.gone_files,
            "scan_time_sec": round(time.monotonic() - began, 3),
        }

    def _root_around(self, path: bytes) -> tuple[bytes, bytes]:
        """Give the known root that a folder lies in, and the folder relative to it; a folder in none is its own root."""
        for row in self._engine.store.roots():
            if path == row.path:
                return path, b""
            if path.startswith(row.path.rstrip(b"/") + b"/"):
                return row.path, path[len(row.path.rstrip(b"/")) + 1 :]
        return path, b""


def _health(root: WatchedRoot, sample: Sequence[bytes]) -> roots.Health:
    """Judge a root; one that a scan has doubted is itself again when most of what it missed is there. Blocking."""
    health = roots.judge(root.path, root.identity, sample, vouched=root.vouched)
    if health.ok and root.doubted and not root.vouched:
        wanted = root.missed or sample
        if sum(os.path.lexists(path) for path in wanted) < len(wanted) * roots.MOST:
            return roots.Health(root.suspended or DOUBT, root.identity)
    root.doubted = root.doubted and not health.ok
    return health


def identity_of(row: Any) -> roots.RootIdentity | None:
    """Give what a root was last recognised by; None when it never was."""
    if row.inode is None:
        return None
    return roots.RootIdentity(row.device, row.inode, row.mount_id, row.fs_type)
