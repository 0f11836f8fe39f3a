"""Wishes: what a person asked for from another process. Stored as rows, so they survive a crash and a stopped service."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from watcher.rules.statuses import IntegrityStatus, ProcessedStatus

if TYPE_CHECKING:
    from watcher.service.engine import Engine
    from watcher.store.models import FileEntry, Request

log = structlog.get_logger("watcher")

_OF_FILES = frozenset({"retry", "release"})


def take(engine: Engine) -> list[bytes]:
    """Carry out the wishes for files, in the order they were made; gives the paths of roots a person vouches for."""
    roots = []
    for wish in engine.store.requests():
        with engine.turn():
            if wish.kind not in _OF_FILES:  # `reloading` and `pausing` answer the others
                continue
            engine.store.end_request(wish.id)
            if wish.kind == "release" and any(root.path == wish.path for root in engine.store.roots()):
                roots.append(bytes(wish.path))
                continue
            _carry_out(engine, wish)
    return roots


def _carry_out(engine: Engine, wish: Request) -> None:
    entry = engine.store.entry_at(wish.path)
    path = bytes(wish.path)
    if entry is None or entry.missing_since_ms is not None:
        log.warning("wish refused", wish=wish.kind, path=path, reason="no such file is known")
        return
    if wish.kind == "release":
        _release(engine, entry)
    elif not retry(engine, entry):
        log.info(
            "wish needs nothing",
            wish=wish.kind,
            path=path,
            integrity=entry.integrity_status,
            processed=entry.processed_status,
        )


def _release(engine: Engine, entry: FileEntry) -> None:
    now = engine.clock()
    engine.cancel_attempt(entry)
    engine.store.put_finding(entry.id, about=None)
    if entry.processed_status is ProcessedStatus.CONVERT_FAILED:
        engine.move(entry, "retry", reason="a person asked", next_at=now)
    engine.move(
        entry,
        "released",
        reason="a person asked",
        next_at=now,
        failures_in_row=0,
        incomplete_in_row=0,
        quiet_since_ms=0,
    )


def retry(engine: Engine, entry: FileEntry) -> bool:
    """Have what failed tried again now; False when nothing has failed."""
    now = engine.clock()
    if entry.processed_status is ProcessedStatus.CONVERT_FAILED:
        engine.move(entry, "retry", reason="a person asked", next_at=now, failures_in_row=0)
        return True
    if entry.integrity_status is IntegrityStatus.QUARANTINED:
        _release(engine, entry)
        return True
    if entry.integrity_status in (IntegrityStatus.INCOMPLETE, IntegrityStatus.ERROR):
        engine.store.put_finding(entry.id, about=None)  # a person asks for a look, not for what is known
        engine.store.update_entry(entry, next_check_at_ms=int(now * 1000), waits_for="a person asked")
        return True
    return False
