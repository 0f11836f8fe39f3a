"""`watcher pause` and `watcher resume`: stored wishes, of which the running service is told at once."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING, Any

from watcher import views
from watcher.commands import common
from watcher.errors import UsageError
from watcher.rules import names, pauses
from watcher.service.shapes import paused
from watcher.store import connection
from watcher.store import pauses as stored
from watcher.store.store import add_request

if TYPE_CHECKING:
    from watcher.config import Loaded
    from watcher.rules.pauses import Pause

REASON_CHARS = 200
"""Of a reason: it stands in a line of `watcher status`."""
ANSWER_SEC = 5.0
"""So long a service is waited for: it takes a wish up between two looks at a disk."""
_LOOK_EVERY_SEC = 0.05


def pause(loaded: Loaded, length: str | None, reason: str) -> int:
    """Have nothing begun, and FFmpeg stand still, for some time or until `resume`. Exit code 0.

    Raises UsageError for a length that cannot be read, StoreError when there is no database.
    """
    now = views.now_ms()
    until = None if length is None else now + pauses.seconds(length) * 1000
    if len(reason) > REASON_CHARS:
        raise UsageError(f"--reason has {len(reason)} characters, and {REASON_CHARS} are enough")
    said = {"until_ms": until, "reason": names.readable(os.fsencode(reason.strip()))}
    before = _lasting(loaded, now)
    standing = pauses.after(before, "pause", now, said)
    assert standing is not None  # noqa: S101 - it was just asked for
    words = "it was paused already; now " if before is not None else ""
    return _wish(loaded, "pause", now, said, words + paused(standing), "nothing is begun when the service runs next")


def resume(loaded: Loaded) -> int:
    """End the pause. Exit code 0, also when there is none. Raises StoreError when there is no database."""
    now = views.now_ms()
    if _lasting(loaded, now) is None:
        views.out().print("it is not paused: nothing to do")
        return common.EXIT_OK
    return _wish(loaded, "resume", now, None, "resumed", "the service works when it runs next")


def _lasting(loaded: Loaded, now: int) -> Pause | None:
    with common.reading(loaded) as store:
        return stored.lasting(store, now)


def _wish(loaded: Loaded, kind: str, now: int, said: dict[str, Any] | None, done: str, later: str) -> int:
    database = loaded.config.database_path()
    number = add_request(database, kind, b"", now, said)
    pid = connection.writer_pid(database)
    if pid is None:
        views.out().print(f"{done}; no service runs now, {later}")
    elif _is_taken(loaded, number, pid):
        views.out().print(done)
    else:
        views.out().print(f"{done}; the service takes it up within {loaded.config.loop_interval_sec:g} s")
    return common.EXIT_OK


def _is_taken(loaded: Loaded, number: int, pid: int) -> bool:
    """Tell the service to look, and wait until it has carried out the wish; False when it has not yet."""
    # Whoever does not know this signal is not touched by it. Without it the wish is found at the next beat.
    with contextlib.suppress(PermissionError, ProcessLookupError):
        os.kill(pid, signal.SIGURG)
    until = time.monotonic() + ANSWER_SEC
    with common.reading(loaded) as store:
        while store.has_request(number):
            if time.monotonic() >= until:
                return False
            time.sleep(_LOOK_EVERY_SEC)
    return True
