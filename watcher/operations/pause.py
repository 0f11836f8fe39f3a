"""Pausing and leaving: a wish of a person, a service or a thread, heard by every job at its next pause point."""

from __future__ import annotations

import asyncio
import signal
import threading
from typing import TYPE_CHECKING, Final

from watcher.operations.children import Children
from watcher.operations.signals import SIGNALS, Listener

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

EXIT_INTERRUPTED: Final = 128 + signal.SIGINT
LOOK_EVERY_SEC: Final = 0.2
"""How often a paused coroutine looks whether it may go on."""


class PauseManager:
    """One wish to pause or to leave, for all jobs that share it. Every method may be called from any thread."""

    def __init__(self, signals: tuple[signal.Signals, ...] = SIGNALS) -> None:
        """Hear these signals inside `listening`; none, for programs that have handlers of their own."""
        self.children = Children()
        """Processes that stop with a pause: `with pauses.children.allow(process)`."""
        self.cancelled = threading.Event()
        """Set when leaving: ends the waiting for network drives."""
        self._listener = Listener(self, signals)
        self._lock = threading.Lock()
        self._pausing = False
        self._leaving: int | None = None
        """The exit code."""
        self._go_on = threading.Event()
        self._go_on.set()

    @property
    def is_paused(self) -> bool:
        """Whether jobs wait, or will at their next pause point."""
        return self._pausing and self._leaving is None

    @property
    def leaving(self) -> int | None:
        """The exit code with which jobs end at their next pause point; None when they need not."""
        return self._leaving

    def request_pause(self) -> None:
        """Ask for a pause: children stop now, jobs at their next pause point."""
        with self._lock:
            self._pausing = True
            self._go_on.clear()
            self.children.stop()

    def resume(self) -> None:
        """Go on after a pause."""
        with self._lock:
            self._pausing = False
            self.children.go_on()
            self._go_on.set()
        self._listener.wake()

    def leave(self, code: int = EXIT_INTERRUPTED) -> None:
        """Ask all jobs to save and leave at their next pause point, and their children to end now."""
        with self._lock:
            self._leaving = code
            self.children.end()
            self.cancelled.set()
            self._go_on.set()

    def stay(self) -> None:
        """Take back the wish to leave: what begins from now on is not meant by it."""
        with self._lock:
            self._leaving = None
            self.cancelled.clear()

    def check(self, before_waiting: Callable[[], None] | None = None) -> None:
        """Be a pause point: return at once, or wait while paused. Raises SystemExit when it is time to leave."""
        if self.is_paused:
            if before_waiting is not None:
                before_waiting()
            with self._lock:
                if self.is_paused:
                    self._go_on.clear()  # where a signal was noted, and its thread is not yet awake
            with self.shield():  # a signal's exception in the middle of `wait` would leave its lock undone
                self._go_on.wait()
        if self._leaving is not None:
            raise SystemExit(self._leaving)

    async def check_async(self, before_waiting: Callable[[], None] | None = None) -> None:
        """Be a pause point of a coroutine: the event loop goes on meanwhile."""
        if self.is_paused and before_waiting is not None:
            before_waiting()
        while self.is_paused:  # noqa: ASYNC110  # an asyncio.Event belongs to one loop; this wish is for all threads
            await asyncio.sleep(LOOK_EVERY_SEC)
        self.check()

    def note(self, *, leaving: int | None) -> None:
        """Take a wish from a signal handler: no lock, since the handler may have interrupted whoever holds it."""
        if leaving is None:
            self._pausing = True
        else:
            self._leaving = leaving

    def listening(self) -> AbstractContextManager[None]:
        """Hear signals inside, in the main thread; in others this does nothing. Handlers from before are put back."""
        return self._listener.listening()

    def shield(self) -> AbstractContextManager[None]:
        """Let no signal interrupt what is done inside; one that comes takes effect at the end."""
        return self._listener.shield()


_shared = PauseManager()


def get_pause_manager() -> PauseManager:
    """Give the process's own manager, which every operation uses that was given no other."""
    return _shared
