"""The watched roots: watch first, then scan, then compare; and nothing is concluded about a root that is not itself.

A root is judged before every scan and once a beat. One that is unmounted, replaced, unreadable or suddenly empty is
suspended: no file of it is gone, changed or broken until it is back, or until a person vouches for it.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from watcher.errors import RootError
from watcher.rules import names
from watcher.service import landing, scans
from watcher.watch import roots

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from watcher.config import WatchSettings
    from watcher.service.conversions import Conversions
    from watcher.service.engine import Engine
    from watcher.service.intake import Intake, Taken
    from watcher.watch.observers import Observers

log = structlog.get_logger("watcher")

NAMED_AT_MOST = 5
"""So many new files of a batch are logged by name; more are counted."""
_DOUBT = "files are gone at once"
GONE_AT_ONCE_MIN = 20
"""Fewer gone files than this are never suspicious, however small the library."""


@dataclass(slots=True)
class _Root:
    id: int
    path: bytes
    mode: str
    identity: roots.RootIdentity | None = None
    """What it was last recognised by."""
    suspended: str | None = None
    """Why nothing is concluded about its files; also before the first look."""
    was_suspended: bool = False
    """The database says so too."""
    due_scan: float = 0.0
    """When the next whole scan is due, on the monotonic clock."""
    folders: set[bytes] = field(default_factory=set)
    """What is to be scanned before that; b"" is everything."""
    task: asyncio.Task[None] | None = None
    vouched: bool = False
    """A person says that it is right as it is."""
    doubted: bool = False
    """A scan missed so many files that it is suspended until they are back or a person vouches for it."""
    trouble: str = ""
    compared: bool = False
    """A whole scan has ended since the start."""


class Roots:
    """Keeps the roots of one service: their health, their watches and their scans."""

    def __init__(
        self,
        engine: Engine,
        conversions: Conversions,
        intake: Intake,
        observers: Observers,
        in_store: Callable[..., Awaitable[Any]],
        wake: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._conversions = conversions
        self._intake = intake
        self._observers = observers
        self._in_store = in_store
        self._wake = wake
        self._config = engine.config
        self._rules = engine.config.name_rules()
        self._roots: dict[int, _Root] = {}
        self._closing = threading.Event()
        self._next_beat = 0.0
        self._observing = False

    # --- beginning and end

    async def start(self, watched: Sequence[WatchSettings], *, observing: bool) -> None:
        """Take on the configured roots: judge, watch, and have each scanned. Raises RootError for nested ones."""
        self._observing = observing
        paths = [str(item.path).encode(errors="surrogateescape") for item in watched]
        roots.refuse_nested(paths)
        for item, path in zip(watched, paths, strict=True):
            await self._take_on(path, item.mode)
        await self._beat(time.monotonic())

    async def _take_on(self, path: bytes, wanted: str) -> _Root:
        row = await self._in_store(self._engine.store.root_at, path)
        mode = roots.choose_mode(wanted, await asyncio.to_thread(roots.file_system_type, path))
        doubted = _DOUBT in (row.suspended_because or "")
        root = _Root(row.id, path, mode, suspended=row.suspended_because or "not looked at yet", doubted=doubted)
        root.identity = _identity(row)
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
        return {"roots": {names.readable(root.path): root.suspended or root.mode for root in self._roots.values()}}

    def sentence(self) -> str:
        """Say in a few words how the roots are."""
        suspended = sum(1 for root in self._roots.values() if root.suspended)
        return f"{len(self._roots)} folders watched" + (f", {suspended} suspended" if suspended else "")

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

    def say_taken(self, root_id: int, taken: Taken, *, whole: bool = False) -> None:
        """Log what a batch brought."""
        root = self._roots[root_id]
        for folder, name in taken.new_names if len(taken.new_names) <= NAMED_AT_MOST else ():
            log.info("found", path=names.readable(b"/".join(filter(None, (root.path, folder, name)))))
        if len(taken.new_names) > NAMED_AT_MOST or (whole and taken.any()):
            log.info(
                "taken in",
                root=names.readable(root.path),
                new=taken.added,
                changed=taken.changed,
                moved=taken.moved,
                gone=taken.gone,
                back=taken.back,
            )

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
            await self._judge(root)
            if self._observing and root.suspended is None and root.mode == "events":
                wrong = self._observers.alive(root.id)
                if wrong:
                    self.trouble(root.id, wrong)

    async def _judge(self, root: _Root) -> bool:
        """Look whether a root is itself; suspend it or take it up again. Gives whether it is."""
        state = await asyncio.to_thread(roots.look, root.path)
        same = state.identity is not None and state.identity == root.identity
        if root.suspended is None and same and not state.empty:
            return True
        sample = await self._in_store(self._engine.store.sample_paths, root.id)
        health = await asyncio.to_thread(_health, root, sample)
        if health.suspended_because:
            if root.suspended != health.suspended_because:
                root.suspended = health.suspended_because
                await self._in_store(self._suspend, root.id, root.suspended)
                await asyncio.to_thread(self._observers.remove, root.id)
                log.warning("root suspended", root=names.readable(root.path), reason=root.suspended)
            return False
        if health.identity != root.identity or root.was_suspended:
            root.identity = health.identity
            await self._in_store(self._accept, root.id, health.identity)
        if root.suspended is not None:
            await self._take_up(root)
        return True

    async def _take_up(self, root: _Root) -> None:
        """Watch a root that is itself, or is again: watch first, then clear up, then scan."""
        if root.was_suspended:
            log.info("root is back", root=names.readable(root.path))
        await asyncio.to_thread(self._watch, root)
        await self._recover(root)
        root.suspended = None
        root.was_suspended = False
        root.due_scan = 0.0

    def _watch(self, root: _Root) -> None:
        if self._observing and root.mode == "events":
            self._observers.remove(root.id)
            self._observers.add(root.id, root.path, partial(names.is_film_name, extensions=self._rules.extensions))

    def _suspend(self, root_id: int, why: str) -> None:
        self._engine.store.update_root(root_id, suspended_because=why, suspended_since_ms=self._engine.now_ms())
        self._roots[root_id].was_suspended = True

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

    async def _recover(self, root: _Root) -> None:
        """Finish or clear up the conversions that a stop, or the loss of this root, has interrupted."""
        for attempt, path in await self._in_store(self._engine.store.conversions_of, root.id):
            what, final = await asyncio.to_thread(landing.settle_attempt, attempt, path)
            await self._in_store(self._settle, attempt.id, what, final)

    def _settle(self, attempt_id: str, what: str, final: Any) -> None:
        with self._engine.turn():
            if what == "landed":
                self._conversions.landed(attempt_id, final, reason="finished after a stop")
            else:
                self._conversions.void(attempt_id)

    # --- scans

    async def _scan(self, root: _Root) -> None:
        folders, root.folders = root.folders, set()
        whole = b"" in folders
        try:
            if whole and root.trouble and self._observers.alive(root.id):
                await asyncio.to_thread(self._watch, root)
            for below in [b""] if whole else sorted(folders):
                await self.scan_once(root, below, None)
            if whole:
                root.compared = True
                every = (
                    self._config.poll_interval_sec
                    if root.mode == "poll" or root.trouble
                    else self._config.scan_interval_sec
                )
                root.due_scan = time.monotonic() + every
                if self._observers.alive(root.id) is None:
                    root.trouble = ""
        finally:
            self._wake()

    async def scan_once(
        self, root: _Root, below: bytes, on_progress: Callable[[int], None] | None
    ) -> scans.Scan | None:
        """Scan a root below a folder; None when the root was not itself, and nothing is concluded."""
        if not await self._judge(root):
            return None
        state = scans.Scan(root.id, root.path, below)
        loop = asyncio.get_running_loop()

        def hand_over(sightings: list[Any]) -> None:
            taken = asyncio.run_coroutine_threadsafe(self._take(root, sightings, whole=True), loop)
            taken.result()
            if on_progress is not None:
                loop.call_soon_threadsafe(on_progress, state.files)

        try:
            await asyncio.to_thread(
                scans.run,
                state,
                self._engine.store.path,
                self._rules,
                self._config.max_scan_depth,
                hand_over,
                self._closing.is_set,
            )
        except OSError as error:
            log.warning("scan failed", root=names.readable(root.path), reason=error.strerror)
            return None
        for folder, reason in state.unreadable:
            path = names.readable(b"/".join(filter(None, (root.path, folder))))
            log.warning("folder cannot be read", path=path, reason=reason)
        if not state.stopped and await self._judge(root):
            await self._conclude(root, state, whole=not below)
        return state

    async def _take(self, root: _Root, sightings: Sequence[Any], *, whole: bool) -> None:
        if root.suspended is None:
            self.say_taken(root.id, await self._in_store(self._intake.take, root.id, sightings), whole=whole)

    async def _conclude(self, root: _Root, state: scans.Scan, *, whole: bool) -> None:
        """Declare gone what the scan missed, unless it is so much that the root itself must be doubted."""
        share = 100 * state.gone_files / max(1, state.known)
        vouched = root.vouched
        root.vouched = False
        if state.gone_files > GONE_AT_ONCE_MIN and share > self._config.gone_at_once_percent and not vouched:
            root.doubted = True
            root.suspended = f"{state.gone_files} of {state.known} {_DOUBT}; if that is right: watcher release {names.readable(root.path)}"
            await self._in_store(self._suspend, root.id, root.suspended)
            log.warning("root suspended", root=names.readable(root.path), reason=root.suspended)
            return
        if state.gone:
            await self._take(root, state.gone, whole=True)
        if whole:
            await self._in_store(self._note_scan, root.id, state.files)

    def _note_scan(self, root_id: int, files: int) -> None:
        now = self._engine.now_ms()
        self._engine.store.update_root(root_id, last_scan_ms=now, last_scan_files=files)
        before = now - int(self._config.keep_processed_days * 86_400_000)
        with self._engine.turn():
            forgotten = self._engine.store.forget(before, [root_id])
        if forgotten:
            log.info("forgotten", root_id=root_id, files=forgotten, reason="gone for longer than keep_processed_days")
        self._engine.store.checkpoint()

    async def discover(self, path: bytes, on_progress: Callable[[int], None] | None) -> dict[str, Any]:
        """Scan one folder as a root, once. Raises RootError when it cannot be."""
        top, below = await self._in_store(self._root_around, path)
        known = next((each for each in self._roots.values() if each.path == top), None)
        root = known or await self._take_on(top, "poll")
        began = time.monotonic()
        if not await self._judge(root):
            raise RootError(f"{names.readable(path)}: {root.suspended}")
        before = await self._in_store(self._engine.store.count_entries, root.id)
        state = await self.scan_once(root, below, on_progress)
        if state is None or root.suspended:
            raise RootError(f"{names.readable(path)}: {root.suspended or 'it cannot be read'}")
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


def _health(root: _Root, sample: Sequence[bytes]) -> roots.Health:
    """Judge a root; one that a scan has doubted is itself again when most of its known files are there. Blocking."""
    health = roots.judge(root.path, root.identity, sample, vouched=root.vouched)
    if health.ok and root.doubted and not root.vouched:
        present = sum(os.path.lexists(path) for path in sample)
        if present < len(sample) * roots.MOST:
            return roots.Health(root.suspended or _DOUBT, root.identity)
    root.doubted = root.doubted and not health.ok
    return health


def _identity(row: Any) -> roots.RootIdentity | None:
    if row.inode is None:
        return None
    return roots.RootIdentity(row.device, row.inode, row.mount_id, row.fs_type)
