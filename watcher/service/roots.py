"""The watched roots: watch first, then scan, then compare; and nothing is concluded about a root that is not itself.

Whether a root is itself is `judging`'s business, and every root is asked by itself: one whose disk does not answer
holds up no other.
"""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from watcher.rules import names
from watcher.rules.statuses import IntegrityStatus, Reason
from watcher.service import hints, patience
from watcher.service.judging import DOUBT, SILENT, Judge, WatchedRoot
from watcher.service.scanner import Scanner
from watcher.store import reports
from watcher.watch import roots

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from watcher.config import WatchSettings
    from watcher.rules.debounce import DueHint
    from watcher.service.engine import Engine
    from watcher.service.intake import Intake, Sighting
    from watcher.service.jobs import Checked
    from watcher.service.recovery import Recovery
    from watcher.watch.observers import Observers

log = structlog.get_logger("watcher")

Answer = TypeVar("Answer")


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
        self.judge = Judge(engine, recovery, observers, in_store)
        self._in_store = in_store
        self._wake = wake
        self._roots: dict[int, WatchedRoot] = {}
        self._closing = threading.Event()
        self._next_beat = 0.0
        self.scanner = Scanner(engine, intake, in_store, self.judge, self._closing.is_set)

    # --- beginning and end

    async def start(self, watched: Sequence[WatchSettings], *, observing: bool) -> None:
        """Take on the configured roots: judge, watch, and have each scanned. Raises RootError for nested ones."""
        self.judge.observing = observing
        paths = [str(item.path).encode(errors="surrogateescape") for item in watched]
        try:
            await patience.within(self._engine.config.answer_within_sec, roots.refuse_nested, paths)
        except TimeoutError:
            log.warning(
                "not compared", reason="a folder does not answer, so it is not known whether one lies in another"
            )
        for item, path in zip(watched, paths, strict=True):
            await self.take_on(path, item.mode)
        await self._in_store(self._set_aside_the_rest)
        self._beat(time.monotonic())
        await asyncio.gather(*(root.beat for root in self._roots.values() if root.beat is not None))

    def _set_aside_the_rest(self) -> None:
        """Have nothing be due in folders that were watched once; who watches one again takes it up where it was."""
        for row in self._engine.store.roots():
            if row.id not in self._roots and row.suspended_because != reports.UNWATCHED:
                now = self._engine.now_ms()
                self._engine.store.update_root(row.id, suspended_because=reports.UNWATCHED, suspended_since_ms=now)

    async def take_on(self, path: bytes, wanted: str) -> WatchedRoot:
        """Know a folder as a root from now on. It is suspended until it is first looked at."""
        row = await self._in_store(self._engine.store.root_at, path)
        waits = patience.Patience(self._engine.config.answer_within_sec)
        try:
            fs_type = await waits.ask(roots.file_system_type, path)
        except TimeoutError:
            fs_type = ""  # polled, as what is not known to be local
        mode = roots.choose_mode(wanted, fs_type)
        doubted = DOUBT in (row.suspended_because or "")
        root = WatchedRoot(row.id, path, mode, waits, doubted=doubted)
        root.suspended = row.suspended_because or "not looked at yet"
        root.identity = identity_of(row)
        root.was_suspended = row.suspended_because is not None
        self._roots[root.id] = root
        return root

    async def close(self) -> None:
        """Stop the scans and wait for their threads, but not for a disk that does not answer."""
        self._closing.set()
        tasks = [task for root in self._roots.values() for task in (root.task, root.beat) if task is not None]
        if tasks:
            _, silent = await asyncio.wait(tasks, timeout=self._engine.config.answer_within_sec)
            for task in silent:
                task.cancel()

    # --- what others ask

    def all(self) -> list[WatchedRoot]:
        """Give every root that was taken on."""
        return list(self._roots.values())

    def active(self) -> list[int]:
        """Give the ids of the roots that are themselves."""
        return [root.id for root in self._roots.values() if root.suspended is None]

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

    def trouble(self, root_id: int, sentence: str) -> None:
        """Take note that events of a root are not to be relied on: it is scanned instead, and as often as a polled one."""
        root = self._roots.get(root_id)
        if root is not None and root.trouble != sentence:
            root.trouble = sentence
            root.due_scan = 0.0
            log.warning("watching trouble", root=root.path, trouble=sentence)

    def silent(self) -> tuple[tuple[bytes, str], ...]:
        """Give the roots whose events cannot be relied on, and why."""
        return tuple((root.path, root.trouble) for root in self._roots.values() if root.trouble)

    def forget(self) -> None:
        """Know no root any more: the database knows none."""
        self._roots.clear()

    async def take(self, root_id: int, sightings: Sequence[Sighting]) -> None:
        """Take in what somebody saw in a root; nothing of one that is not itself.

        Monitoring that begins at this moment takes the folder on anew, and may not have looked at it yet.
        """
        root = self._roots[root_id]
        if root.suspended is None or await self.judge.is_itself(root):
            await self.scanner.take(root, sightings, whole=False)

    async def watch_anew(self) -> None:
        """Watch and scan every root again, since other names are films now."""
        for root in self._roots.values():
            if root.suspended is None:
                await self.judge.watch(root)
                root.due_scan = 0.0

    def is_looked_after(self) -> bool:
        """Tell whether each root that should give events has a living thread for them, or is known not to have one."""
        return not self.judge.observing or all(
            root.mode != "events" or root.suspended is not None or root.trouble or self._observers.is_running(root.id)
            for root in self._roots.values()
        )

    def vouch(self, path: bytes) -> None:
        """Take a root as it is now, since a person says that it is right."""
        for root in self._roots.values():
            if root.path == path:
                root.vouched = True
                root.due_scan = 0.0  # what is missing now is right; what goes later is not
                self._next_beat = 0.0

    async def look_at(self, due: Sequence[DueHint]) -> None:
        """Look at what the hints speak of, and take in what is there. A silent root is scanned when it is back."""
        by_root: dict[int, list[DueHint]] = {}
        for hint in due:
            by_root.setdefault(hint.root_id, []).append(hint)
        await asyncio.gather(
            *(self._look_at(self._roots[each], by_root[each]) for each in by_root if each in self._roots)
        )

    async def _look_at(self, root: WatchedRoot, due: Sequence[DueHint]) -> None:
        found = await self.ask(root.id, hints.look, due, root, self._engine.name_rules)
        if found is not None:
            root.folders |= found.scans
            await self.scanner.take(root, found.sightings, whole=False)

    async def believed(self, outcome: Checked) -> Checked:
        """Give what may be believed of a check: nothing against a file whose root is not itself now."""
        entry = await self._in_store(self._engine.store.entry, outcome.spec.entry_id)
        root = self._roots.get(entry.folder.root_id) if entry is not None else None
        whole = outcome.verdict.status is IntegrityStatus.COMPLETE
        if root is None or whole or await self.judge.is_itself(root):
            return outcome
        verdict = replace(
            outcome.verdict,
            status=IntegrityStatus.ERROR,
            reason=Reason.ROOT_SUSPENDED,
            score=0.0,
            evidence=(f"folder: {root.suspended}", *outcome.verdict.evidence),
        )
        return replace(outcome, verdict=verdict, probe=None)

    # --- the beat

    async def turn(self) -> float:
        """Judge the roots when the beat is due and start due scans; gives the time of the next turn, on the wall clock."""
        now = time.monotonic()
        if now >= self._next_beat:
            self._beat(now)
        due = self._next_beat
        for root in self._roots.values():
            if root.task is not None and root.task.done():
                root.task.result()
                root.task = None
            if root.beat is not None and root.beat.done():
                root.beat.result()
                root.beat = None
            if root.suspended is None and root.task is None:
                if now >= root.due_scan:
                    root.folders.add(b"")
                if root.folders:
                    root.task = asyncio.create_task(self._scan(root), name=f"scan {root.id}")
                else:
                    due = min(due, root.due_scan)
        return self._engine.clock() + due - now

    def _beat(self, now: float) -> None:
        """Have every root looked at, each by itself; one whose last look has not ended is still being waited for."""
        self._next_beat = now + self._engine.config.loop_interval_sec
        for root in self._roots.values():
            if root.beat is None:
                root.beat = asyncio.create_task(self._look_after(root), name=f"beat {root.id}")

    async def _look_after(self, root: WatchedRoot) -> None:
        before = root.suspended
        if await self.judge.is_itself(root):
            await self._recovery.settle(root.id)  # what its disk refused may be possible now
            if wrong := await self.judge.what_is_wrong(root):
                self.trouble(root.id, wrong)
        if root.suspended != before or root.due_scan == 0.0:
            self._wake()

    def root(self, root_id: int) -> WatchedRoot:
        """Give one root."""
        return self._roots[root_id]

    async def ask(self, root_id: int, call: Callable[..., Answer], *arguments: Any) -> Answer | None:
        """Give the answer of a blocking call about files of a root; None when its disk is silent: it is suspended then."""
        root = self._roots[root_id]
        try:
            return await root.patience.ask(call, *arguments)
        except TimeoutError:
            await self.judge.suspend(root, SILENT)
            return None

    # --- scans

    async def _scan(self, root: WatchedRoot) -> None:
        folders, root.folders = root.folders, set()
        whole = b"" in folders
        try:
            if whole and root.trouble and await self.judge.what_is_wrong(root):
                await self.judge.watch(root)
            for below in [b""] if whole else sorted(folders):
                state = await self.scanner.scan(root, below, None)
                if state is not None and root.suspended is None:
                    await self._recovery.settle(root.id, state.temporary if whole else None)
                    await self._recovery.sweep(state.temporary)
            if whole:
                root.compared = True
                every = (
                    self._engine.config.poll_interval_sec
                    if root.mode == "poll" or root.trouble
                    else self._engine.config.scan_interval_sec
                )
                root.due_scan = time.monotonic() + every
                self._observers.refresh(root.id)  # folders that could not be watched, or were mounted, since
                if await self.judge.what_is_wrong(root) is None:
                    root.trouble = ""
        finally:
            self._wake()


def identity_of(row: Any) -> roots.RootIdentity | None:
    """Give what a root was last recognised by; None when it never was."""
    if row.inode is None:
        return None
    return roots.RootIdentity(row.device, row.inode, None, row.fs_type)
