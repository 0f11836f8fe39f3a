"""Health: what is wrong with the whole, in sentences a person can act on.

It reads and never writes, beside a running service or without one. What only the service itself can know (its loop,
its watches, its memory) it is asked for: in its own process by `Inside`, from another by `told_by_service`.
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from watcher.errors import DamagedDatabase, NewerDatabase, NotAllowed, StoreError
from watcher.rules import names
from watcher.rules.statuses import IntegrityStatus as I
from watcher.rules.statuses import ProcessedStatus as P
from watcher.service import asking, shapes
from watcher.service.upkeep import RETRY_SEC
from watcher.store import backup, connection, pauses, reports, rescue
from watcher.store.store import StateStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from watcher.config import StateConfig
    from watcher.rules.pauses import Pause

Severity = Literal["error", "warning"]

LATE_SEC = 3600.0
"""A file that has been due for longer, while a service runs, is waiting for more than its turn."""
LONG_PAUSE_SEC = 2 * 86_400.0
"""A pause without an end that is older may have been forgotten."""
ERROR_RATE = 0.05
ERROR_MIN = 3
"""So many files without a verdict, and so large a share of those looked at, point to the machine."""
FREE_BYTES = 1_000_000_000
FREE_BYTES_DATABASE = 100_000_000
QUICK_CHECK_BYTES = 100_000_000
"""A larger database is not read as a whole for a question that may come every minute; the service does it at its start."""


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing that is wrong."""

    code: str
    severity: Severity
    """error: work stands still, or what is known may be lost. warning: something waits for a person."""
    sentence: str
    remedy: str

    def to_dict(self) -> dict[str, str]:
        """Give the public shape."""
        return {"code": self.code, "severity": self.severity, "sentence": self.sentence, "remedy": self.remedy}


@dataclass(frozen=True, slots=True)
class Inside:
    """What a running service knows about itself."""

    watching: bool
    beat_ago_sec: float
    """Since its loop turned last."""
    silent_roots: tuple[tuple[bytes, str], ...]
    """Watched folders whose events cannot be relied on, and why."""
    waiting_hints: int


def told_by_service(config: StateConfig) -> dict[str, Any] | None:
    """Give what the service that runs on this database says, in the shape of `check`; None where none can be asked.

    Blocking, 10 s at most. Of one that does not answer it is said what can be seen, and that. Raises nothing.
    """
    path = config.database_path()
    try:
        return asking.how_it_is(path)
    except TimeoutError:
        sentence = f"the service (process {connection.writer_pid(path)}) does not answer"
        return check(config, also=[Issue("service_silent", "error", sentence, "restart the service")])


def check(
    config: StateConfig, tool_trouble: str = "", inside: Inside | None = None, also: Sequence[Issue] = ()
) -> dict[str, Any]:
    """Give {"status": "healthy" | "degraded" | "unhealthy", "paused", "issues": [...]}. Blocking.

    Unhealthy by any error, degraded by any warning. `tool_trouble` is what is wrong with FFmpeg, `also` what is known
    to be wrong besides. Raises nothing.
    """
    issues = [*also]
    issues += [Issue("ffmpeg", "error", tool_trouble, "install FFmpeg 5.1 or newer")] if tool_trouble else []
    path = config.database_path()
    paused = None
    try:
        with StateStore(path, read_only=True, backups=config.backup_path()) as store:
            issues += _of_database(store)
            issues += _of_roots(config, store)
            paused = shapes.of_pause(pauses.lasting(store, _now_ms()))
            issues += _of_files(store, running=inside is not None or connection.writer_pid(path) is not None)
    except DamagedDatabase as error:
        remedy = "restart the service: it sets the database aside and restores the newest good backup"
        issues.append(Issue("database_damaged", "error", str(error), remedy))
    except StoreError as error:
        issues.append(Issue("database_unreadable", "error", str(error), _unread(error, config)))
    issues += [*_of_place(path), *(_of_service(config, inside) if inside else _of_absence(path))]
    severities = {issue.severity for issue in issues}
    status = "unhealthy" if "error" in severities else "degraded" if severities else "healthy"
    found = [issue.to_dict() for issue in issues]
    return {"status": status, "paused": paused, "issues": found}


def _unread(error: StoreError, config: StateConfig) -> str:
    if isinstance(error, NotAllowed):
        return "sudo watcher health"
    if isinstance(error, NewerDatabase):
        return f"or put one of its backups in its place: {config.backup_path()}"
    return "see that storage_url names the right place"


def _now_ms() -> int:
    return int(time.time() * 1000)


def _of_database(store: StateStore) -> Iterator[Issue]:
    if store.path.stat().st_size <= QUICK_CHECK_BYTES and (wrong := store.integrity_check(quick=True)):
        raise DamagedDatabase(f"the database {store.path} is damaged ({wrong})")
    if (mode := store.journal_mode()) != "wal":
        yield Issue(
            "database_not_wal", "warning", f"{store.path} is in the journal mode {mode}: readers and the service block each other",
            "keep it on a local disk; the service sets the mode at its start",
        )  # fmt: skip
    copies = backup.all_of(store.path, store.backups)
    taken = backup.taken_at(store.path, copies[0]) if copies else None
    if taken is not None and time.time() - taken > 3 * 86_400 + RETRY_SEC and connection.writer_pid(store.path):
        days = (time.time() - taken) / 86_400
        yield Issue(
            "backup_old", "warning", f"the newest backup in {store.backups} is {days:.0f} days old",
            "see the log for why none was made since; `watcher backup` makes one now",
        )  # fmt: skip


