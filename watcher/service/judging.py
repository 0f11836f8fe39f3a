"""Judging a root: is it itself? One that is not is suspended, and taken up again when it is.

A root is judged before and after every scan and once a beat. One that is unmounted, replaced, unreadable, suddenly
empty or does not answer is suspended: no file of it is gone, changed or broken until it is back, or until a person
vouches for it.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from watcher.rules import names
from watcher.service import patience
from watcher.watch import roots

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from watcher.service.engine import Engine
    from watcher.service.recovery import Recovery
    from watcher.watch.observers import Observers

log = structlog.get_logger("watcher")

DOUBT = "files are gone at once"
SILENT = "it does not answer: is its server or disk there?"


@dataclass(slots=True)
class WatchedRoot:
    """One watched root, as its keeper knows it."""

    id: int
    path: bytes
    mode: str
    patience: patience.Patience
    """Through which its disk is asked."""
    identity: roots.RootIdentity | None = None
    """What it was last recognised by."""
    devices: frozenset[int] = frozenset()
    """Its device number, and the one it had before it was last recognised under a new one."""
    empty: bool = False
    """It was empty when it was last found to be itself."""
    suspended: str | None = None
    """Why nothing is concluded about its files; also before the first look."""
    was_suspended: bool = False
    """The database says so too."""
    due_scan: float = 0.0
    """When the next whole scan is due, on the monotonic clock."""
    folders: set[bytes] = field(default_factory=set)
    """What is to be scanned before that; b"" is everything."""
    task: asyncio.Task[None] | None = None
    """The scan that runs."""
    beat: asyncio.Task[None] | None = None
    """The look of the last beat; it lasts as long as the disk takes to answer."""
    judging: asyncio.Lock = field(default_factory=asyncio.Lock)
    displaced: bool = False
    """Something else stood in its place when it was last looked at, or nothing."""
    vouched: bool = False
    """A person says that it is right as it is: until it has been scanned once, or nothing is there that could be."""
    doubted: bool = False
    """A scan missed so many files that it is suspended until they are back or a person vouches for it."""
    missed: list[bytes] = field(default_factory=list)
    """Some of those files: by them, not by those that stood all the time, it is recognised. Unknown after a restart."""
    trouble: str = ""
    compared: bool = False
    """A whole scan has ended since the start."""


class Judge:
    """Judges roots, suspends them and takes them up again."""

    def __init__(
        self, engine: Engine, recovery: Recovery, observers: Observers, in_store: Callable[..., Awaitable[Any]]
    ) -> None:
        self._engine = engine
        self._recovery = recovery
        self._observers = observers
        self._in_store = in_store
        self.observing = False

    async def is_itself(self, root: WatchedRoot) -> bool:
        """Look whether a root is itself; suspend it or take it up again. Gives whether it is."""
        async with root.judging:
            try:
                return await self._judge(root)
            except TimeoutError:
                await self.suspend(root, SILENT)
                return False

    async def _judge(self, root: WatchedRoot) -> bool:
        state = await root.patience.ask(roots.look, root.path)
        same = state.identity is not None and state.identity == root.identity
        if root.suspended is None and same and (root.empty or not state.empty):
            root.empty = state.empty
            return True
        sample = await self._in_store(self._engine.store.sample_paths, root.id)
        health = await root.patience.ask(_health, root, sample)
        if health.suspended_because:
            root.displaced |= state.condition is not roots.Condition.UNREADABLE and not root.doubted
            root.vouched = False  # for what stands here now, and not for what may some day
            await self.suspend(root, health.suspended_because)
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
            log.info("root is back", root=root.path)
        await self.watch(root)
        await self._recovery.settle(root.id)
        root.suspended = None
        root.was_suspended = root.displaced = False
        root.due_scan = 0.0

    async def watch(self, root: WatchedRoot) -> None:
        """Let the watches of a root stand anew, where it is watched by events."""
        if self.observing and root.mode == "events":
            wanted = partial(names.is_film_name, extensions=self._engine.name_rules.extensions)
            await patience.ask(self._observers.add, root.id, root.path, wanted)  # as long as it has folders

    async def what_is_wrong(self, root: WatchedRoot) -> str | None:
        """Say why the events of a root are not to be relied on; None when they are, or when there are none to be had."""
        if not self.observing or root.mode != "events" or root.suspended is not None:
            return None
        try:
            return await root.patience.ask(self._observers.alive, root.id)
        except TimeoutError:
            await self.suspend(root, SILENT)
            return None

    async def suspend(self, root: WatchedRoot, why: str) -> None:
        """Conclude nothing more about a root's files. Why a root is doubted is not forgotten over its silence."""
        if root.suspended == why or (root.doubted and why == SILENT):
            return
        root.suspended = why
        root.was_suspended = True
        await self._in_store(self._write_suspension, root.id, why)
        if (
            why != SILENT
        ):  # a watching thread that hangs too would not end; what it may say of a suspended root is not heard
            await asyncio.to_thread(self._observers.remove, root.id)
        log.warning("root suspended", root=root.path, reason=why)

    def _write_suspension(self, root_id: int, why: str) -> None:
        self._engine.store.update_root(root_id, suspended_because=why, suspended_since_ms=self._engine.now_ms())

    def _accept(self, root_id: int, identity: roots.RootIdentity) -> None:
        self._engine.store.update_root(
            root_id,
            device=identity.device,
            inode=identity.inode,
            fs_type=identity.fs_type,
            suspended_because=None,
            suspended_since_ms=None,
        )


def still_stands(root: WatchedRoot) -> bool:
    """Tell whether a root is the one that was last found to be itself: what is missing in it is missing. Blocking."""
    state = roots.look(root.path)
    return state.identity is not None and state.identity == root.identity and (root.empty or not state.empty)


def _health(root: WatchedRoot, sample: Sequence[bytes]) -> roots.Health:
    """Judge a root; one that a scan has doubted is itself again when most of what it missed is there. Blocking."""
    health = roots.judge(root.path, root.identity, sample, vouched=root.vouched, displaced=root.displaced)
    if health.ok and root.doubted and not root.vouched:
        wanted = root.missed or sample
        if sum(os.path.lexists(path) for path in wanted) < len(wanted) * roots.MOST:
            return roots.Health(root.suspended or DOUBT, root.identity)
    root.doubted = root.doubted and not health.ok
    return health
