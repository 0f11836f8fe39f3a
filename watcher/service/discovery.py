"""Folders taken on because somebody asked: scanned once, or only known so that their films can be worked on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from watcher.errors import RootError
from watcher.rules import names

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from watcher.service.engine import Engine
    from watcher.service.judging import WatchedRoot
    from watcher.service.recovery import Recovery
    from watcher.service.roots import Roots


class Discovery:
    """Takes folders on without watching them."""

    def __init__(
        self, engine: Engine, roots: Roots, recovery: Recovery, in_store: Callable[..., Awaitable[Any]]
    ) -> None:
        self._engine = engine
        self._roots = roots
        self._recovery = recovery
        self._in_store = in_store

    async def discover(self, path: bytes, on_progress: Callable[[int], None] | None) -> dict[str, Any]:
        """Scan one folder as a root, once. Raises RootError when it cannot be."""
        top, below = await self._in_store(self._root_around, path)
        known = next((each for each in self._roots.all() if each.path == top), None)
        root = known or await self._roots.take_on(top, "poll")
        began = time.monotonic()
        if not await self._roots.judge.is_itself(root):
            raise RootError(_sentence(path, root.suspended))
        state = await self._roots.scanner.scan(root, below, on_progress)
        if state is None or root.suspended:
            raise RootError(_sentence(path, root.suspended or "it cannot be read"))
        await self._recovery.settle(root.id, None if below else state.temporary)
        root.compared = True
        if known is None:
            root.due_scan = float("inf")
        return {
            "directory": names.to_json(path)[0],
            "discovered_files": state.files,
            "files_added": state.taken.added,
            "files_updated": state.taken.changed,
            "files_moved": state.taken.moved,
            "scan_time_sec": round(time.monotonic() - began, 3),
        }

    async def adopt(self) -> None:
        """Take on every folder the database knows, without watching or scanning it: its films may be worked on."""
        known = {root.id for root in self._roots.all()}
        for row in await self._in_store(self._engine.store.roots):
            if row.id not in known:
                await self.around(row.path)

    async def around(self, folder: bytes) -> WatchedRoot:
        """Give the root that a folder lies in, taken on if it was not; a folder in none becomes one."""
        top, _ = await self._in_store(self._root_around, folder)
        row = await self._in_store(self._engine.store.root_at, top)
        root = next((each for each in self._roots.all() if each.id == row.id), None)
        if root is None:
            root = await self._roots.take_on(top, "poll")
            await self._roots.judge.is_itself(root)
            root.compared, root.due_scan = True, float("inf")
        elif root.suspended is not None:
            await self._roots.judge.is_itself(root)
        return root

    def _root_around(self, path: bytes) -> tuple[bytes, bytes]:
        """Give the known root that a folder lies in, and the folder relative to it; a folder in none is its own root."""
        for row in self._engine.store.roots():
            if path == row.path:
                return path, b""
            if path.startswith(row.path.rstrip(b"/") + b"/"):
                return row.path, path[len(row.path.rstrip(b"/")) + 1 :]
        return path, b""


def _sentence(path: bytes, why: str | None) -> str:
    shown = names.readable(path)
    return why if why and shown in why else f"{shown}: {why}"