def _of_place(path: Path) -> Iterator[Issue]:
    for aside in rescue.set_aside_files(path):
        yield Issue(
            "database_was_damaged", "warning", f"a damaged database was set aside as {aside}",
            "see whether the disk is failing; delete the file when it is not wanted any more",
        )  # fmt: skip
    yield from _of_space(os.fsencode(path.parent), FREE_BYTES_DATABASE, "the database")


def _of_space(folder: bytes, wanted: int, whose: str) -> Iterator[Issue]:
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return  # said elsewhere: the folder is not there
    if free < wanted:
        yield Issue(
            "low_space", "warning" if free > wanted / 10 else "error",
            f"{free / 1e6:,.0f} MB are free where {whose} lies ({names.readable(folder)})", "free space on that disk",
        )  # fmt: skip


def _of_roots(config: StateConfig, store: StateStore) -> Iterator[Issue]:
    suspended = {root.path: root.suspended_because for root in reports.roots(store) if root.suspended_because}
    for item in config.watch:
        path = os.fsencode(item.path)
        shown = names.readable(path)
        if why := suspended.get(path):
            remedy = f"mount its disk; if it is right as it is: watcher release {shown}"
            yield Issue("root_suspended", "error", f"{shown} is suspended: {why}", remedy)
        elif not os.path.isdir(path):
            yield Issue(
                "root_missing", "error", f"the watched folder {shown} is not there", "mount its disk, or make it"
            )
        elif not os.access(path, os.W_OK):
            remedy = "let the service's user write there, for new tracks are put beside the films"
            yield Issue("root_unwritable", "error", f"the watched folder {shown} cannot be written", remedy)
        else:
            yield from _of_space(path, FREE_BYTES, "a watched folder")


def _of_files(store: StateStore, *, running: bool) -> Iterator[Issue]:
    counts = store.counts()
    now = _now_ms()
    if quarantined := counts.integrity[I.QUARANTINED]:
        yield Issue(
            "files_quarantined", "warning", f"{_files(quarantined)} given up, for they were not whole each time",
            "watcher list --integrity quarantined; put whole copies in their place, or watcher retry FILE",
        )  # fmt: skip
    if failed := counts.processed[P.CONVERT_FAILED]:
        yield Issue(
            "conversions_failed", "warning", f"{_files(failed)} without a stereo track, for it could not be made",
            "watcher list --processed convert_failed, and watcher why FILE",
        )  # fmt: skip
    without, looked_at = counts.integrity[I.ERROR], counts.total - counts.integrity[I.UNKNOWN]
    if without >= ERROR_MIN and without > ERROR_RATE * looked_at:
        yield Issue(
            "many_errors", "error", f"{_files(without)} of {looked_at:,} could not be checked at all",
            "the trouble is the machine's: watcher list --integrity error, and watcher why FILE",
        )  # fmt: skip
    if running:
        yield from _of_work(store, pauses.read(store), now)


def _of_work(store: StateStore, pause: Pause | None, now: int) -> Iterator[Issue]:
    """Say what should have been done by now; nothing is due while a pause lasts."""
    over_since = 0 if pause is None else pause.over_since_ms(now)
    if pause is not None and over_since is None:
        if pause.until_ms is None and now - pause.since_ms > LONG_PAUSE_SEC * 1000:
            days = (now - pause.since_ms) / 86_400_000
            yield Issue(
                "paused", "warning", f"it has been paused for {days:.0f} days, and the pause has no end",
                "watcher resume, or watcher pause --for 3d",
            )  # fmt: skip
        return
    expired = reports.expired(store, now)
    if expired:
        yield Issue(
            "lease_expired", "error", f"{_files(expired)} in work for longer than that may take",
            "restart the service: it takes them up anew",
        )  # fmt: skip
    late = next(
        (each for each in reports.by_time(store, 1) if now - max(each.at_ms, over_since or 0) > LATE_SEC * 1000), None
    )
    if late is not None:
        hours = (now - late.at_ms) / 3_600_000
        yield Issue(
            "work_waits", "warning", f"{names.readable(late.path)} has been due for {hours:.1f} hours",
            "work comes in faster than it is done: raise [integrity] at_once, or take integrity_quick_mode",
        )  # fmt: skip


def _files(number: int) -> str:
    return "1 file is" if number == 1 else f"{number:,} files are"


def _of_absence(path: Path) -> Iterator[Issue]:
    if connection.writer_pid(path) is None:
        yield Issue(
            "not_running", "warning", "no service works on this database now",
            "start it: systemctl start watcher, or watcher run",
        )  # fmt: skip


def _of_service(config: StateConfig, inside: Inside) -> Iterator[Issue]:
    limit = max(60.0, 6 * config.loop_interval_sec)
    if inside.watching and inside.beat_ago_sec > limit:
        yield Issue(
            "loop_stale", "error", f"the service's loop has not turned for {inside.beat_ago_sec:.0f} s", "restart the service"
        )  # fmt: skip
    for path, why in inside.silent_roots:
        yield Issue(
            "events_lost", "warning", f"{names.readable(path)} gives no events and is scanned instead: {why}",
            "films there are found later; the log says what helps",
        )  # fmt: skip
    if inside.waiting_hints >= 0.9 * config.max_state_entries:
        yield Issue(
            "memory_full", "warning",
            f"{inside.waiting_hints:,} paths wait in memory, and max_state_entries is {config.max_state_entries:,}",
            "what is beyond is found by scans; raise max_state_entries if this is not a passing storm",
        )  # fmt: skip
