"""Folders taken on because somebody asked: scanned once, or only known so that their films can be worked on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from watcher.errors import RootError
from watcher.rules import names

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from watcher.service.engine import Engine
    from watcher.service.judging import Judge, WatchedRoot
    from watcher.service.recovery import Recovery
    from watcher.service.scanner import Scanner


class Discovery:
    """The part of `Roots` that takes folders on without watching them."""

    if TYPE_CHECKING:
        _roots: dict[int, WatchedRoot]
        _engine: Engine
        _judge: Judge
        _recovery: Recovery
        _scanner: Scanner
        _in_store: Callable[..., Awaitable[Any]]

        async def _take_on(self, path: bytes, wanted: str) -> WatchedRoot: ...

    async def discover(self, path: bytes, on_progress: Callable[[int], None] | None) -> dict[str, Any]:
        """Scan one folder as a root, once. Raises RootError when it cannot be."""
        top, below = await self._in_store(self._root_around, path)
        known = next((each for each in self._roots.values() if each.path == top), None)
        root = known or await self._take_on(top, "poll")
        began = time.monotonic()
        if not await self._judge.is_itself(root):
            raise RootError(f"{names.readable(path)}: {root.suspended}")
        state = await self._scanner.scan(root, below, on_progress)
        if state is None or root.suspended:
            raise RootError(f"{names.readable(path)}: {root.suspended or 'it cannot be read'}")
        await self._recovery.settle(root.id, None if below else state.temporary)
        root.compared = True
        if known is None:
            root.due_scan = float("inf")
        return {
            "directory": names.readable(path),
            "discovered_files": state.files,
            "files_added": state.taken.added,
            "files_updated": state.taken.changed,
            "files_moved": state.taken.moved,
            "files_gone": state.taken.gone,
            "scan_time_sec": round(time.monotonic() - began, 3),
        }

    async def adopt(self) -> None:
        """Take on every folder the database knows, without watching or scanning it: its films may be worked on."""
        for row in await self._in_store(self._engine.store.roots):
            if row.id not in self._roots:
                await self.around(row.path)

    async def around(self, folder: bytes) -> WatchedRoot:
        """Give the root that a folder lies in, taken on if it was not; a folder in none becomes one."""
        top, _ = await self._in_store(self._root_around, folder)
        row = await self._in_store(self._engine.store.root_at, top)
        root = self._roots.get(row.id)
        if root is None:
            root = await self._take_on(top, "poll")
            await self._judge.is_itself(root)
            root.compared, root.due_scan = True, float("inf")
        elif root.suspended is not None:
            await self._judge.is_itself(root)
        return root

    def _root_around(self, path: bytes) -> tuple[bytes, bytes]:
        """Give the known root that a folder lies in, and the folder relative to it; a folder in none is its own root."""
        for row in self._engine.store.roots():
            if path == row.path:
                return path, b""
            if path.startswith(row.path.rstrip(b"/") + b"/"):
                return row.path, path[len(row.path.rstrip(b"/")) + 1 :]
        return path, b""
