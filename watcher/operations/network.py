"""Network drives that go away for a while: which errors are theirs, how long to wait, and when not to."""

from __future__ import annotations

import errno
import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Final, TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_after_attempt,
    stop_any,
    stop_when_event_set,
    wait_chain,
    wait_fixed,
)

from watcher.rules.names import readable

if TYPE_CHECKING:
    from collections.abc import Callable

    Result = TypeVar("Result")

log = logging.getLogger("watcher.operations")

WAITS_SEC: Final = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""A server that restarts is back within these 108 s; what stays away longer needs a person."""

NETWORK_ERRORS: Final = frozenset(
    {
        *(errno.ESTALE, errno.EIO, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENOTCONN),
        *(errno.ENETDOWN, errno.ENETUNREACH, errno.ENETRESET, errno.ECONNRESET, errno.ECONNABORTED),
        *(errno.ECONNREFUSED, errno.EREMOTEIO, errno.ENOLINK, errno.ECOMM, errno.ESHUTDOWN, errno.ENONET),
    }
)
"""What NFS, SMB and FUSE answer while their server is away. EIO is also a dying disk's: waiting does it no harm."""


class Drive:
    """The file system that a path is on, as it was when this was made."""

    def __init__(self, path: bytes, waits_sec: tuple[float, ...] = WAITS_SEC) -> None:
        """Look at the path, or at the nearest folder above it that is there."""
        self._path = path
        self._waits_sec = waits_sec
        self._device = _device(path)

    def is_gone(self) -> bool:
        """Tell whether the mount that the path was on is there no more: another file system shows through in its place."""
        now = _device(self._path)
        return now is None or (self._device is not None and now != self._device)

    def require(self) -> None:
        """Make sure that the mount is there, before something is written below it. Raises OSError of the network."""
        if self.is_gone():
            raise OSError(errno.ENOTCONN, "its file system is not mounted", os.fsdecode(self._path))

    def is_worth_waiting(self, error: BaseException) -> bool:
        """Tell whether an error may pass by itself: one of the network, or a file missing with its whole mount; also where
        it was put into other words (`raise ... from`).
        """
        cause = error if isinstance(error, OSError) else error.__cause__
        if not isinstance(cause, OSError):
            return False
        missing = cause.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENODEV)
        return cause.errno in NETWORK_ERRORS or (missing and self.is_gone())

    def retry(
        self,
        work: Callable[[], Result],
        cancel: threading.Event | None = None,
        sleep: Callable[[float], None] | None = None,
    ) -> Result:
        """Do file work that may be repeated, and repeat it while the drive is away; then raise its last error.

        `cancel` ends the waiting; `sleep` does it in another way. The caller must hold no lock. The log says once that
        the drive is away, and once that it is back.
        """
        cancel = cancel or threading.Event()
        began = time.monotonic()
        retrying = Retrying(
            retry=retry_if_exception(self.is_worth_waiting),
            wait=wait_chain(*map(wait_fixed, self._waits_sec)),
            stop=stop_any(stop_after_attempt(len(self._waits_sec) + 1), stop_when_event_set(cancel)),
            sleep=sleep or sleep_using_event(cancel),
            before_sleep=self._say_once,
            reraise=True,
        )
        result = retrying(work)
        if retrying.statistics["attempt_number"] > 1:
            log.warning("drive is back: %s, after %.0f s", readable(self._path), time.monotonic() - began)
        return result

    def _say_once(self, state: RetryCallState) -> None:
        if state.attempt_number == 1 and state.outcome is not None:
            log.warning(
                "drive is away: %s: %s; trying again for %.0f s",
                readable(self._path),
                state.outcome.exception(),
                sum(self._waits_sec),
            )


def _device(path: bytes) -> int | None:
    """Give the device of the path or of the nearest folder above it; None while its server does not answer."""
    while True:
        try:
            return os.stat(path).st_dev
        except OSError as error:
            if error.errno in NETWORK_ERRORS:
                return None
            if path == b"/":
                raise
            path = os.path.dirname(path)
