"""`watcher reload`: the running service reads its settings anew, and its verdict is the answer."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING

from watcher import views
from watcher.commands import common
from watcher.errors import SettingsError, StoreError
from watcher.service.reloading import MEMO, Reloaded
from watcher.store import connection
from watcher.store.store import add_request

if TYPE_CHECKING:
    from watcher.config import Loaded

MARGIN_SEC = 60.0
"""Beside the service's own interval: a disk may have to wake up first."""
_LOOK_EVERY_SEC = 0.05


def reload(loaded: Loaded) -> int:
    """Ask for a reload and wait for its verdict. Exit code 0.

    Raises SettingsError with the reason of a refusal, StoreError when no service runs or none answers.
    """
    database = loaded.config.database_path()
    pid = connection.writer_pid(database)
    if pid is None:
        raise StoreError(f"no service runs on {database}: what it is to read, it reads when it starts")
    number = add_request(database, "reload", b"", views.now_ms())
    with contextlib.suppress(PermissionError, ProcessLookupError):  # it finds the wish by itself, within its interval
        os.kill(pid, signal.SIGHUP)
    answer = _wait(loaded, number)
    if answer.refused:
        raise SettingsError(f"{answer.refused}\nnothing was changed: the service goes on with the settings it had")
    changed = f"reloaded: {', '.join(answer.changed)}" if answer.changed else "nothing has changed that can be reloaded"
    views.out().print(changed)
    if answer.at_start:
        views.out().print(f"changed by the next start: {', '.join(answer.at_start)} (systemctl restart watcher)")
    return common.EXIT_OK


def _wait(loaded: Loaded, number: int) -> Reloaded:
    until = time.monotonic() + loaded.config.loop_interval_sec + MARGIN_SEC
    with common.reading(loaded) as store:
        while time.monotonic() < until:
            answer = Reloaded.from_memo(store.memo(MEMO))
            if answer is not None and answer.request >= number:
                return answer
            time.sleep(_LOOK_EVERY_SEC)
    raise StoreError("the service has not answered; what it does is in its log")
