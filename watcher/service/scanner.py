"""Scanning: one scan from the judged root to the rows it changes, and what is said about it.

The walk and the comparison run in a thread (`scans`); here stands when their result may be believed.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import structlog

from watcher.rules import names
from watcher.service import counting, patience, scans
from watcher.service.intake import Taken
from watcher.service.judging import DOUBT, SILENT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from watcher.service.engine import Engine
    from watcher.service.intake import Intake, Sighting
    from watcher.service.judging import Judge, WatchedRoot

log = structlog.get_logger("watcher")

NAMED_AT_MOST = 5
"""So many new files of a batch are logged by name; more are counted."""
GONE_AT_ONCE_MIN = 20
"""Fewer gone files than this are never suspicious, however small the library."""
ASKED_FOR = 20
"""So many of them at most are asked for until the root is believed again."""


class Scanner:
    """Scans roots for their keeper, who judges and suspends them."""

    def __init__(
        self,
        engine: Engine,
        intake: Intake,
        in_store: Callable[..., Awaitable[Any]],
        judge: Judge,
        closing: Callable[[], bool],
    ) -> None:
        self._engine = engine
        self._intake = intake
        self._in_store = in_store
        self._judge = judge
        self._closing = closing

    async def scan(
        self, root: WatchedRoot, below: bytes, on_progress: Callable[[int], None] | None
    ) -> scans.Scan | None:
        """Scan a root below a folder; None when the root was not itself, and nothing is concluded."""
        if not await self._judge.is_itself(root):
            return None
        state = scans.Scan(root.id, root.path, below, root.devices)
        loop = asyncio.get_running_loop()

        def hand_over(sightings: list[Any]) -> None:
            taken = asyncio.run_coroutine_threadsafe(self.take(root, sightings, whole=True), loop)
            state.taken.add(taken.result())

        teller = loop.create_task(_tell(state, on_progress)) if on_progress is not None else None
        try:
            await patience.ask(
                scans.run,
                state,
                self._engine.store.path,
                self._engine.name_rules,
                self._engine.config.max_scan_depth,
                hand_over,
                self._closing,
            )
        except OSError as error:
            root.vouched = False
            _say_counts(root, state.taken)
            log.warning("scan failed", root=root.path, reason=error.strerror)
            return None
        finally:
            if teller is not None:
                teller.cancel()
        for folder, reason in state.unreadable:
            log.warning("folder cannot be read", path=_joined(root.path, folder), root=root.path, reason=reason)
        for folder in state.unmounted:
            where = {"path": _joined(root.path, folder), "root": root.path}
            log.warning("disk not mounted", **where, reason="its files were on a disk of their own")
        if not state.stopped and await self._judge.is_itself(root):
            await self._conclude(root, state, whole=not below)
        wait_sec = self._engine.config.stable_wait_sec
        _say_counts(root, state.taken, looked_at=f"when left alone for {wait_sec:g} s" if state.taken.added else "")
        return state

    async def take(self, root: WatchedRoot, sightings: Sequence[Any], *, whole: bool) -> Taken:
        """Take sightings in and give what they brought; of a root that is not itself nothing is taken.

        What hints brought is logged here; the batches of a `whole` scan are told together when it ends.
        """
        if root.suspended is not None:
            return Taken()
        try:
            taken: Taken = await self._in_store(self._intake.take, root.id, sightings)
        except TimeoutError:
            await self._judge.suspend(root, SILENT)  # what it has to tell is found by the scan when it is back
            return Taken()
        counting.took_in(self._engine.metrics, taken, by_scan=whole)
        if not whole:
            _say_names(root, taken)
        return taken

    async def _conclude(self, root: WatchedRoot, state: scans.Scan, *, whole: bool) -> None:
        """Declare gone what the scan missed, unless it is so much that the root itself must be doubted."""
        share = 100 * state.gone_files / max(1, state.known)
        vouched = root.vouched
        root.vouched = False
        if state.gone_files > GONE_AT_ONCE_MIN and share > self._engine.config.gone_at_once_percent and not vouched:
            root.doubted = True
            root.missed = _some_of(root, state.gone)
            await self._judge.suspend(
                root,
                f"{state.gone_files} of {state.known} {DOUBT}; if that is right: watcher release {names.readable(root.path)}",
            )
            return
        if state.gone:
            state.taken.add(await self.take(root, state.gone, whole=True))
        if whole:
            await self._in_store(self._note_scan, root.id, state.files)

    def _note_scan(self, root_id: int, files: int) -> None:
        now = self._engine.now_ms()
        self._engine.store.update_root(root_id, last_scan_ms=now, last_scan_files=files)
        before = now - int(self._engine.config.keep_processed_days * 86_400_000)
        with self._engine.turn():
            forgotten = self._engine.store.forget(before, [root_id])
        if forgotten:
            log.info("forgotten", root_id=root_id, files=forgotten, reason="gone for longer than keep_processed_days")
        self._engine.store.checkpoint()


def _say_names(root: WatchedRoot, taken: Taken) -> None:
    if len(taken.new_names) > NAMED_AT_MOST:
        _say_counts(root, taken)
        return
    for folder, name in taken.new_names:
        log.info("found", path=_joined(root.path, folder, name), root=root.path)


def _say_counts(root: WatchedRoot, taken: Taken, **more: str) -> None:
    if taken.any():
        counts = {"new": taken.added, "changed": taken.changed, "moved": taken.moved, "gone": taken.gone}
        counts["back"] = taken.back
        log.info("taken in", root=root.path, **{word: told for word, told in (counts | more).items() if told})


def _joined(*parts: bytes) -> bytes:
    return b"/".join(filter(None, parts))


def _some_of(root: WatchedRoot, gone: Sequence[Sighting]) -> list[bytes]:
    paths = [_joined(root.path, each.folder, name) for each in gone for name in each.gone]
    return paths[:: len(paths) // ASKED_FOR + 1]


async def _tell(state: scans.Scan, on_progress: Callable[[int], None]) -> None:
    while True:
        on_progress(state.files)
        await asyncio.sleep(0.1)
